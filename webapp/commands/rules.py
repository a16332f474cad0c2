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
from rules.testing.replay import Change
from rules.text import Message
from webapp.commands.session import Failed, current, json_option, print_json
from webapp.rulebook import services as rulebook
from webapp.rulebook.ownership import set_owner
from webapp.rulebook.tests_running import KINDS, Untestable, prepare
from webapp.runs import comparison
from webapp.runs import explanation_words as words
from webapp.runs.comparison import Comparison, Wish

_ENDINGS = (".yaml", ".yml", ".json")
_SHOWN = 10
_CHANGES = 20


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


@rules.command()
@click.argument("name")
@click.argument("username")
def owner(name: str, username: str) -> None:
    """Let a user own a rule, which works with the rights of that user from then on."""
    session = current()
    set_owner(session.house, name, username, session.actor)
    click.echo(f"{name}: owned by {username}")


@rules.command()
@click.argument("name")
@click.option("--run", "runs", type=int, multiple=True, help="A run whose stored values are used; may be repeated.")
@click.option("--last", type=click.IntRange(1, 20), help="Use the last runs instead, so many.")
@click.option("--from", "old", help="The version to start from; the published one if left out.")
@click.option("--to", "new", default=comparison.DRAFT, show_default=True, help="The version to compare with.")
@json_option
def replay(name: str, *, runs: tuple[int, ...], last: int | None, old: str | None, new: str, as_json: bool) -> None:
    """Compare two versions of a rule on the values that runs have kept, and show which outputs differ.

    Without a run it is the latest one of the rule; a decision table is compared on the runs of rules that ask it, or
    on its own tests. A version is its number or "draft".
    """
    house = current().house
    with house.db.read() as tx:
        row = rulebook.get(tx, name)
    if row.kind not in KINDS:
        raise Failed(f"{name}: rules of the kind {row.kind} are not compared.")
    if old is None and row.published_version is None:
        raise Failed(f"{name} is not published yet, so there is nothing to compare its draft with.")
    chosen = runs or tuple(kept.id for kept in comparison.runs_with_values(house, row)[: last or 1])
    if not chosen and row.kind != decision_table.KIND:
        raise Failed(f"No run of {name} has kept values. Run it or simulate it first.")
    wish = Wish(name, old or str(row.published_version), new, chosen)
    found = comparison.compared(house, wish, comparison.SHOWN if as_json else _CHANGES)
    if as_json:
        print_json(found.to_json())
        return
    for line in _differences(found):
        click.echo(line)


def _differences(found: Comparison) -> Iterator[str]:
    where = ", ".join(f"run {number}" for number in found.wish.runs) or "its own tests"
    yield f"{found.wish.rule}: {found.wish.old} -> {found.wish.new} on {found.records} records of {where}"
    yield (
        ", ".join(f"{kind.replace('_', ' ')} {number}" for kind, number in found.counts.items() if number) or "nothing"
    )
    if found.left_out:
        yield f"Not compared, since their values were not kept: {', '.join(found.left_out)}"
    if found.unsent:
        yield f"Not compared: {found.unsent} records that the source itself left out of the run"
    for one in found.changes:
        change = one.change
        yield f"{change.kind.value.replace('_', ' ')} {change.key or '(without a key)'} (record {change.number})"
        for field in dict.fromkeys((*change.before, *change.after)):
            yield f"  {field}: {_side(change.before, field)} -> {_side(change.after, field)}"
        yield from (f"  {label}: {reason}" for label, reason in _reasons(change))
    if found.differing > len(found.changes):
        yield f"and {found.differing - len(found.changes)} more"


def _side(values: Mapping[str, Any], field: str) -> str:
    return words.shown(values[field]) or "(empty)" if field in values else "-"


def _reasons(change: Change) -> Iterator[tuple[str, Message]]:
    for label, reason in (("before", change.reason_before), ("after", change.reason_after)):
        if reason is not None:
            yield label, reason
