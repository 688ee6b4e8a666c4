"""Octets to values and back: no sockets, no clocks, no dice."""
