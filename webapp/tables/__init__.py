"""The pages of decision tables and lookup tables; as rules they live in the rulebook."""
