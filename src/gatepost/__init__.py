"""Gatepost: an authenticated outbound mail relay."""

__version__ = "0.1.0"
