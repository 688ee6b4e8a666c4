"""The nouns that travel between rooms: frozen values, no I/O."""
