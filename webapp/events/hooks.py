"""Inbound web hooks: their settings and their keys, of which at the most two are live.

The keys are in the vault, as `current` and `next` of the owner `hook/NAME`; a hook says of each only its id and moment.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.documents.event_rule import TYPE
from rules.text import N_, Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.events.hook_schemes import SCHEMES
from webapp.events.intake import OURS
from webapp.events.models import event_hook, event_hook_delivery, event_hook_refusal, event_hook_seen
from webapp.extensions import Actor, House
from webapp.vault import services as vault
from webapp.vault.sealing import Owner

KIND = "web_hook"
OWNER = "hook"
CURRENT, NEXT = "current", "next"
PREFIX = "whk_"
NAME = r"[a-z][a-z0-9_-]{1,62}"
SECONDS, LEAST, LONGEST = 300, 10, 3600
KEY_LEAST, KEY_MOST = 16, 512
_HEADER = r"[A-Za-z][A-Za-z0-9-]{0,99}"


class HookRefused(Exception):
    """A hook cannot be as it is wanted; `field` says which setting, `message` why."""

    def __init__(self, field_name: str, message: Message, *, missing: bool = False) -> None:
        super().__init__(str(message))
        self.field = field_name
        self.message = message
        self.missing = missing


@dataclass(frozen=True)
class Wanted:
    """The settings of a hook."""

    name: str
    type: str
    label: str = ""
    scheme: str = "syncline"
    signature_header: str = ""
    time_header: str = ""
    seconds: int = SECONDS
    enabled: bool = True


@dataclass(frozen=True)
class Hook(Wanted):
    """A hook as it is stored; `keys` holds id and moment of each live key, by its place."""

    id: int = 0
    created_at: datetime | None = None
    keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def settings(self) -> Wanted:
        """Return the settings alone."""
        return Wanted(**{name: getattr(self, name) for name in Wanted.__dataclass_fields__})


def find(tx: sa.Connection, name: str) -> Hook | None:
    """Return a hook, or None if there is none of that name."""
    row = tx.execute(sa.select(event_hook).where(event_hook.c.name == name)).one_or_none()
    return None if row is None else _hook(row)


def get(tx: sa.Connection, name: str) -> Hook:
    """Return a hook; raises `HookRefused`."""
    found = find(tx, name)
    if found is None:
        raise HookRefused("name", msg("There is no web hook '{name}'.", name=name), missing=True)
    return found


def list_hooks(tx: sa.Connection) -> list[Hook]:
    """Return all hooks by name."""
    return [_hook(row) for row in tx.execute(sa.select(event_hook).order_by(event_hook.c.name))]


def _hook(row: Any) -> Hook:
    settings = {name: getattr(row, name) for name in Wanted.__dataclass_fields__}
    return Hook(**settings, id=row.id, created_at=row.created_at, keys=row.live_keys)


def check(wanted: Wanted) -> None:
    """Refuse settings that cannot be; raises `HookRefused`."""
    for name, fits, message in _rules(wanted):
        if not fits:
            raise HookRefused(name, message)


def _rules(wanted: Wanted) -> Iterator[tuple[str, bool, Message]]:
    """Yield for each setting whether it can be so, and what to say if not."""
    text = N_("Use 2 to 63 small letters, digits, dashes and underscores, beginning with a letter.")
    yield "name", bool(re.fullmatch(NAME, wanted.name)), msg(text)
    yield "name", wanted.name != "new", msg("Choose another name: this one stands for a new web hook.")
    good = len(wanted.type) <= 100 and bool(re.fullmatch(TYPE, wanted.type))
    yield "type", good, msg("The type has to be words with dots between, such as order.created.")
    text = N_("Types that begin with {types} are Syncline's own events. Choose another word.")
    yield "type", not wanted.type.startswith(OURS), msg(text, types=", ".join(OURS))
    yield "label", len(wanted.label) <= 200, msg("Enter at most {most} characters.", most=200)
    yield "scheme", wanted.scheme in SCHEMES, msg("Choose how the sender signs.")
    for name in ("signature_header", "time_header"):
        given = getattr(wanted, name)
        text = N_("Enter the name of a header: letters, digits and dashes.")
        yield name, not given or bool(re.fullmatch(_HEADER, given)), msg(text)
    text = N_("Enter from {least} to {longest} seconds.")
    yield "seconds", LEAST <= wanted.seconds <= LONGEST, msg(text, least=LEAST, longest=LONGEST)


def create(house: House, wanted: Wanted, key: str, actor: Actor) -> str:
    """Make a hook with its first key, which is returned: made here where none is given; raises `HookRefused`."""
    with house.db.begin() as tx:
        create_in(tx, wanted, actor, house.clock())
        return add_key_in(tx, house, wanted.name, key, actor)


def create_in(tx: sa.Connection, wanted: Wanted, actor: Actor, now: datetime) -> None:
    """Make a hook without a key: it takes nothing until it has one."""
    check(wanted)
    if find(tx, wanted.name) is not None:
        raise HookRefused("name", msg("There is already a web hook '{name}'.", name=wanted.name))
    tx.execute(sa.insert(event_hook).values(**asdict(wanted), live_keys={}, created_at=now, changed_at=now))
    record(tx, actor, now, Event(Tag.HOOK_CREATED, _subject(wanted.name), after=asdict(wanted)))


def update(house: House, wanted: Wanted, actor: Actor) -> Hook:
    """Change the settings of a hook; its name stays. Raises `HookRefused`."""
    with house.db.begin() as tx:
        update_in(tx, wanted, actor, house.clock())
        return get(tx, wanted.name)


def update_in(tx: sa.Connection, wanted: Wanted, actor: Actor, now: datetime) -> None:
    """Change the settings of a hook in the caller's transaction."""
    check(wanted)
    old, new = asdict(get(tx, wanted.name).settings), asdict(wanted)
    changed = sorted(name for name in new if new[name] != old[name])
    if not changed:
        return
    tx.execute(sa.update(event_hook).where(event_hook.c.name == wanted.name).values(**new, changed_at=now))
    tag = Tag.HOOK_UPDATED
    if changed == ["enabled"]:
        tag = Tag.HOOK_ENABLED if wanted.enabled else Tag.HOOK_DISABLED
    before, after = ({name: values[name] for name in changed} for values in (old, new))
    record(tx, actor, now, Event(tag, _subject(wanted.name), before, after))


def delete(house: House, name: str, actor: Actor) -> None:
    """Delete a hook with its keys; events that came in stay. Raises `HookRefused`."""
    with house.db.begin() as tx:
        delete_in(tx, name, actor, house.clock())


def delete_in(tx: sa.Connection, name: str, actor: Actor, now: datetime) -> None:
    """Delete a hook in the caller's transaction."""
    hook = get(tx, name)
    vault.forget(tx, Owner(OWNER, name), actor, now)
    for table in (event_hook_seen, event_hook_delivery, event_hook_refusal):
        tx.execute(sa.delete(table).where(table.c.hook_id == hook.id))
    tx.execute(sa.delete(event_hook).where(event_hook.c.id == hook.id))
    record(tx, actor, now, Event(Tag.HOOK_DELETED, _subject(name), before=asdict(hook.settings)))


def add_key(house: House, name: str, key: str, actor: Actor) -> str:
    """Give a hook a key beside the one that it has, and return it; raises `HookRefused`."""
    with house.db.begin() as tx:
        return add_key_in(tx, house, name, key, actor)


def add_key_in(tx: sa.Connection, house: House, name: str, key: str, actor: Actor) -> str:
    """Give a hook a key in the caller's transaction: the current one, or the next beside it."""
    hook, now = _locked(tx, name), house.clock()
    place = next((place for place in (CURRENT, NEXT) if place not in hook.keys), None)
    if place is None:
        raise HookRefused("key", msg("The web hook has two keys already. Switch to the next one, or remove it."))
    if key and not (KEY_LEAST <= len(key) <= KEY_MOST and key.isprintable() and key == key.strip()):
        text = N_("A key has from {least} to {most} characters, without spaces around it.")
        raise HookRefused("key", msg(text, least=KEY_LEAST, most=KEY_MOST))
    value = key or PREFIX + secrets.token_urlsafe(32)
    vault.put(tx, vault.keyring(house), Owner(OWNER, name), place, value, actor, now)
    made = {"id": secrets.token_hex(4), "at": now.isoformat()}
    _keep(tx, hook, {**hook.keys, place: made}, now)
    record(tx, actor, now, Event(Tag.HOOK_KEY_ADDED, _subject(name), after={"key": made["id"], "place": place}))
    return value


def switch_key(house: House, name: str, actor: Actor) -> None:
    """Make the next key the current one; the one before it is refused from now on. Raises `HookRefused`."""
    owner = Owner(OWNER, name)
    with house.db.begin() as tx:
        hook, now = _locked(tx, name), house.clock()
        if NEXT not in hook.keys:
            raise HookRefused("key", msg("The web hook has no next key. Add one, and give it to the sender first."))
        keys = vault.keyring(house)
        vault.put(tx, keys, owner, CURRENT, vault.get(tx, keys, owner, NEXT), actor, now)
        vault.delete(tx, owner, NEXT, actor, now)
        _keep(tx, hook, {CURRENT: hook.keys[NEXT]}, now)
        before = {"key": hook.keys.get(CURRENT, {}).get("id")}
        after = {"key": hook.keys[NEXT]["id"]}
        record(tx, actor, now, Event(Tag.HOOK_KEY_SWITCHED, _subject(name), before, after))


def remove_key(house: House, name: str, place: str, actor: Actor) -> None:
    """Remove a key, which is refused from now on; raises `HookRefused`."""
    with house.db.begin() as tx:
        hook, now = _locked(tx, name), house.clock()
        if place not in hook.keys:
            raise HookRefused("key", msg("The web hook has no such key."), missing=True)
        vault.delete(tx, Owner(OWNER, name), place, actor, now)
        _keep(tx, hook, {other: key for other, key in hook.keys.items() if other != place}, now)
        before = {"key": hook.keys[place]["id"], "place": place}
        record(tx, actor, now, Event(Tag.HOOK_KEY_REMOVED, _subject(name), before))


def _locked(tx: sa.Connection, name: str) -> Hook:
    """Return a hook whose keys nobody else changes until the transaction ends."""
    tx.execute(sa.select(event_hook.c.id).where(event_hook.c.name == name).with_for_update())
    return get(tx, name)


def _keep(tx: sa.Connection, hook: Hook, keys: Mapping[str, Mapping[str, str]], now: datetime) -> None:
    tx.execute(sa.update(event_hook).where(event_hook.c.id == hook.id).values(live_keys=keys, changed_at=now))


def _subject(name: str) -> Subject:
    return Subject(KIND, name)
