"""`syncline events`: sending events, simulating event rules, and the process that works on them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, TextIO

import click

from rules.documents import DocumentError, load_documents
from rules.text import Message
from webapp.commands.session import Failed, as_option, current, json_option, print_json, print_rows
from webapp.events import intake, reading, simulating
from webapp.rulebook import reading as rulebook


@click.group()
def events() -> None:
    """Send events to event rules, and see what they made of them."""


@events.command()
def work() -> None:
    """Run the process that works on events, until SIGTERM."""
    from webapp.commands.processes import ready  # noqa: PLC0415 - loads the supervisor
    from webapp.events import program  # noqa: PLC0415 - loads connectors and the engine

    program.run(ready("events"))


@events.command()
@click.argument("file", type=click.File("r", encoding="utf-8"))
@json_option
def post(file: TextIO, *, as_json: bool) -> None:
    """Send the events of a JSON file: one, a list, or one a line; - reads from the terminal."""
    session = current()
    try:
        done = intake.post(session.house, _items(file.read()), f"cli:{session.actor.name}", session.actor)
    except intake.EventRefused as refusal:
        raise Failed(str(refusal.message)) from None
    if as_json:
        print_json({"stored": done.stored, "known": done.known})
    else:
        click.echo(f"{done.stored} events stored, {done.known} known before.")


def _items(text: str) -> list[Any]:
    try:
        try:
            found = json.loads(text)
        except json.JSONDecodeError:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise Failed(f"The file is not JSON: {error}") from None
    if isinstance(found, dict) and isinstance(found.get("events"), list):
        found = found["events"]
    return found if isinstance(found, list) else [found]


@events.command("list")
@click.option("--type", "type_", help="Only events of this type.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="Events to show.")
@as_option
@json_option
def list_(*, type_: str | None, limit: int, as_json: bool) -> None:
    """List events, the latest first."""
    with current().house.db.read() as tx:
        found = reading.events(tx, type_=type_, limit=limit)
    names = ("uid", "type", "at", "source", "taken_at")
    rows = [{**{n: getattr(one, n) for n in names}, "notes": [str(note) for note in one.notes]} for one in found]
    if as_json:
        print_json([{**row, "data": one.data} for row, one in zip(rows, found, strict=True)])
        return
    columns = [("uid", "ID"), ("type", "TYPE"), ("at", "AT"), ("source", "FROM"), ("taken_at", "TAKEN"), ("notes", "")]
    print_rows(rows, columns, nothing="There are no events.")


@events.command()
@click.argument("rule")
@click.option("--ended", is_flag=True, help="Those that have ended.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="Processes to show.")
@as_option
@json_option
def processes(rule: str, *, ended: bool, limit: int, as_json: bool) -> None:
    """List what is open for an event rule, with its state and its next timer."""
    with current().house.db.read() as tx:
        rulebook.get(tx, rule)
        found = reading.processes(tx, rule, live=not ended, limit=limit)
    rows = [
        {
            "key": one.key,
            "state": one.state,
            "since": one.since,
            "changed_at": one.changed_at,
            "due": one.timers[0][1] if one.timers else None,
        }
        for one in found
    ]
    if as_json:
        print_json(rows)
        return
    columns = [("key", "KEY"), ("state", "STATE"), ("since", "SINCE"), ("changed_at", "CHANGED"), ("due", "TIMER")]
    print_rows(rows, columns, nothing="Nothing has ended." if ended else "Nothing is open.")


@events.command()
@click.option("--rule", help="Only actions of this rule.")
@click.option("--state", type=click.Choice(reading.ACTION_STATES), help="Only actions in this state.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="Actions to show.")
@as_option
@json_option
def actions(*, rule: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List actions of event rules, the latest first."""
    with current().house.db.read() as tx:
        found = reading.actions(tx, reading.Wanted(rule, state), limit)
    names = ("id", "rule_name", "key", "kind", "state", "attempts", "created_at")
    rows = [{**{n: getattr(one, n) for n in names}, "problem": str(one.problem or "")} for one in found]
    if as_json:
        print_json([{**row, "args": one.args, "result": one.result} for row, one in zip(rows, found, strict=True)])
        return
    columns = [(name, name.upper()) for name in ("id", "rule_name", "key", "kind", "state", "attempts", "problem")]
    print_rows(rows, columns, nothing="There are no actions.")


@events.command()
@click.argument("rule")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.option("--until", help="Fire timers up to this time; all of them if left out.")
@json_option
def simulate(rule: str, file: TextIO, *, until: str | None, as_json: bool) -> None:
    """Show what an event rule (its name, or a file with its document) would do about the events of a JSON file."""
    session = current()
    try:
        moment = datetime.fromisoformat(until) if until else None
    except ValueError:
        raise Failed(f"--until: '{until}' is not a time such as 2026-01-31T12:00:00Z.") from None
    try:
        found = simulating.simulate(session.house, _document(rule), _items(file.read()), moment)
    except simulating.SimulationRefused as refusal:
        raise Failed(str(refusal.message)) from None
    if as_json:
        print_json(found)
        return
    for entry in found["entries"]:
        click.echo(f"{entry['at'][:19].replace('T', ' ')}  {entry['key'] or '-':<20}  {_words(entry)}")
    for live in found["live"]:
        click.echo(f"open: {live['key']} {live['state'] or ''}".rstrip())


def _document(rule: str) -> dict[str, Any]:
    if rule.endswith((".yaml", ".yml", ".json")):
        try:
            with open(rule, encoding="utf-8") as file:
                documents = load_documents(file.read(), "json" if rule.endswith(".json") else "yaml")
        except (OSError, DocumentError) as error:
            raise Failed(f"{rule} cannot be read: {error}") from None
        if len(documents) != 1:
            raise Failed(f"{rule} has to hold exactly one document.")
        return documents[0].document
    with current().house.db.read() as tx:
        return rulebook.get(tx, rule).document


def _words(entry: dict[str, Any]) -> str:
    match entry["kind"]:
        case "event":
            return f"{entry['type']} {entry['id']}: " + (", ".join(entry["names"]) or "left aside")
        case "note":
            return str(Message.from_json(entry["message"]))
        case "action":
            problem = f": {Message.from_json(entry['problem'])}" if entry["problem"] else ""
            return f"  {entry['do']} {json.dumps(entry['values'], ensure_ascii=False)}{problem}"
        case "move":
            return f"{entry['before']} > {entry['after']}"
        case _:
            return "met"
