"""`syncline cases`: what waits for a person, and deciding about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import click

from webapp.cases import deciding, services
from webapp.cases.pair_page import PairView, view
from webapp.commands import running
from webapp.commands.runs import fail_unless_well, print_run
from webapp.commands.session import Failed, Session, as_option, current, json_option, print_json, print_rows
from webapp.runs import reading, sight_pairs
from webapp.runs.pair_cases import AnswerRefused
from webapp.runs.pair_choices import OPTIONS, ChoiceRefused

DEEDS = sorted({deed for deeds in OPTIONS.values() for deed in deeds})


@click.group(invoke_without_command=True)
@click.option("--all", "all_", is_flag=True, help="Closed cases as well.")
@click.option("--rule", help="Only cases of this rule.")
@click.option("--situation", type=click.Choice([*OPTIONS]), help="Only cases in which this was found.")
@click.option("--assignee", help="Only cases that this user has.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="Cases to show.")
@as_option
@json_option
@click.pass_context
def cases(context: click.Context, /, *, all_: bool, limit: int, as_json: bool, **wanted: str | None) -> None:
    """List the cases that wait for a decision, the latest first; or show them and decide."""
    if context.invoked_subcommand is not None:
        return
    names = {"rule_name": wanted["rule"], "situation": wanted["situation"], "assignee": wanted["assignee"]}
    with current().house.db.read() as tx:
        found = services.listing(tx, services.Wanted(None if all_ else "open", **names), limit)  # type: ignore[arg-type]
    if as_json:
        print_json([asdict(case) for case in found])
        return
    shown = ("id", "state", "rule_name", "title", "subject", "assignee", "opened_at")
    columns = [(name, name.upper().replace("_", " ")) for name in shown]
    print_rows([asdict(case) for case in found], columns, nothing="No case waits for a decision.")


@cases.command()
@click.argument("case_id", metavar="CASE", type=int)
@as_option
@json_option
def show(case_id: int, *, as_json: bool) -> None:
    """Show a case: the values of both systems, or what may be done with its record."""
    case, shown = _open(current(), case_id)
    if as_json:
        pair = asdict(shown.pair) if shown else None
        print_json({**asdict(case), "record": pair})
        return
    click.echo(f"{case.title}\n{case.subject}")
    if shown is None:
        return
    if shown.by_field:
        rows = [_line(number, entry) for number, entry in shown.asked.items()]
        heads = (
            ("field", "FIELD"),
            ("agreed", "LAST AGREED"),
            ("left", shown.names.left),
            ("right", shown.names.right),
        )
        print_rows(rows, heads, nothing="No field is in question.")
        return
    options = [{"record": option.value, "means": str(option.label), "key": ""} for option in shown.options]
    links = [{"record": "link", "means": f"link it to {c.called or c.key}", "key": c.key} for c in shown.candidates]
    print_rows([*links, *options], (("record", "RECORD"), ("key", "KEY"), ("means", "MEANS")), nothing="")


@cases.command()
@click.argument("case_ids", metavar="[CASE]...", nargs=-1, type=int)
@click.option("--rule", help="Instead of naming cases: all that wait of this rule.")
@click.option("--situation", type=click.Choice([*OPTIONS]), help="Of these only where this was found.")
@click.option("--take", type=click.Choice(["left", "right"]), help="Take all fields from one side.")
@click.option("--field", "fields", multiple=True, metavar="FIELD=left|right", help="Take one field from one side.")
@click.option("--value", "values", multiple=True, metavar="FIELD=VALUE", help="Write this value; none after =: empty.")
@click.option("--record", type=click.Choice(DEEDS), help="What happens to the record.")
@click.option("--key", help="With '--record link': the partner's key; left out: the likeliest one.")
@click.option("--dry-run", is_flag=True, help="Only tell how many cases would be decided.")
@click.option("--wait", is_flag=True, help="Wait for the runs that carry it out.")
@as_option
@json_option
def answer(
    case_ids: tuple[int, ...],
    *,
    fields: tuple[str, ...],
    values: tuple[str, ...],
    wait: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Decide about records that wait; a run carries it out."""
    session = current()
    simple = {name: given[name] for name in ("take", "record") if given[name]}
    if given["key"] and simple.get("record") == "link":
        simple["key"] = given["key"]
    if fields or values or "key" in simple:
        _one(session, case_ids, (fields, values, simple), wait=wait, as_json=as_json)
        return
    if len(simple) != 1:
        raise Failed("Say what to do: --take, --record, or --field and --value for single fields.")
    if not case_ids and not given["rule"]:
        raise Failed("Name the cases, or a rule with --rule.")
    wanted = services.Wanted("open", rule_name=given["rule"], situation=given["situation"])
    with session.house.db.read() as tx:
        waiting = deciding.select(tx, replace(wanted, cases=case_ids or None))
        if given["dry_run"]:
            _tell(deciding.would_decide(tx, waiting, simple), "would be decided", as_json=as_json)
            return
    done = deciding.decide_many(session.house, waiting, {one.group: simple for one in waiting}, session.actor)
    running.announce(session)
    _tell(done, "decided", as_json=as_json)
    _finish(session, done.runs if wait else [])
    if not done.cases:
        raise Failed("No case was decided.")


def _one(
    session: Session, case_ids: tuple[int, ...], said: tuple[Any, Any, Mapping[str, Any]], *, wait: bool, as_json: bool
) -> None:
    """Decide about one case, with a choice for each field or a named partner."""
    if len(case_ids) != 1:
        raise Failed("Single fields and partners are chosen for one case at a time.")
    fields, values, simple = said
    _case, shown = _open(session, case_ids[0])
    if shown is None:
        raise Failed(f"Case {case_ids[0]} is not about a record of a rule.")
    choice = dict(simple) if "key" in simple else {"fields": dict(_choices(shown, fields, values, simple.get("take")))}
    try:
        run_id = deciding.decide(session.house, case_ids[0], {**choice, "seen": shown.pair.seen}, session.actor)
    except (ChoiceRefused, AnswerRefused, services.CaseRefused) as refusal:
        raise Failed(str(refusal.message)) from None
    running.announce(session)
    runs = [] if run_id is None else [run_id]
    _tell(deciding.Decided([case_ids[0]], [], runs), "decided", as_json=as_json)
    _finish(session, runs if wait else [])


def _open(session: Session, case_id: int) -> tuple[services.Case, PairView | None]:
    with session.house.db.read() as tx:
        try:
            case = services.get(tx, case_id)
        except services.CaseMissing as missing:
            raise Failed(str(missing.message)) from None
        if case.pair_id is None:
            return case, None
        return case, view(session.house, tx, sight_pairs.get(tx, case.pair_id))


def _choices(
    shown: PairView, fields: tuple[str, ...], values: tuple[str, ...], rest: str | None
) -> Iterator[tuple[str, Any]]:
    """Yield a choice for each field in question: what is said of it, else the side that all others are taken from."""
    named = {number: {"take": rest} for number in shown.asked} if rest else {}
    for text in fields:
        name, _sign, side = text.partition("=")
        named[_number(shown, name)] = {"take": side}
    for text in values:
        name, _sign, value = text.partition("=")
        named[_number(shown, name)] = {"take": "value", "value": shown.typed(_number(shown, name), value)}
    yield from named.items()


def _number(shown: PairView, name: str) -> str:
    """Return the number of a field that is called by its number or by its name on either side."""
    for number, entry in shown.asked.items():
        if name in (number, *((entry.get(side) or {}).get("name") for side in ("left", "right"))):
            return number
    known = ", ".join(
        str((entry.get("left") or entry.get("right") or {}).get("name")) for entry in shown.asked.values()
    )
    raise Failed(f"The field '{name}' is not in question. In question: {known}.")


def _line(number: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    left, right, base = (entry.get(name) or {} for name in ("left", "right", "base"))
    names = "/".join(dict.fromkeys(str(part["name"]) for part in (left, right) if part.get("name")))
    return {
        "field": f"{number} {names}",
        "agreed": base.get("left"),
        "left": left.get("value"),
        "right": right.get("value"),
    }


def _tell(done: deciding.Decided, verb: str, *, as_json: bool) -> None:
    left_out = [{"case": case, "reason": str(message)} for case, message in done.left_out]
    if as_json:
        print_json({"decided": len(done.cases), "left_out": left_out, "runs": done.runs})
        return
    click.echo(f"{len(done.cases)} cases {verb}.")
    for one in left_out:
        click.echo(f"Case {one['case']} stays open: {one['reason']}")
    if done.runs:
        click.echo(f"Run {', '.join(map(str, done.runs))} carries it out.")


def _finish(session: Session, runs: list[int]) -> None:
    """Wait for runs; fails unless all end well."""
    for run_id in runs:
        running.finish(session, run_id)
        with session.house.db.read() as tx:
            row = reading.get(tx, run_id)
        print_run(row, as_json=False)
        fail_unless_well(row)
