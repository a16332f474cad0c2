"""The column compiler: from a checked expression to a plan in stages over whole batches. Pure functions, no I/O."""
