"""What keeps an installation from starting, said in one line."""

from __future__ import annotations

from webapp.extensions import ForPeople

UNUSABLE = 78
"""Exit code of a process that cannot start as it is set up (EX_CONFIG of sysexits.h); a restart would not help."""


class CannotStart(ForPeople):
    """Syncline cannot start; the text names the setting or file and says what to do."""
