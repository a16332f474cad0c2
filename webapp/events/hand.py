"""Which rule is at work at this very moment: a note in a file that outlives a crash of the engine.

The engine is native code. Should it ever take the process down with it, the next process finds here on which rule, and
after some such ends in a row the rule is stopped, so that the others can work.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from webapp.extensions import House

Version = tuple[int, int]
"""Id and version of a rule."""
LIMIT = 3


class Hand:
    """The note of one process."""

    def __init__(self, house: House) -> None:
        self._path: Path = house.settings.data / "run" / "events.json"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._failures: dict[Version, int] = {}
        self._at: Version | None = None
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            known = json.loads(self._path.read_text())
            self._failures = {(r, v): n for r, v, n in known["failures"]}
            if known["at"] is not None:
                self.failed((known["at"][0], known["at"][1]))

    def take(self, version: Version) -> None:
        """Note that a version is at work now."""
        if self._at != version:
            self._at = version
            self._write()

    def rest(self) -> None:
        """Note that nothing is at work; what failed before may fail again."""
        if self._at is not None:
            self._at = None
            self._write()

    def lay_down(self) -> None:
        """Note that nothing is at work; those that were have done well."""
        if self._at is not None or self._failures:
            self._at = None
            self._failures.clear()
            self._write()

    def failed(self, version: Version | None = None) -> None:
        """Count a failure of the version that is at work."""
        version = version or self._at
        if version is not None:
            self._failures[version] = self._failures.get(version, 0) + 1
        self._at = None
        self._write()

    def hopeless(self) -> list[Version]:
        """Return the versions that failed again and again."""
        return [version for version, count in self._failures.items() if count >= LIMIT]

    def forget(self, version: Version) -> None:
        """Start counting anew."""
        self._failures.pop(version, None)
        self._write()

    def _write(self) -> None:
        failures = [[rule_id, version, count] for (rule_id, version), count in self._failures.items()]
        with contextlib.suppress(OSError):
            self._path.write_text(json.dumps({"at": self._at, "failures": failures}))
