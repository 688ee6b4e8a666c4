"""The command line: words in, an `operate` verb, words or JSON out."""
