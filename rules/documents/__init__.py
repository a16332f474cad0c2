"""Rule documents: text to data, data to dataclasses, checks, identity. Pure functions, no I/O."""
