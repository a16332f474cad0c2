"""Secrets at rest: sealed under a data key each, their data keys wrapped by a key that lives elsewhere."""
