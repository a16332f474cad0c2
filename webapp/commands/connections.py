"""`syncline connection`: looking at connections from the command line."""

from __future__ import annotations

from typing import Any

import click

from webapp.commands.session import Failed, as_option, current, json_option, print_json, print_rows
from webapp.connections import services as connections


@click.group()
def connection() -> None:
    """List, test and look into connections."""


@connection.command(name="list")
@json_option
def list_all(*, as_json: bool) -> None:
    """List all connections."""
    house = current().house
    with house.db.read() as tx:
        rows = [_row(row) for row in connections.list_connections(tx)]
    if as_json:
        print_json(rows)
        return
    columns = (("name", "NAME"), ("connector", "CONNECTOR"), ("state", "LAST TEST"), ("label", "LABEL"))
    print_rows(rows, columns, nothing="There are no connections.")


def _row(row: connections.ConnectionRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "connector": row.connector,
        "state": row.state,
        "label": row.label,
        "settings": dict(row.settings),
        "version": row.version,
    }


@connection.command()
@click.argument("name")
@json_option
def check(name: str, *, as_json: bool) -> None:
    """Test a connection step by step; the exit code is not zero if a step fails."""
    session = current()
    steps = connections.check(session.house, name, session.actor)
    failed = next((step for step in steps if not step.ok), None)
    if as_json:
        plain = [{"step": step.name, "ok": step.ok, "detail": str(step.detail)} for step in steps]
        print_json({"connection": name, "ok": failed is None, "steps": plain})
    else:
        for step in steps:
            click.echo(f"{'ok' if step.ok else 'FAILED':<7} {step.name}: {step.detail}")
    if failed is not None:
        raise Failed(f"The connection '{name}' does not work: {failed.detail}")


@connection.command()
@click.argument("name")
@json_option
def objects(name: str, *, as_json: bool) -> None:
    """List the objects that a connection's system has now."""
    found = connections.objects(current().house, name, refresh=True)
    rows = [
        {"name": o.name, "kind": o.kind, "records": o.records, "writable": o.writable, "label": o.label} for o in found
    ]
    if as_json:
        print_json(rows)
        return
    columns = (("name", "NAME"), ("kind", "KIND"), ("records", "RECORDS"), ("label", "LABEL"))
    print_rows(rows, columns, nothing=f"The connection '{name}' shows no objects.")


@connection.command()
@click.argument("name")
@click.argument("object_name", metavar="OBJECT")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 1000), help="Records to show.")
@as_option
@json_option
def preview(name: str, object_name: str, *, limit: int, as_json: bool) -> None:
    """Show the fields and the first records of an object."""
    found = connections.preview(current().house, name, object_name, limit)
    rows = found.rows.to_dicts()
    if as_json:
        fields = [{"name": f.name, "type": f.type.value, "nullable": f.nullable} for f in found.schema.fields]
        rejects = [{"place": r.place, "problem": str(r.message), "raw": r.raw} for r in found.rejects]
        print_json({"fields": fields, "key": list(found.schema.key), "records": rows, "rejects": rejects})
        return
    print_rows(rows, [(field.name, field.name) for field in found.schema.fields], nothing="There are no records.")
    for reject in found.rejects:
        click.echo(f"not readable: {reject.place}: {reject.message}", err=True)
