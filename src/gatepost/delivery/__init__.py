"""Rooms 5 to 7: what is due, where it goes, and how it gets there."""
