"""Property tests have no deadline: the first run of an expression loads the runtime."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("rules", deadline=None)
settings.load_profile("rules")
