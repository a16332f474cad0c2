"""The audit log as evidence: who signs it, where its checkpoints go, what leaves it and what may be removed from it."""
