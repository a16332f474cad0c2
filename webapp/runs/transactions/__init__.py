"""Transactions over several systems: who decides, what is decided, and how it is carried out whatever dies."""
