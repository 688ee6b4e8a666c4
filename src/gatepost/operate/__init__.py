"""What an operator can do, one verb a file: used alike by every face. Values out, no printing."""
