"""`syncline audit`: the seal of the log, its proofs, checkpoints and keys."""

from __future__ import annotations

import json
from pathlib import Path

import click

from webapp.audit import keys as key_lines
from webapp.audit.canonical import stamp
from webapp.audit.findings import Report
from webapp.audit.notes import BadNote, PublicKey, found_in
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.commands.session import Failed, Session, current, json_option, print_json, print_rows
from webapp.evidence import bundle, checking, deliveries, package, package_check, proofs, signing
from webapp.evidence.notary import seal_due
from webapp.evidence.stored import opened
from webapp.extensions import to_json

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
TAMPERED = 2


def export_sealed(session: Session, output: Path, *, runs: bool) -> None:
    """Seal what there is and write the whole log to a new file that `verify` reads."""
    house = session.house
    if output.exists():
        raise Failed(f"{output} exists already. Name a new file.")
    with house.db.begin() as tx:
        event = Event(Tag.AUDIT_EXPORTED, Subject("audit", "events"), after={"format": "sealed", "runs": runs})
        record(tx, session.actor, house.clock(), event)
    seal_due(house)
    head = {"origin": signing.origin(house), "at": stamp(house.clock()), "runs": runs}
    try:
        with opened(house) as log:
            bundle.write(output, log, head, checking.all_blobs(log.tx) if runs else ())
    except OSError as error:
        raise Failed(f"{output} cannot be written: {(error.strerror or 'unknown reason').lower()}.") from None


def write_package(session: Session, output: Path, wanted: package.Wanted) -> None:
    """Seal what there is and write an evidence package to a new file."""
    house = session.house
    if output.exists():
        raise Failed(f"{output} exists already. Name a new file.")
    with house.db.begin() as tx:
        event = Event(Tag.PACKAGE_ASKED, Subject("package", wanted.title or "-"), after=wanted.to_json())
        record(tx, session.actor, house.clock(), event)
    seal_due(house)
    try:
        count = package.write(house, output, wanted, session.actor.name)
    except package.NothingToProve as error:
        output.unlink(missing_ok=True)
        raise Failed(str(error)) from None
    except OSError as error:
        raise Failed(f"{output} cannot be written: {(error.strerror or 'unknown reason').lower()}.") from None
    click.echo(f"{output} proves {count} events. Check it with: syncline audit verify --file {output} --key KEY")


@click.command()
@click.option(
    "--file", "path", type=FILE, help="Check this export or evidence package instead of the log of this installation."
)
@click.option(
    "--key", "trusted", multiple=True, help="A public key of the log that you have from elsewhere; or a file with it."
)
@click.option(
    "--checkpoints", "kept", type=FILE, multiple=True, help="A file with checkpoints that were kept elsewhere."
)
@click.option("--proof", type=FILE, help="Check this proof of one event, as 'prove' prints it, with --key.")
@click.option("--runs/--no-runs", default=True, show_default=True, help="Check the records of runs too.")
@json_option
def verify(
    path: Path | None,
    *,
    trusted: tuple[str, ...],
    kept: tuple[Path, ...],
    proof: Path | None,
    runs: bool,
    as_json: bool,
) -> None:
    """Check that nothing in the audit log was altered; the exit code is 2 where something was.

    Without --key and --checkpoints the log vouches for itself: whoever holds its signing key, or puts an old backup
    back, is found out only by what was kept elsewhere.
    """
    keys = [_key(text) for text in trusted]
    if proof is not None:
        _check_proof(proof, keys)
        return
    notes = [note for one in kept for note in _notes(one)]
    package = path is not None and package_check.is_package(path)
    if path and package:
        report = package_check.check(path, keys, notes)
    else:
        report = _of_file(path, keys, notes, runs=runs) if path else _of_house(current(), keys, notes, runs=runs)
    if as_json:
        print_json(report.to_json())
    else:
        _tell(report, package=package)
    if not report.intact:
        click.get_current_context().exit(TAMPERED)


def _check_proof(path: Path, keys: list[PublicKey]) -> None:
    if not keys:
        raise Failed("A proof is checked with a public key of the log: give it with --key.")
    try:
        proof = json.loads(path.read_text("utf-8"))
    except ValueError:
        proof = None
    if not isinstance(proof, dict) or not proofs.holds(proof, keys):
        click.echo("The proof does not hold.")
        click.get_current_context().exit(TAMPERED)
    click.echo("The proof holds: the log has this event.")


def _of_file(path: Path, keys: list[PublicKey], notes: list[str], *, runs: bool) -> Report:
    export = bundle.Bundle(path)
    try:
        if not (runs and export.has_runs):
            return checking.check(export, None, keys, notes)
        rows = [checking.Row(run_id, number) for run_id, number in export.parts()]
        return checking.check(export, export.blob, keys, notes, rows)
    finally:
        export.close()


def _of_house(session: Session, keys: list[PublicKey], notes: list[str], *, runs: bool) -> Report:
    house = session.house
    with opened(house) as log:
        blobs, rows = (checking.stored_blobs(log.tx), checking.stored_rows(log.tx)) if runs else (None, ())
        report = checking.check(log, blobs, keys, notes, rows)
    with house.db.begin() as tx:
        told = {
            "intact": report.intact,
            "size": report.size,
            "findings": {k.value: n for k, n in report.counts.items()},
        }
        record(tx, session.actor, house.clock(), Event(Tag.AUDIT_VERIFIED, Subject("audit", "events"), after=told))
    return report


def _key(text: str) -> PublicKey:
    path = Path(text)
    try:
        if len(text) < 256 and path.is_file():
            text = path.read_text("utf-8")
        return PublicKey.parse(text)
    except (BadNote, OSError, UnicodeDecodeError):
        raise Failed("--key: this is not a public key of an audit log. 'syncline audit keys' prints them.") from None


def _notes(path: Path) -> list[str]:
    found = found_in(path.read_text("utf-8", "replace"))
    if not found:
        raise Failed(f"{path} holds no checkpoint of an audit log.")
    return found


def _tell(report: Report, *, package: bool = False) -> None:
    for finding in report.findings:
        click.echo(f"{finding.kind.value.upper()}: {finding.message}")
    hidden = sum(report.counts.values()) - len(report.findings)
    if hidden:
        click.echo(f"and {hidden} more")
    parts = [f"{report.size} sealed events", f"{report.checkpoints} checkpoints"]
    parts += [f"{report.events} events in the package"] if package else []
    parts += [f"{report.removed} events not there any more"] if report.removed else []
    parts += [f"{report.chunks} parts of runs"] if report.chunks else []
    parts += [f"{report.elsewhere} checkpoints from elsewhere"] if report.elsewhere else []
    fits = "Intact" if report.trusted else "Fits itself"
    click.echo(f"{fits if report.intact else 'Altered'}: {', '.join(parts)}. Root {report.root}")
    last = f"the last checkpoint is of {stamp(report.sealed_at)}" if report.sealed_at else "there is no checkpoint"
    click.echo(f"{report.waiting} events are not sealed yet; {last}.")
    if not report.trusted:
        click.echo("No key from elsewhere was given (--key): the log vouches for itself.")


@click.command()
@json_option
def status(*, as_json: bool) -> None:
    """Show how far the log is sealed, and how far its checkpoints have been sent."""
    house = current().house
    with opened(house) as log:
        found = {"sealed": log.size, "waiting": log.pending(), "keys": len(log.keys())}
    sent = [one.to_json() for one in deliveries.state(house)]
    if as_json:
        print_json({**found, "targets": sent})
        return
    click.echo(f"{found['sealed']} events are sealed, {found['waiting']} wait.")
    columns = (
        ("target", "TARGET"),
        ("size", "HAS"),
        ("behind", "BEHIND"),
        ("lag_seconds", "SECONDS"),
        ("sent_at", "SENT (UTC)"),
        ("problem", "PROBLEM"),
    )
    print_rows(sent, columns, nothing="Checkpoints are sent nowhere. Set SYNCLINE_CHECKPOINTS_TO.")


@click.command()
@click.option("--rotate", is_flag=True, help="Make a new signing key, which the last one vouches for.")
@json_option
def keys(*, rotate: bool, as_json: bool) -> None:
    """Print the public keys of the log, the newest last: keep one elsewhere for 'verify --key'."""
    session = current()
    signing.signer(session.house)
    if rotate:
        seal_due(session.house)
        signing.renew(session.house, session.actor)
    with session.house.db.read() as tx:
        found = key_lines.lines(tx)
    if as_json:
        print_json([{"no": line.no, "public": line.public, "at": line.at} for line in found])
        return
    for line in found:
        click.echo(line.public)


@click.command()
@click.argument("event_id", type=int)
def prove(event_id: int) -> None:
    """Print the proof that an event is in the log; 'verify --proof' checks it with a public key only."""
    house = current().house
    seal_due(house)
    with house.db.read() as tx:
        click.echo(to_json(proofs.of_event(tx, event_id)))


COMMANDS: tuple[click.Command, ...] = (verify, status, keys, prove)
