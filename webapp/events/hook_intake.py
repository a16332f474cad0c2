"""How a delivery of a web hook comes in: proven, known again, stored as an event in one transaction.

What is refused is counted, and told to nobody: an unknown hook, a wrong key and an old time are one answer, after the
same work. A hook that does not exist is worked out like one that does, with keys that nobody has.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from webapp.events import intake
from webapp.events.hook_schemes import SCHEMES, SLOTS, Proof, Scheme
from webapp.events.hook_tally import UNKNOWN, Reason, Tally
from webapp.events.hooks import CURRENT, NEXT, OWNER, Hook, find
from webapp.events.models import event_hook_delivery, event_hook_seen
from webapp.extensions import Actor, House
from webapp.vault import services as vault
from webapp.vault.errors import SecretMissing
from webapp.vault.sealing import Owner, Sealed, seal, unseal

REMEMBERED = timedelta(days=1)
"""For how long a delivery is known again; longer than any window, before or behind our clock."""
MAX_ID = 200
DEEPEST = 100
"""So many levels of objects and lists a body may have."""
JSON_TYPES = frozenset({"application/json", "text/json"})
FORM = "application/x-www-form-urlencoded"
TEXTS = frozenset({"text/plain", "text/xml", "application/xml"})
_DECOY = "decoy"


class Refused(Exception):
    """A delivery is not taken; `reason` is for our own list only."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Delivery:
    """What came in at the address of a hook."""

    name: str
    headers: Mapping[str, str]
    body: bytes
    kind: str
    address: str
    request_id: str = ""


@dataclass(frozen=True)
class Taken:
    """What a delivery became: the id of its event, and whether it was known before."""

    uid: str
    known: bool


@dataclass(frozen=True)
class Shown:
    """A delivery whose signature is right, by which hook and key."""

    hook: Hook
    proof: Proof
    key: str


class Intake:
    """Takes deliveries for a house."""

    def __init__(self, house: House, tally: Tally) -> None:
        self._house = house
        self._tally = tally
        self._decoys: dict[str, Sealed] = {}

    def prove(self, delivery: Delivery) -> Shown:
        """Return whose delivery it is; raises `Refused`, after the same work whatever is wrong."""
        hook, keys = self._keys(delivery.name)
        scheme = SCHEMES[hook.scheme if hook else "syncline"]
        headers = (hook.signature_header, hook.time_header) if hook else ("", "")
        proof = scheme.proof(delivery.headers, *headers)
        signer = scheme.signer([value for _, value in keys], proof, delivery.body)
        reason = self._reason(hook, scheme, proof, signer if signer is not None and keys[signer][0] else None)
        if reason is not None or hook is None or signer is None:
            self._tally.add(hook.id if hook else UNKNOWN, reason or Reason.UNKNOWN, delivery.address)
            raise Refused(reason or Reason.UNKNOWN)
        return Shown(hook, proof, keys[signer][0])

    def _reason(self, hook: Hook | None, scheme: Scheme, proof: Proof, signer: int | None) -> Reason | None:
        """Return why a delivery is refused, None where it is not."""
        if hook is None:
            return Reason.UNKNOWN
        if not proof.signatures:
            return Reason.UNSIGNED
        if signer is None:
            return Reason.SIGNATURE if hook.keys else Reason.NO_KEY
        if scheme.timed and not self._timely(proof, hook.seconds):
            return Reason.TIME
        return None if hook.enabled else Reason.DISABLED

    def _timely(self, proof: Proof, seconds: int) -> bool:
        now = self._house.clock().timestamp()
        return proof.seconds is not None and abs(now - proof.seconds) <= seconds

    def _keys(self, name: str) -> tuple[Hook | None, list[tuple[str, str]]]:
        """Return a hook with id and value of each key, filled up with keys that nobody has."""
        ring, owner, found = vault.keyring(self._house), Owner(OWNER, "-"), []
        with self._house.db.read() as tx:
            hook = find(tx, name[:64])
            if hook is not None:
                owner = Owner(OWNER, hook.name)
            for place in (CURRENT, NEXT):
                try:
                    value = vault.get(tx, ring, owner, place)
                except SecretMissing:
                    found.append(("", self._decoy(place)))
                else:
                    found.append((hook.keys.get(place, {}).get("id", "") if hook else "", value))
        return hook, found[:SLOTS]

    def _decoy(self, place: str) -> str:
        """Return a key that nobody has, opened as one of the vault is."""
        ring = vault.keyring(self._house)
        sealed = self._decoys.get(place)
        if sealed is None or sealed.key_id != ring.current:
            sealed = self._decoys[place] = seal(ring, _DECOY, secrets.token_urlsafe(32))
        return unseal(ring, _DECOY, sealed)

    def take(self, delivery: Delivery, shown: Shown) -> Taken:
        """Store a proven delivery as an event, once; raises `Refused` where its body is of no use."""
        hook, now = shown.hook, self._house.clock()
        try:
            data = read(delivery.body, delivery.kind)
        except Refused as refusal:
            self._tally.add(hook.id, refusal.reason, delivery.address)
            raise
        uid = uuid.uuid4().hex
        with self._house.db.begin() as tx:
            known = _remember(tx, hook.id, marks(hook, shown.proof, delivery), uid, now)
            if known is None:
                actor = Actor("hook", hook.name, None, delivery.address, delivery.request_id or None)
                intake.take(tx, [intake.Incoming(uid, hook.type, now, data)], f"hook:{hook.name}", actor, now)
                row = {"uid": uid, "hook_id": hook.id, "at": now, "address": delivery.address[:64]}
                tx.execute(sa.insert(event_hook_delivery).values(**row, size=len(delivery.body), key=shown.key))
        if known is not None:
            self._tally.add(hook.id, Reason.REPEATED, delivery.address)
        return Taken(known or uid, known is not None)


def marks(hook: Hook, proof: Proof, delivery: Delivery) -> list[str]:
    """Return by what a delivery is known again: what was signed, and the sender's id for it where there is one."""
    scheme = SCHEMES[hook.scheme]
    found = [hashlib.sha256(b"signed\0" + scheme.message(proof, delivery.body)).hexdigest()]
    given = delivery.headers.get(scheme.delivery.lower(), "")[:MAX_ID] if scheme.delivery else ""
    if given:
        found.append(hashlib.sha256(b"id\0" + given.encode("utf-8", "replace")).hexdigest())
    return sorted(found)  # two at once wait for one another, and never in a circle


def _remember(tx: sa.Connection, hook_id: int, digests: Sequence[str], uid: str, now: datetime) -> str | None:
    """Note a delivery; return the id of the event that it became before, None where it is new."""
    table = event_hook_seen
    mine = (table.c.hook_id == hook_id, table.c.digest.in_(digests))
    tx.execute(sa.delete(table).where(*mine, table.c.at < now - REMEMBERED))
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    for digest in digests:
        row = insert(table).values(hook_id=hook_id, digest=digest, uid=uid, at=now)
        tx.execute(row.on_conflict_do_nothing(index_elements=["hook_id", "digest"]))
    others = tx.scalars(sa.select(table.c.uid).where(*mine, table.c.uid != uid).order_by(table.c.at)).all()
    if not others:
        return None
    tx.execute(sa.delete(table).where(*mine, table.c.uid == uid))
    return str(others[0])


def accepts(kind: str) -> bool:
    """Tell whether bodies of a content type are taken."""
    return kind in JSON_TYPES or kind == FORM or kind in TEXTS or kind.endswith(("+json", "+xml"))


def read(body: bytes, kind: str) -> dict[str, Any]:
    """Return the data of the event that a body becomes; raises `Refused`."""
    try:
        text = body.decode("utf-8-sig")
        if kind == FORM:
            data = _form(text)
        elif kind in JSON_TYPES or kind.endswith("+json"):
            data = json.loads(text)
        else:
            data = {"text": text}
        stored = json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise Refused(Reason.BODY) from None
    if b"\\u0000" in stored.replace(b"\\\\", b"") or _deep(data):  # no database keeps it
        raise Refused(Reason.BODY)
    return data if isinstance(data, dict) else {"body": data}


def _deep(data: Any) -> bool:
    """Tell whether data is nested more deeply than what works with it can follow."""
    inside = [data]
    for _ in range(DEEPEST):
        inside = [
            value
            for one in inside
            if isinstance(one, (dict, list))
            for value in (one.values() if isinstance(one, dict) else one)
        ]
    return bool(inside)


def _form(text: str) -> Any:
    """Return the fields of a form; one that holds all as JSON, as GitHub and Slack send it, is taken for that."""
    pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=1000, errors="strict")
    if len(pairs) == 1 and pairs[0][0] == "payload":
        return json.loads(pairs[0][1])
    fields: dict[str, Any] = {}
    for name, value in pairs:
        before = fields.get(name)
        fields[name] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
    return fields
