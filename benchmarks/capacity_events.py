"""Audit events in millions, sealed as the sealer does it: rows and leaves by the database, nodes and notes here.

What is made is true in every hash: `syncline audit verify` finds nothing to say against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import psycopg
import sqlalchemy as sa

from webapp.audit import marks
from webapp.audit.canonical import document, leaf_of
from webapp.audit.marks import Mark
from webapp.audit.merkle import Frontier
from webapp.audit.models import audit_checkpoint, audit_event, audit_head, audit_leaf
from webapp.audit.notes import Checkpoint, sign
from webapp.audit.sealing import head, seal_all
from webapp.evidence.signing import signer
from webapp.extensions import House

PART = 250_000
SEALED = 1000
"""A checkpoint stands behind so many events."""
SPREAD = timedelta(days=3 * 365)
_NAMES = "id, at, tag, actor_kind, actor_id, actor_name, address, request_id, subject_kind, subject, record_key, run_id"
_MADE = """
CREATE TEMPORARY TABLE made ON COMMIT DROP AS
SELECT i AS id, CAST(:start AS timestamptz) + i * CAST(:step AS interval) AS at, kind.*,
       CASE kind.actor_kind WHEN 'user' THEN CAST(i * 7919 % 500 AS text) END AS actor_id,
       CASE kind.actor_kind WHEN 'user' THEN 'user' || i * 7919 % 500 ELSE 'Syncline' END AS actor_name,
       CASE kind.actor_kind WHEN 'user' THEN '10.0.' || i % 200 || '.' || i % 250 END AS address,
       CAST(NULL AS text) AS request_id, CAST(NULL AS text) AS reason
FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS i
CROSS JOIN LATERAL (VALUES
  (0, 3, 'entities:record:updated', 'user', 'entity', 'entity' || i % 200, CAST(i * 31 % 100000 AS text),
   CAST(NULL AS bigint), '{"phone":"+86 138' || i || '"}', '{"phone":"+86 139' || i || '"}'),
  (4, 5, 'runs:run:started', 'system', 'rule', 'rule' || i % 1000, NULL, i % :runs + 1, NULL, '{"mode":"live"}'),
  (6, 7, 'runs:run:ended', 'system', 'rule', 'rule' || i % 1000, NULL, i % :runs + 1, NULL,
   '{"counts":{"created":' || i % 97 || ',"read"\\:5000},"state":"succeeded"}'),
  (8, 8, 'access:session:signed_in', 'user', 'user', 'user' || i * 7919 % 500, NULL, NULL, NULL, NULL),
  (9, 9, 'rulebook:rule:updated', 'user', 'rule', 'rule' || i % 1000, NULL, NULL, NULL, '{"title":"Rule ' || i || '"}')
) AS kind(low, high, tag, actor_kind, subject_kind, subject, record_key, run_id, before, after)
WHERE i % 10 BETWEEN kind.low AND kind.high
"""
_EVENTS = f"""
INSERT INTO audit_event ({_NAMES}, before, after, reason)
SELECT {_NAMES}, CAST(before AS jsonb), CAST(after AS jsonb), reason FROM made
"""
_TEXTS = ("actor_id", "actor_kind", "actor_name", "address")


def _json(name: str) -> str:
    return f"coalesce(CAST(to_json({name}) AS text), 'null')"


_AT = """to_json(to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))"""
_MEMBERS = {
    **{name: _json(name) for name in _TEXTS},
    "after": "coalesce(after, 'null')",
    "at": f"CAST({_AT} AS text)",
    "before": "coalesce(before, 'null')",
    "id": "CAST(id AS text)",
    **{
        name: _json(name) for name in ("reason", "record_key", "request_id", "run_id", "subject", "subject_kind", "tag")
    },
    "v": "'1'",
}
_TEXT = " || ',' || ".join(f"""'"{name}":' || {_MEMBERS[name]}""" for name in sorted(_MEMBERS))
_LEAVES = f"""
INSERT INTO audit_leaf (seq, event_id, hash)
SELECT id - 1, id, sha256('\\x00'::bytea || convert_to('{{' || {_TEXT} || '}}', 'UTF8')) FROM made
"""


def fill(house: House, events: int, runs: int) -> None:
    """Put events into a log and seal them; the last one is of now, the first one of the house's own time."""
    signer(house)  # its key is an event as well
    with house.db.begin() as tx:
        first = (tx.scalar(sa.select(sa.func.max(audit_event.c.id))) or 0) + 1
    seal_all(house, signer(house))
    with house.db.read() as tx:
        now = head(tx)
        assert now.size == first - 1, "the log holds what is not sealed"
    start, step = house.clock(), SPREAD / events
    begun = {"start": start, "step": step, "runs": runs}
    indexes = sorted(audit_event.indexes, key=lambda index: str(index.name))
    with house.db.begin() as tx:
        for index in indexes:
            index.drop(tx)
    for low in range(first, first + events, PART):
        span = {"first": low, "last": min(low + PART, first + events) - 1}
        with house.db.begin() as tx:
            tx.execute(sa.text(_MADE), {**begun, **span})
            tx.execute(sa.text(_EVENTS))
            tx.exec_driver_sql(_LEAVES)
        print(f"  {span['last']:,} events", flush=True)
    for index in indexes:
        with house.db.begin() as tx:
            index.create(tx)
    _check(house, first)
    _seal(house, Frontier.load(now.size, now.edge), first + events - 1, lambda size: start + size * step)


def _check(house: House, first: int) -> None:
    """Hold the leaves that the database made against those of the product."""
    joined = audit_event.join(audit_leaf, audit_leaf.c.event_id == audit_event.c.id)
    query = sa.select(audit_event, audit_leaf.c.hash).select_from(joined).where(audit_event.c.id >= first)
    with house.db.read() as tx:
        for row in tx.execute(query.order_by(audit_event.c.id).limit(100)):
            assert leaf_of(document(row)) == bytes(row.hash), f"event {row.id} has another seal"


def _seal(house: House, tree: Frontier, last: int, at: Callable[[int], datetime]) -> None:
    """Make nodes, checkpoints and the head over leaves that are there."""
    key, note = signer(house), ""
    url = house.db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    begun = tree.size
    with psycopg.connect(url) as reading, psycopg.connect(url) as writing, writing.cursor() as nodes:
        checkpoints = []
        with nodes.copy("COPY audit_node (level, no, hash) FROM STDIN") as copy:
            for leaf in _leaves(reading, begun):
                for level, number, own in tree.append(leaf):
                    copy.write_row((level, number, own))
                if tree.size % SEALED == 0 or tree.size == last:
                    sealed = at(tree.size)
                    note = sign(Checkpoint(key.name, tree.size, tree.root(), sealed).text, key)
                    checkpoints.append((tree.size, sealed, note))
        with nodes.copy("COPY audit_checkpoint (size, at, note) FROM STDIN") as copy:
            for row in checkpoints:
                copy.write_row(row)
    with house.db.begin() as tx:
        tx.execute(sa.update(audit_head).values(size=tree.size, edge=tree.dump(), settled=last, mark_id=None))
        tx.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('audit_event', 'id'), {last})")
        assert tx.scalar(sa.select(sa.func.max(audit_checkpoint.c.size))) == last
    marks.write(marks.place(house), Mark(key.public, note))


def _leaves(connection: psycopg.Connection, start: int) -> Iterator[bytes]:
    with connection.cursor("leaves") as cursor:
        cursor.itersize = 20_000
        cursor.execute("SELECT hash FROM audit_leaf WHERE seq >= %s ORDER BY seq", (start,))
        for (leaf,) in cursor:
            yield bytes(leaf)
