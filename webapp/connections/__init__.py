"""Connections: the configured systems, their tests, what can be found in them."""
