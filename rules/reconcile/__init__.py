"""What is found for a record and what is done about it: situations, outcomes, the comparison of both sides."""
