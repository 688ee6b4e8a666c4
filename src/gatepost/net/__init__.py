"""The world: octets over TCP and TLS, names, time and chance."""
