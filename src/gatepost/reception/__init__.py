"""Rooms 1 to 4: listen, converse, authenticate, accept."""
