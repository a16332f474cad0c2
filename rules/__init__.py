"""Plain rules: pure functions over column batches. No I/O, no clock, no framework."""
