"""Deliveries: what runs commit to be written later, and how it reaches its target, in order for each record."""
