"""The expression language: CEL with a business profile. Pure functions, no I/O."""
