"""Checks of what an installation stands on, and the order in which they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
import sqlalchemy as sa

from webapp import wake
from webapp.audit import marks
from webapp.audit.marks import SealBroken
from webapp.audit.models import audit_event, audit_head, audit_leaf
from webapp.audit.sealing import head
from webapp.doctor import machine
from webapp.doctor.findings import Finding, bad, ok, unless, warning
from webapp.extensions import House
from webapp.migrations import services as migrations
from webapp.rulebook.models import rule
from webapp.rulebook.reading import list_rules
from webapp.runs.demand import shortage
from webapp.runs.models import run
from webapp.vault import services as vault
from webapp.vault.errors import VaultError
from webapp.vault.models import vault_secret
from webapp.vault.sealing import Owner

SKEW = 2.0
"""Seconds that two clocks may differ."""
SILENT = 120
WAITS, LEFT, UNSEALED = timedelta(minutes=15), timedelta(minutes=5), timedelta(minutes=15)


def examine(house: House) -> list[Finding]:
    """Make all checks; those that need the database are left out where it does not answer."""
    given = house.settings
    found = [*machine.settings(given), *machine.files(given), *machine.disk(given), *machine.egress(given)]
    found += [*machine.certificate(given), *machine.programs(given)]
    found += _redis(house)
    stored = list(_database(house))
    found += stored
    if any(one.state.value == "bad" for one in stored):
        return found
    for check in STORED:
        found += check(house)
    return found


def _database(house: House) -> Iterator[Finding]:
    shown = house.db.engine.url.render_as_string(hide_password=True)
    try:
        with house.db.read() as tx:
            version = ".".join(map(str, tx.dialect.server_version_info or ()))
            found = migrations.current(tx)
            now = None if house.db.is_sqlite else tx.scalar(sa.text("SELECT clock_timestamp()"))
    except sa.exc.SQLAlchemyError as error:
        why = str(getattr(error, "orig", error)).strip().split("\n")[-1]
        yield bad("database", f"{shown} does not answer ({why}).", "Start it, or correct SYNCLINE_DATABASE_URL.")
        return
    if found is None:
        yield bad("database", f"{shown} holds no installation.", "Run: syncline init")
    elif found != migrations.head():
        todo = "Run 'syncline init', or install the version that upgraded it."
        yield bad("database", f"It has revision {found}; this version needs {migrations.head()}.", todo)
    else:
        yield ok("database", f"{house.db.engine.dialect.name} {version}, revision {found}.")
    if now is not None:
        yield from _clock("database", now, house.clock())


def _clock(whose: str, theirs: datetime, ours: datetime) -> Iterator[Finding]:
    skew = abs((theirs - ours).total_seconds())
    said = f"The clock of the {whose} differs from this machine's by {skew:.1f} s."
    yield ok("clock", said) if skew <= SKEW else bad("clock", said, "Let both follow the same time server (NTP).")


def _redis(house: House) -> Iterator[Finding]:
    try:
        client: Any = wake.connect(house.settings.redis)
        info, (seconds, _micro) = client.info(), client.time()
        heard = wake.heard(house.settings, house.clock())
    except (redis.RedisError, OSError) as error:
        todo = "Start it ('syncline up' starts one), or correct SYNCLINE_REDIS_URL."
        yield bad("redis", f"Redis does not answer ({type(error).__name__}).", todo)
        return
    evicts = info.get("maxmemory_policy", "noeviction")
    if evicts != "noeviction":
        todo = "Set maxmemory-policy noeviction: what wakes workers up must not be thrown away."
        yield warning("redis", f"Redis throws keys away when memory is short ({evicts}).", todo)
    keeps = info.get("aof_enabled") or info.get("rdb_last_save_time")
    how = "keeps what it holds" if keeps else "keeps nothing over a restart, which costs seconds and no data"
    yield ok("redis", f"Redis {info.get('redis_version')} answers; it {how}.")
    yield from _clock("Redis server", datetime.fromtimestamp(seconds, UTC), house.clock())
    yield from _processes(heard)


def _processes(heard: dict[tuple[str, str], float]) -> Iterator[Finding]:
    for kind, command in (("worker", "syncline worker"), ("scheduler", "syncline scheduler")):
        alive = [seconds for (own, _name), seconds in heard.items() if own == kind and seconds <= SILENT]
        if alive:
            yield ok("processes", f"Of kind {kind}: {len(alive)}, last heard of {min(alive):.0f} s ago.")
        else:
            yield bad("processes", f"No {kind} was heard of for {SILENT} s.", f"Start one: {command}")


def _keys(house: House) -> Iterator[Finding]:
    with house.db.read() as tx:
        named = tx.execute(sa.select(vault_secret.c.owner_kind, vault_secret.c.owner_name, vault_secret.c.name)).all()
        try:
            ring = vault.keyring(house)
        except VaultError as error:
            yield bad("keys", str(error.message), str(error.remedy))
            return
        if named and not ring.exists():
            yield bad("keys", "The key that protects the secrets is missing.", "Put it back from where it is kept.")
            return
        found = []
        for kind, owner, name in named:
            try:
                vault.get(tx, ring, Owner(kind, owner), name)
            except VaultError as error:
                found.append(bad("keys", f"{kind} {owner}, {name}: {error.message}", str(error.remedy)))
    yield from unless(found, "keys", f"All {len(named)} secrets open.")


def _seal(house: House) -> Iterator[Finding]:
    with house.db.read() as tx:
        size = head(tx).size
        settled = tx.scalar(sa.select(audit_head.c.settled)) or 0
        sealed = sa.exists().where(audit_leaf.c.event_id == audit_event.c.id)  # some are, behind a number that is open
        oldest = tx.scalar(sa.select(sa.func.min(audit_event.c.at)).where(audit_event.c.id > settled, ~sealed))
    try:
        mark = marks.read(marks.place(house))
    except SealBroken as error:
        yield bad("audit seal", str(error), "Put the file back from a backup.")
        return
    if mark and mark.said.size > size:
        said = f"The log has {size} sealed events, and this machine has sealed {mark.said.size}: it was put back."
        yield bad("audit seal", said, "docs/disaster.md says what to do; if nobody has put it back, find out who did.")
    elif oldest and house.clock() - oldest > UNSEALED:
        todo = "Start a scheduler, and read its log; then: syncline audit verify"
        yield warning("audit seal", f"Events have waited for their seal since {oldest:%Y-%m-%d %H:%M} UTC.", todo)
    else:
        yield ok("audit seal", f"{size} events are sealed.")


def _runs(house: House) -> Iterator[Finding]:
    now = house.clock()
    columns = (run.c.id, run.c.state)
    left = sa.and_(run.c.state == "running", run.c.lease_until < now - LEFT)
    waits = sa.and_(run.c.state == "queued", run.c.requested_at < now - WAITS)
    with house.db.read() as tx:
        stuck = tx.execute(sa.select(*columns).where(sa.or_(left, waits)).order_by(run.c.id).limit(20)).all()
        held = tx.scalar(sa.select(sa.func.count()).where(rule.c.held_at.is_not(None)))
    what = {"running": "was left by its worker", "queued": "has waited for a worker for long"}
    todo = "Start workers and a scheduler; cancel the run if nobody needs it."
    found = [warning("runs", f"Run {row.id} {what[row.state]}.", todo) for row in stuck]
    if held:
        todo = "Simulate each, look at what it would do, then resume it."
        found.append(warning("runs", f"{held} rules are held, since a backup was put back.", todo))
    yield from unless(found, "runs", "No run is stuck.")


def _workers(house: House) -> Iterator[Finding]:
    with house.db.read() as tx:
        short = shortage(house, tx)
    if short is None:
        yield ok("workers", "There are enough workers for the runs that wait.")
        return
    said = (
        f"{short.waiting} runs wait, those that could begin for {short.minutes} min; "
        f"{short.needed} workers would find something to do, {short.workers} are there."
    )
    todo = "Start more workers (SYNCLINE_WORKERS, or 'syncline worker' on more machines), or let less be urgent."
    yield warning("workers", said, todo)


def _time_zones(house: House) -> Iterator[Finding]:
    with house.db.read() as tx:
        documents = [row.published or {} for row in list_rules(tx)]
    named = {str((document.get("schedule") or {}).get("timezone") or "UTC") for document in documents}
    yield from machine.time_zones({house.settings.timezone, *named})


STORED: tuple[Callable[[House], Iterator[Finding]], ...] = (_keys, _seal, _runs, _workers, _time_zones)
"""Checks that need the database."""
