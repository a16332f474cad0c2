"""Users who sign in by the company's identity provider: found, or made, and given the roles of their groups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.access import attributes, directory, factors, identities, models, owners, saml, users
from webapp.access.errors import Refused
from webapp.access.identities import NotAdmitted
from webapp.access.oidc import ELSEWHERE
from webapp.access.passwords import generate_password
from webapp.access.users import NewUser, User
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, Actor, House

_ODD = re.compile(r"[^A-Za-z0-9._@-]+")


def admit(house: House, claims: Mapping[str, Any], roles: tuple[str, ...], issuer: str) -> User:
    """Return the user that an identity belongs to, with these roles from now on.

    Args:
        house: The house.
        claims: What is told of somebody, in the words of OpenID Connect; `sub` is what they are called there.
        roles: Which they hold.
        issuer: Who tells it.

    Raises:
        NotAdmitted: The user is disabled, or another user has the e-mail address.
    """
    try:
        return _admit(house, claims, roles, issuer)
    except sa.exc.IntegrityError:  # two sign-ins at once
        raise NotAdmitted(ELSEWHERE) from None


def _admit(house: House, claims: Mapping[str, Any], roles: tuple[str, ...], issuer: str) -> User:
    with house.db.begin() as tx:
        if unknown := set(roles) - set(tx.scalars(sa.select(models.role.c.name))):
            text = msg("The settings name the role {name}, which does not exist.", name=min(unknown))
            raise NotAdmitted(text)
        user = _found(tx, house, claims, issuer) or _made(tx, house, claims, (roles, issuer))
        if not user.active:
            raise NotAdmitted(msg("The user {name} is disabled.", name=user.username))
        if set(user.roles) != set(roles):
            new = NewUser(user.username, user.first_name, user.last_name, user.email, roles)
            try:
                users.update_user_in(tx, user, new, SYSTEM, house.clock())
            except Refused as error:
                raise NotAdmitted(error.message) from None
        try:
            wanted = house.settings.user_attributes
            found = {**{name: "" for name, _ in wanted}, **attributes.told(wanted, claims)}  # not told: no longer so
            attributes.take_over(tx, user.id, found, SYSTEM, house.clock())
        except Refused as error:
            raise NotAdmitted(error.message) from None
        return user


def by_directory(house: House, name: str, password: str) -> Any:
    """Return the row of the user whom the directory lets in, or None; raises `NotAdmitted`."""
    found = directory.known(house, name, password)
    if found is None:
        return None
    claims, groups = found
    roles = identities.roles_of(groups, house.settings.ldap_roles)
    user = admit(house, claims, roles, directory.issuer(house.settings))
    with house.db.read() as tx:
        return tx.execute(models.users().where(models.user.c.id == user.id)).one()


def _found(tx: sa.Connection, house: House, claims: Mapping[str, Any], issuer: str) -> User | None:
    """Return the user of an identity; one that is known by a proven e-mail address only is linked to it."""
    table = models.access_identity
    told = (table.c.issuer == issuer, table.c.subject == subject_of(claims))
    user_id = tx.scalar(sa.select(table.c.user_id).where(*told))
    if user_id is not None:
        tx.execute(sa.update(table).where(*told).values(confirmed_at=house.clock()))
        return users.get_user(tx, user_id)
    user = _provisioned(tx, house, claims, issuer)
    if user is not None:
        _end_what_was(tx, house, user)
        link(tx, user, (issuer, subject_of(claims)), SYSTEM, house.clock())
        return user
    email = str(claims.get("email") or "")
    by_mail = sa.select(models.user.c.id).where(sa.func.lower(models.user.c.email) == email.lower())
    user_id = tx.scalar(by_mail) if email else None
    if user_id is None:
        return None
    if claims.get("email_verified") is not True or _is_known_to(tx, user_id, issuer):
        raise NotAdmitted(msg("Another user has this e-mail address. Ask an administrator."))
    user = users.get_user(tx, user_id)
    _end_what_was(tx, house, user)
    link(tx, user, (issuer, subject_of(claims)), SYSTEM, house.clock())
    return user


def _provisioned(tx: sa.Connection, house: House, claims: Mapping[str, Any], issuer: str) -> User | None:
    """Return the user whom the directory has brought by the name that its own provider uses; see `directory_issuer`."""
    profile, names = models.access_profile, [str(claims[name]) for name in ("oid", "sub") if claims.get(name)]
    found = tx.scalars(sa.select(profile.c.user_id).where(profile.c.external_id.in_(names))).all()
    if len(found) != 1 or issuer != directory_issuer(house) or _is_known_to(tx, found[0], issuer):
        return None
    return users.get_user(tx, found[0])


def _is_known_to(tx: sa.Connection, user_id: int, issuer: str) -> bool:
    """Tell whether a user has an identity of an issuer already."""
    table = models.access_identity
    query = sa.select(table.c.subject).where(table.c.user_id == user_id, table.c.issuer == issuer)
    return tx.execute(query).first() is not None


def _made(tx: sa.Connection, house: House, claims: Mapping[str, Any], given: tuple[tuple[str, ...], str]) -> User:
    roles, issuer = given
    name = _free_name(tx, claims)
    first, last = str(claims.get("given_name") or ""), str(claims.get("family_name") or "")
    email = str(claims.get("email") or f"{name}@localhost")
    new = NewUser(name, (first or str(claims.get("name") or name))[:64], last[:64], email, roles)
    try:
        users.check(tx, new, None)
    except Refused as error:
        raise NotAdmitted(error.message) from None
    user_id = users.insert_user(tx, new, generate_password(), SYSTEM, house.clock())
    user = users.get_user(tx, user_id)
    link(tx, user, (issuer, subject_of(claims)), SYSTEM, house.clock())
    return user


def link(tx: sa.Connection, user: User, identity: tuple[str, str], actor: Actor, at: datetime) -> None:
    """Let somebody who is called so by an issuer sign in as a user, from now on."""
    if owners.is_service_account(tx, user.id):
        raise NotAdmitted(msg("{name} is a service account. Nobody signs in as one.", name=user.username))
    issuer, subject = identity
    told = {"issuer": issuer, "subject": subject}
    tx.execute(sa.insert(models.access_identity).values(user_id=user.id, confirmed_at=at, **told))
    record(tx, actor, at, Event(Tag.IDENTITY_LINKED, Subject("user", user.username), after=told))


def adopt(house: House, user_id: int, identity: tuple[str, str], actor: Actor) -> None:
    """Let an identity sign in as a user who was there, as a person decides; raises `NotAdmitted` where it is taken."""
    table, (issuer, subject) = models.access_identity, (identity[0], identity[1][:255])
    with house.db.begin() as tx:
        query = sa.select(table.c.user_id).where(table.c.issuer == issuer, table.c.subject == subject)
        if tx.scalar(query) is not None:
            raise NotAdmitted(msg("{subject} signs in as a user already.", subject=subject))
        user = users.get_user(tx, user_id)
        _end_what_was(tx, house, user)
        link(tx, user, (issuer, subject), actor, house.clock())


def _end_what_was(tx: sa.Connection, house: House, user: User) -> None:
    """Take from a user what others may know: who had set the user up is not the person who signs in from now on."""
    factors.drop(tx, house, user)
    users.end_access(tx, house, user)


def issuers(house: House) -> dict[str, str]:
    """Return what those are called by whom people sign in, by the name of the way."""
    return {way: _issuer(house, way) for way in _ways(house)}


def directory_issuer(house: House) -> str | None:
    """Return by whom the names are known that the directory gives to users (`externalId`), or None.

    That is what `SYNCLINE_SCIM_SIGN_IN` names, and where it names nothing the only one by whom people sign in.
    """
    wanted, ways = house.settings.scim_sign_in, _ways(house)
    way = wanted or (ways[0] if len(ways) == 1 else "")
    return _issuer(house, way) if way in ways else None


def _ways(house: House) -> list[str]:
    settings = house.settings
    told = {"oidc": settings.oidc_issuer, "ldap": settings.ldap_url, "saml": settings.saml_metadata}
    return [way for way, is_set in told.items() if is_set]


def _issuer(house: House, way: str) -> str:
    if way == "saml":
        return saml.provider(house).name[:255]
    return house.settings.oidc_issuer if way == "oidc" else directory.issuer(house.settings)


def belongs(house: House, user_id: int, issuer: str, subject: str) -> bool:
    """Tell whether an identity is that of a user."""
    table = models.access_identity
    mine = (table.c.issuer == issuer, table.c.subject == subject, table.c.user_id == user_id)
    with house.db.read() as tx:
        return tx.scalar(sa.select(table.c.user_id).where(*mine)) is not None


def subject_of(claims: Mapping[str, Any]) -> str:
    """Return what the provider calls somebody, at most as long as it is stored."""
    return str(claims["sub"])[:255]


def _free_name(tx: sa.Connection, claims: Mapping[str, Any]) -> str:
    """Return a user name like the provider's that nobody has."""
    email = str(claims.get("email") or "")
    told = str(claims.get("preferred_username") or email.partition("@")[0] or claims["sub"])
    plain = _ODD.sub("-", told).strip("._@-")[:56]
    plain = plain if len(plain) > 1 else f"user-{plain}".rstrip("-")
    user = models.user
    taken = set(tx.scalars(sa.select(sa.func.lower(user.c.username)).where(user.c.username.ilike(f"{plain}%"))))
    number, name = 1, plain
    while name.lower() in taken:
        number += 1
        name = f"{plain}-{number}"
    return name
