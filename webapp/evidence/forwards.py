"""Where audit events are forwarded to: settings, with the secret in the vault, and how far each target is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.audit import sealing
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.evidence.forward_formats import CEF, JSON, RFC5424
from webapp.evidence.models import audit_forward
from webapp.evidence.targets import shown
from webapp.extensions import Actor, House
from webapp.vault import services as vault
from webapp.vault.sealing import Owner

SYSLOG = ("syslog", "syslog+tcp", "syslog+tls")
HTTPS = ("https", "http")
SIGNS = ("none", "bearer", "hmac")
FORMATS = (RFC5424, JSON, CEF)
SECRET = "secret"  # noqa: S105 - the name of a secret
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")


class Wrong(Exception):
    """A target cannot be set so; `errors` says by field what to do."""

    def __init__(self, errors: Mapping[str, Message]) -> None:
        super().__init__("; ".join(map(str, errors.values())))
        self.errors = errors


@dataclass(frozen=True)
class Form:
    """What is set of a target; `secret` None leaves the stored one, `start` is "now" or "begin" for a new one."""

    name: str
    address: str
    format: str = RFC5424
    sign: str = "none"
    certificates: str = ""
    only: str = ""
    enabled: bool = True
    secret: str | None = None
    start: str = "now"


@dataclass(frozen=True)
class Forward:
    """A target, and how far it is: `behind` sealed events wait for it."""

    id: int
    name: str
    address: str
    format: str
    enabled: bool
    settings: Mapping[str, Any]
    position: int
    sent: int
    sent_at: datetime | None
    attempts: int
    due_at: datetime
    problem: Message | None
    behind: int = 0

    @property
    def scheme(self) -> str:
        """Return how it is reached."""
        return urlsplit(self.address).scheme

    @property
    def shown(self) -> str:
        """Return its address without what may be a secret in it: log servers take tokens in paths and queries."""
        return shown(self.address)

    def to_json(self) -> dict[str, Any]:
        """Return its state as the API shows it."""
        names = ("name", "shown", "format", "enabled", "position", "sent", "attempts", "behind", "sent_at")
        told = {"address" if name == "shown" else name: getattr(self, name) for name in names}
        return {**told, "problem": str(self.problem) if self.problem else None}


_COLUMNS = tuple(audit_forward.c[name] for name in Forward.__dataclass_fields__ if name != "behind")


def listing(tx: sa.Connection) -> list[Forward]:
    """Return all targets, by name."""
    size = sealing.head(tx).size
    return [_forward(row, size) for row in tx.execute(sa.select(*_COLUMNS).order_by(audit_forward.c.name))]


def get(tx: sa.Connection, number: int) -> Forward | None:
    """Return a target."""
    row = tx.execute(sa.select(*_COLUMNS).where(audit_forward.c.id == number)).one_or_none()
    return None if row is None else _forward(row, sealing.head(tx).size)


def _forward(row: Any, size: int) -> Forward:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented way
    values["problem"] = Message.from_json(values["problem"]) if values["problem"] else None
    return Forward(**values, behind=max(0, size - row.position))


def save(house: House, form: Form, actor: Actor, number: int | None = None) -> int:
    """Add a target, or change one; raises `Wrong`."""
    now = house.clock()
    with house.db.begin() as tx:
        old = get(tx, number) if number is not None else None
        _refuse(tx, form, old)
        values = _values(form)
        if old is None:
            position = sealing.head(tx).size if form.start == "now" else 0
            fresh = {"position": position, "sent": 0, "attempts": 0, "due_at": now, "created_at": now}
            key = tx.execute(sa.insert(audit_forward).values(**values, **fresh, created_by=actor.name))
            number = int((key.inserted_primary_key or (0,))[0])
        else:
            state = {"due_at": now, "attempts": 0, "problem": None}
            tx.execute(sa.update(audit_forward).where(audit_forward.c.id == old.id).values(**values, **state))
        if form.secret:
            vault.put(tx, vault.keyring(house), owner(number or 0), SECRET, form.secret, actor, now)
        before = {"address": old.shown, "format": old.format, "enabled": old.enabled, **old.settings} if old else None
        told = {"address": shown(form.address), "format": form.format, "enabled": form.enabled, **values["settings"]}
        told |= {"secret": "set"} if form.secret else {}
        record(tx, actor, now, Event(Tag.FORWARD_SET, Subject("forward", form.name), before, told))
    return number or 0


def delete(house: House, number: int, actor: Actor) -> bool:
    """Forget a target with its secret; False where there is none."""
    now = house.clock()
    with house.db.begin() as tx:
        old = get(tx, number)
        if old is None:
            return False
        tx.execute(sa.delete(audit_forward).where(audit_forward.c.id == number))
        vault.forget(tx, owner(number), actor, now)
        told = {"address": old.shown, "position": old.position, "behind": old.behind}
        record(tx, actor, now, Event(Tag.FORWARD_DELETED, Subject("forward", old.name), told, None))
    return True


def owner(number: int) -> Owner:
    """Return whose the secret of a target is."""
    return Owner("forward", str(number))


def _values(form: Form) -> dict[str, Any]:
    settings = {"sign": form.sign, "certificates": form.certificates.strip(), "only": " ".join(form.only.split())}
    return {
        "name": form.name,
        "address": form.address,
        "format": form.format,
        "enabled": form.enabled,
        "settings": settings,
    }


def _refuse(tx: sa.Connection, form: Form, old: Forward | None) -> None:
    errors: dict[str, Message] = {}
    taken = tx.scalar(sa.select(audit_forward.c.id).where(audit_forward.c.name == form.name))
    if not _NAME.fullmatch(form.name):
        errors["name"] = msg("Give it a name of letters, digits, blanks, dots and dashes.")
    elif taken is not None and (old is None or taken != old.id):
        errors["name"] = msg("There is a target of this name already.")
    errors |= _refuse_address(form.address)
    scheme = urlsplit(form.address).scheme
    if form.format not in FORMATS or (form.format == RFC5424 and scheme in HTTPS):
        errors["format"] = msg("Over HTTPS events go as JSON or CEF.")
    if form.sign not in SIGNS or (form.sign != "none" and scheme in SYSLOG):
        errors["sign"] = msg("Only what goes over HTTPS is signed; use syslog+tls to protect syslog.")
    elif form.sign == "bearer" and scheme != "https":
        errors["sign"] = msg("A token goes over HTTPS only, or anybody on the way could read it.")
    stored = old is not None and SECRET in vault.names(tx, owner(old.id)) and old.address == form.address
    if form.sign != "none" and not form.secret and not stored:
        errors["secret"] = msg("Enter the secret. Whoever changes the address has to enter it again.")
    if errors:
        raise Wrong(errors)


def _refuse_address(address: str) -> dict[str, Message]:
    try:
        url = urlsplit(address)
        _ = url.port
    except ValueError:
        return {"address": msg("This is not an address.")}
    if url.scheme not in (*SYSLOG, *HTTPS) or not url.hostname:
        text = (
            "Enter an address such as syslog://host:514, syslog+tcp://host:601, syslog+tls://host:6514, https://host."
        )
        return {"address": msg(text)}
    if url.username or url.password or (url.scheme in SYSLOG and (url.path.strip("/") or url.query)):
        return {"address": msg("The address holds no user and no password; for syslog only host and port.")}
    return {}
