"""What happened: recorded once, told as a journal and as a message's timeline."""
