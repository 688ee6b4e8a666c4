"""Our side of outgoing connections: source addresses, in pools, and which of them may be used."""
