"""`syncline rules`: the tests of rules, and two versions of a rule on stored records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from rules.documents import DocumentError, Format, decision_table, load_documents
from rules.documents.decision_table import parse_decision_table
from rules.testing import TableTests, Tested
from webapp.commands.session import Failed, current, json_option, print_json
from webapp.rulebook import services as rulebook
from webapp.rulebook.tests_running import KINDS, Untestable, prepare

_ENDINGS = (".yaml", ".yml", ".json")
_SHOWN = 10


@click.group()
def rules() -> None:
    """Test rules, and compare versions of a rule on stored records."""


@dataclass(frozen=True)
class Answer:
    """What the tests of one rule came to, or why they could not be run."""

    name: str
    tested: Tested | None = None
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Tell whether no test fails."""
        return self.tested is not None and not self.tested.failed

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain data."""
        if self.tested is None:
            return {"rule": self.name, "passed": False, "problem": self.problem}
        return {"rule": self.name, **self.tested.to_json()}


@rules.command("test")
@click.argument("names", nargs=-1)
@click.option("--published", is_flag=True, help="Test what is published instead of the draft.")
@json_option
def test(names: tuple[str, ...], *, published: bool, as_json: bool) -> None:
    """Run the tests of the named rules, of all rules without a name; exits with 1 when one fails.

    NAMES may also be YAML or JSON files with decision tables, which need no connections.
    """
    files = [name for name in names if name.endswith(_ENDINGS)]
    answers = [answer for name in files for answer in _of_file(Path(name))]
    named = [name for name in names if name not in files]
    if named or not names:
        answers += list(_of_rules(named, published=published))
    if as_json:
        print_json([answer.to_json() for answer in answers])
    else:
        for line in _lines(answers):
            click.echo(line)
    if not all(answer.passed for answer in answers):
        raise SystemExit(1)


test.__test__ = False  # type: ignore[attr-defined] # pytest would take it for a test of ours


def _of_file(path: Path) -> Iterator[Answer]:
    form = Format.JSON if path.suffix == ".json" else Format.YAML
    try:
        located = load_documents(path.read_text(encoding="utf-8"), form)
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}") from None
    except DocumentError as error:
        raise Failed(f"{path}: {error}") from None
    for one in located:
        name = f"{path}: {one.document.get('name', '?')}"
        if one.document.get("kind") == decision_table.KIND:
            yield _of_table(name, one.document)
        elif one.document.get("tests"):
            yield Answer(name, problem="Its tests need its connections. Apply the file first, then name the rule.")


def _of_table(name: str, document: Mapping[str, Any]) -> Answer:
    try:
        table = parse_decision_table(document)
        return Answer(name, TableTests(table, table.day(datetime.now(UTC))).run())
    except DocumentError as error:
        return Answer(name, problem=str(error))


def _of_rules(names: list[str], *, published: bool) -> Iterator[Answer]:
    house = current().house
    with house.db.read() as tx:
        rows = [rulebook.get(tx, name) for name in names] if names else rulebook.list_rules(tx)
    for row in rows:
        document = row.published if published else row.document
        if document is None or (not names and (row.kind not in KINDS or not document.get("tests"))):
            continue
        if row.kind not in KINDS:
            raise Failed(f"{row.name}: rules of the kind {row.kind} are not tested here.")
        try:
            yield Answer(row.name, prepare(house, document).run())
        except Untestable as error:
            yield Answer(row.name, problem=str(error))


def _lines(answers: list[Answer]) -> Iterator[str]:
    if not answers:
        yield "No rule has tests yet."
    for answer in answers:
        if answer.tested is None:
            yield f"{answer.name}: {answer.problem}"
            continue
        results, coverage = answer.tested.results, answer.tested.coverage
        failed = len(answer.tested.failed)
        yield f"{answer.name}: {len(results) - failed} passed, {failed} failed, {coverage.percent}% covered"
        yield from (f"  FAILS {result.name}: {result.sentence}" for result in answer.tested.failed)
        yield from (f"  not shown: {point.missing}" for point in coverage.open[:_SHOWN] if results)
        if results and len(coverage.open) > _SHOWN:
            yield f"  and {len(coverage.open) - _SHOWN} more"
