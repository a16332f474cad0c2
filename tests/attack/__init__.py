"""Attacks on a console that runs: `make attack`. docs/security/attack.md says what is tried and what was found."""
