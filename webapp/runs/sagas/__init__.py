"""Sagas: what a rule does for a record in several systems one behind the other, and how it is taken back."""
