"""From records of one side to records of the other. Pure functions over column batches, no I/O."""
