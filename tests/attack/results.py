"""What each attack tried and found: printed as a table, kept in build/attack/results.json."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "attack"
_SHOWN = 25


@dataclass
class Attack:
    """One attack: how much it tried, and what it found."""

    name: str
    what: str
    tried: int = 0
    found: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def note(self, finding: str) -> None:
        """Keep a finding, once."""
        if finding not in self.found:
            self.found.append(finding)

    def end(self, findings: Iterable[str] = ()) -> None:
        """Write the outcome down; fails where something was found."""
        for finding in findings:
            self.note(finding)
        self.seconds = round(time.monotonic() - self.began, 1)
        (FOLDER / "results").mkdir(parents=True, exist_ok=True)
        (FOLDER / "results" / f"{self.name}.json").write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False))
        assert self.tried, f"{self.name} tried nothing"
        print(f"{self.name}: tried {self.tried:,}, found {len(self.found)}, {self.seconds:.0f} s")  # noqa: T201
        shown = "\n".join(self.found[:_SHOWN])
        assert not self.found, f"{len(self.found)} findings of {self.name}:\n{shown}"

    def over(self, seconds: float) -> bool:
        """Tell whether so much time was spent."""
        return time.monotonic() - self.began > seconds


def table(folder: Path = FOLDER / "results") -> list[str]:
    """Return the outcomes as the rows of a Markdown table."""
    kept = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    head = ["| attack | what was tried | tried | found | seconds |", "|---|---|---|---|---|"]
    rows = [f"| {k['name']} | {k['what']} | {k['tried']:,} | {len(k['found'])} | {k['seconds']:.0f} |" for k in kept]
    return [*head, *rows]


if __name__ == "__main__":
    sys.stdout.write("\n".join(table()) + "\n")
