"""Looks at an installation and says what to fix: `syncline doctor`, and what to send to whoever helps."""
