"""DNS records as values, and what a mail sender concludes from them."""
