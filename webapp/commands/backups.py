"""`syncline backup` and `syncline restore`: an installation kept elsewhere, and put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import click

import config
from webapp import logs
from webapp.backups import restoring, taking
from webapp.backups.archive import Key, Lock
from webapp.backups.restoring import Opened, Restored
from webapp.backups.settling import Settled
from webapp.commands.session import Failed, cli_actor, current, json_option, print_json
from webapp.evidence.notary import seal_due
from webapp.extensions import House, open_house
from webapp.installation import initialise
from webapp.supervisor import instance, preflight

TOLD = ("at", "installation", "revision", "database", "with_keys", "needs_keys", "sealed")
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--recipient", "recipients", multiple=True, help="Encrypt to this public key of age (age1...).")
@click.option("--passphrase-file", type=FILE, help="Encrypt with the passphrase in the first line of this file.")
@click.option("--with-keys", is_flag=True, help="Hold the keys too; only in an encrypted backup.")
@json_option
def backup(
    output: Path, *, recipients: tuple[str, ...], passphrase_file: Path | None, with_keys: bool, as_json: bool
) -> None:
    """Write a backup of the whole installation to a new file, while everything goes on.

    Without --with-keys the keys that protect secrets are not in it: keep keys/ of the data folder elsewhere.
    """
    if recipients and passphrase_file:
        raise Failed("Encrypt to recipients or with a passphrase, not both.")
    session = current()
    lock = Lock(recipients, _passphrase(passphrase_file))
    taken = taking.take(session.house, output, lock, session.actor, _tell(quiet=as_json), with_keys=with_keys)
    needs = [] if with_keys else taken.about["needs_keys"]
    if as_json:
        print_json({"file": str(output), "digest": taken.digest, "tables": taken.tables, "needs_keys": needs})
        return
    click.echo(f"{output} holds {sum(taken.tables.values()):,} rows and {taken.files} files. SHA-256 {taken.digest}")
    if needs:
        where = session.settings.key_file if "file" in session.settings.key_provider else "the place of your keys"
        click.echo(f"It does not hold the key that opens its secrets ({', '.join(needs)}). Keep {where} elsewhere.")
    if not lock:
        click.echo("It is not encrypted: whoever reads it reads all records. Encrypt it with --recipient.")


@click.command()
@click.argument("file", type=FILE, required=False)
@click.option("--identity", type=FILE, help="The file of the age key that the backup is encrypted to.")
@click.option("--passphrase-file", type=FILE, help="A file whose first line is the passphrase of the backup.")
@click.option(
    "--settle", is_flag=True, help="Put nothing back: the database itself was brought back to an earlier moment."
)
@click.option("--check", is_flag=True, help="Only check that the backup is whole, and say what is in it.")
@json_option
def restore(file: Path | None, *, settle: bool, check: bool, as_json: bool, **key: Path | None) -> None:
    """Put a backup back into an empty database and data folder.

    Nothing is overwritten. Afterwards no rule writes before somebody has looked at what it would do.
    """
    if (file is None) != settle:
        raise Failed("Name the backup to put back, or give --settle.")
    if file is None:
        _settle(as_json=as_json)
        return
    own = key["identity"].read_text("utf-8") if key["identity"] else ""
    opening = Key(own, _passphrase(key["passphrase_file"]))
    if check:
        with restoring.opened(file, opening) as opened:
            _show(opened, as_json=as_json)
        return
    _put_back(file, opening, as_json=as_json)


def _settle(*, as_json: bool) -> None:
    """Make a database that was brought back safe to go on from."""
    session = current()
    if instance.running(session.settings.data):
        raise Failed("Syncline runs on this data folder. Stop it first.")
    settled = restoring.settle(session.house, session.actor)
    seal_due(session.house)
    if as_json:
        print_json(settled.to_json())
        return
    for line in _consequences(settled):
        click.echo(line)


def _put_back(file: Path, key: Key, *, as_json: bool) -> None:
    settings = config.from_environment()
    preflight.data_folder(settings)
    if instance.running(settings.data):
        raise Failed("Syncline runs on this data folder. Stop it first.")
    preflight.database(settings)
    logs.configure(settings, "restore", terminal=False)
    house = open_house(settings)
    click.get_current_context().call_on_close(house.db.engine.dispose)
    with restoring.opened(file, key, settings.data) as opened:
        done = restoring.restore(house, opened, cli_actor(), _tell(quiet=as_json))
    initialise(house)
    seal_due(house)
    _say(done, house, as_json=as_json)


def _passphrase(path: Path | None) -> str:
    if path is None:
        return ""
    text = path.read_text("utf-8").split("\n", 1)[0].strip()
    if not text:
        raise Failed(f"{path} holds no passphrase in its first line.")
    return text


def _tell(*, quiet: bool) -> Callable[[str, int], None]:
    def tell(name: str, rows: int) -> None:
        if not quiet:
            click.echo(f"{rows:>12,}  {name}")

    return tell


def _show(opened: Opened, *, as_json: bool) -> None:
    told = {name: opened.about[name] for name in TOLD}
    if as_json:
        print_json({**told, "digest": opened.digest, "rows": opened.rows, "tables": opened.tables})
        return
    click.echo(f"Whole: {opened.rows:,} rows of {len(opened.tables)} tables. SHA-256 {opened.digest}")
    for name, value in told.items():
        click.echo(f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")


def _say(done: Restored, house: House, *, as_json: bool) -> None:
    if as_json:
        print_json({"taken_at": done.about["at"], "unreadable": done.unreadable, **done.settled.to_json()})
        return
    click.echo(f"Put back as of {done.about['at']}: {sum(done.tables.values()):,} rows, each table compared by digest.")
    for line in _consequences(done.settled):
        click.echo(line)
    if done.unreadable:
        click.echo(f"Secrets that do not open, to be entered again: {', '.join(done.unreadable)}.")
    if done.mark:
        click.echo(f"The mark of the log that was sealed here is now {done.mark}; keep it with older checkpoints.")
    click.echo(f"Start Syncline on {house.settings.data}.")


def _consequences(settled: Settled) -> Iterator[str]:
    """Yield what follows from an older state that was put back."""
    yield "What was done since then is not here, but in your systems it is:"
    for rule in settled.held:
        what = "finds what it has written by key" if rule.finds else "CANNOT FIND what it has written: it may double it"
        yield f"  {rule.name} is held; it {what}."
    if settled.held:
        yield "Simulate each rule, approve its plan if that is right, then resume it on its page."
    if settled.runs:
        yield f"{len(settled.runs)} runs that waited or worked were cancelled."
    if settled.logs:
        yield f"Logs of changes were let go; all records are compared once: {', '.join(settled.logs)}."
    if settled.actions:
        yield f"{settled.actions} actions of event rules wait for you: they may have been done since."
    if settled.transactions:
        yield f"{settled.transactions} transactions were undecided and may have been committed since: see Transactions."
    yield from _left_half(settled)
    yield f"{settled.sessions} sessions were ended. Users, roles and API keys are as they were then:"
    yield "  take back once more what was taken back since."
    yield "Messages that queues have handed over since, and files that were moved away, do not come back."
    yield "The audit log says that this older state was put back."


def _left_half(settled: Settled) -> Iterator[str]:
    if settled.deliveries:
        yield f"{settled.deliveries} deliveries may have been made since: their records wait in the quarantine."
    if settled.sagas:
        yield f"The steps of {settled.sagas} records may have been done since: they wait for you under Transactions."
