"""Sign-in with a name and a password of the company's directory (LDAP).

Somebody is looked up, by a user of ours or a guest, and then signed in by the name that was found; or signs in at once
by a name that is made of what they entered. What they entered becomes a value of a filter, never text of it. Groups are
those that the directory names with the user, and those below a base that name the user; of a group within another,
only what the directory itself tells counts.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from config import Settings, ldap_password
from connectors.builtin import ldap_filter
from connectors.builtin.ldap_names import below, escaped, parts, split
from connectors.builtin.ldap_options import LdapOptions
from connectors.builtin.ldap_session import Session
from connectors.builtin.ldap_wire import Code, Entry, Query
from connectors.builtin.queue_network import Place
from connectors.errors import AuthFailed, ConnectorError
from connectors.spi import Context
from rules.text import msg
from webapp.access.identities import NotAdmitted
from webapp.extensions import House

_SECONDS = 5.0
_LONGEST = 256
_PORTS = {"ldap": 389, "ldaps": 636}
_WANTED = (
    "givenName", "sn", "cn", "displayName", "mail", "memberOf", "entryUUID", "objectGUID", "userAccountControl",
    "nsAccountLock", "pwdAccountLockedTime", "loginDisabled",
)  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DISABLED = 0x2
"""The bit of Active Directory's `userAccountControl` that says so."""
_GROUPS_OF = ("member", "uniqueMember")


def issuer(settings: Settings) -> str:
    """Return what a directory is called among those who say who somebody is."""
    return f"ldap:{urlsplit(settings.ldap_url).hostname}/{settings.ldap_base}"[:255]


def known(house: House, name: str, password: str) -> tuple[dict[str, Any], frozenset[str]] | None:
    """Return what the directory tells of somebody, and their groups; None where name or password is wrong.

    Raises:
        NotAdmitted: The account is disabled, two have the name, or the directory cannot be asked.
    """
    plain = name.strip()
    if not plain or not password or len(plain) > _LONGEST or len(password) > _LONGEST or _CONTROL.search(plain):
        return None  # a directory takes an empty password for a guest, and says yes
    try:
        return _directly(house, plain, password) if house.settings.ldap_direct else _found(house, plain, password)
    except ConnectorError as error:
        raise NotAdmitted(msg("The directory cannot be asked. {text}", text=error.message)) from None


def _found(house: House, name: str, password: str) -> tuple[dict[str, Any], frozenset[str]] | None:
    settings = house.settings
    with _opened(house, settings.ldap_user, ldap_password() if settings.ldap_user else "") as session:
        entry = _entry(session, settings, name)
        if entry is None:
            _nobody(house, password)
            return None
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(_opened(house, entry.name, password))
            except AuthFailed:
                return None
        return _told(entry, name, _asked(settings)), _groups(session, settings, entry)


def _directly(house: House, name: str, password: str) -> tuple[dict[str, Any], frozenset[str]] | None:
    settings = house.settings
    template = settings.ldap_direct
    user = template.replace("{name}", escaped(name) if "=" in template else name)
    with contextlib.ExitStack() as stack:
        try:
            session = stack.enter_context(_opened(house, user, password))
        except AuthFailed:
            return None
        entry = _entry(session, settings, name)
        if entry is None:
            raise NotAdmitted(msg("The directory does not show you to yourself. Ask an administrator."))
        return _told(entry, name, _asked(settings)), _groups(session, settings, entry)


def _nobody(house: House, password: str) -> None:
    """Take as long for a name that is not there as for one that is."""
    with contextlib.suppress(ConnectorError), _opened(house, f"cn=nobody,{house.settings.ldap_base}", password):
        pass


@contextlib.contextmanager
def _opened(house: House, user: str, password: str) -> Iterator[Session]:
    settings = house.settings
    address = urlsplit(settings.ldap_url)
    encryption = "ldaps" if address.scheme == "ldaps" else "starttls"
    options = LdapOptions(settings.ldap_base, user, password, encryption, (), "auto", "|", 0, True)
    where = {
        "host": address.hostname,
        "port": address.port or _PORTS[address.scheme],
        "tls": "verify",
        "tls_ca": _authority(settings.ldap_ca),
    }
    context = Context(egress_allow=house.settings.egress_allow, timeout=_SECONDS)
    session = Session(options, Place(where, context, "LDAP"))
    try:
        yield session
    finally:
        session.close()


def _authority(path: Path | None) -> str | None:
    try:
        return path.read_text() if path else None
    except OSError as error:
        text = msg("The file of SYNCLINE_LDAP_CA cannot be read: {problem}.", problem=error.strerror or str(error))
        raise NotAdmitted(text) from None


def _entry(session: Session, settings: Settings, name: str) -> Entry | None:
    """Return the one entry of a user; raises `NotAdmitted` where there are several, or it is disabled."""
    named = ldap_filter.some(ldap_filter.equal(attribute, name.encode()) for attribute in settings.ldap_names)
    wanted = ldap_filter.every([ldap_filter.parse(settings.ldap_people), named])
    entries = _entries(session, Query(settings.ldap_base, wanted, (*_WANTED, *_asked(settings)), limit=2))
    if len(entries) > 1:
        raise NotAdmitted(msg("The directory has several users of this name. Ask an administrator."))
    return entries[0] if entries else None


def _entries(session: Session, query: Query) -> list[Entry]:
    found = session.search(query)
    entries = []
    for item in found:
        if isinstance(item, Entry):
            entries.append(item)
        elif item.code not in (Code.SUCCESS, Code.SIZE_LIMIT, Code.NO_OBJECT):
            raise NotAdmitted(msg("The directory does not answer: {text}", text=item.text or str(item.code)))
    return entries


def _asked(settings: Settings) -> tuple[str, ...]:
    """Return what the directory is asked for beside names: what fills attributes of users."""
    return tuple(name for _, name in settings.user_attributes)


def _told(entry: Entry, name: str, asked: Sequence[str]) -> dict[str, Any]:
    """Return the claims that an entry stands for; raises `NotAdmitted` for a disabled account."""
    values = {attribute.lower(): given for attribute, given in entry.values.items()}
    if any(disabled(values) for disabled in _DISABLES):
        raise NotAdmitted(msg("The account is disabled in the directory."))

    def first(attribute: str) -> str:
        return next((value.decode(errors="replace") for value in values.get(attribute, ())), "")

    number = values.get("objectguid", [b""])[0].hex()
    shown = first("displayname") or first("cn")
    more = {one: [value.decode(errors="replace") for value in values.get(one.lower(), ())] for one in asked}
    return {
        **more,
        "sub": first("entryuuid") or number or entry.name,
        "preferred_username": name,
        "given_name": first("givenname"),
        "family_name": first("sn") if first("givenname") else "",
        "name": shown,
        "email": first("mail"),
    }


def _account_control(values: Mapping[str, Sequence[bytes]]) -> bool:
    text = next(iter(values.get("useraccountcontrol", ())), b"0")
    return text.isdigit() and bool(int(text) & _DISABLED)


def _says_true(attribute: str) -> Callable[[Mapping[str, Sequence[bytes]]], bool]:
    return lambda values: next(iter(values.get(attribute, ())), b"").upper() == b"TRUE"


_DISABLES: tuple[Callable[[Mapping[str, Sequence[bytes]]], bool], ...] = (
    _account_control,
    _says_true("nsaccountlock"),
    _says_true("logindisabled"),
    lambda values: bool(values.get("pwdaccountlockedtime")),
)


def _groups(session: Session, settings: Settings, entry: Entry) -> frozenset[str]:
    """Return the common names of a user's groups below the base of groups."""
    base = settings.ldap_groups or settings.ldap_base
    mine = [ldap_filter.equal(attribute, entry.name.encode()) for attribute in _GROUPS_OF]
    names = {one.name for one in _entries(session, Query(base, ldap_filter.some(mine), ("cn",)))}
    values = {attribute.lower(): given for attribute, given in entry.values.items()}
    told = [value.decode(errors="replace") for value in values.get("memberof", ())]
    names |= {name for name in told if below(name, base)}
    return frozenset(value for name in names for _attribute, value in parts(split(name)[0]))
