"""A directory's result codes as our errors."""

from __future__ import annotations

import re

from connectors.builtin.ldap_wire import Code, Result
from connectors.errors import (
    AuthFailed,
    ConnectorError,
    Fatal,
    Forbidden,
    Misconfigured,
    ObjectMissing,
    RecordRejected,
    Unavailable,
)
from rules.text import N_, Message, msg

_INCOMPLETE = {Code.TIME_LIMIT, Code.SIZE_LIMIT, Code.ADMIN_LIMIT}
_UNKNOWN_TO_SASL = 80
_WRONG = {Code.INVALID_CREDENTIALS, Code.INAPPROPRIATE_AUTH, Code.NO_OBJECT, Code.BAD_NAME, _UNKNOWN_TO_SASL}
_ENCRYPT = {Code.STRONGER_AUTH, Code.CONFIDENTIALITY}
_SIGN_IN = re.compile(r"AcceptSecurityContext error, data ([0-9a-f]+)")
_REASONS = {
    "525": N_("the user is unknown"),
    "52e": N_("the password is wrong"),
    "530": N_("the user may not sign in at this time"),
    "531": N_("the user may not sign in from this machine"),
    "532": N_("the password has expired"),
    "533": N_("the account is disabled"),
    "701": N_("the account has expired"),
    "773": N_("the password has to be changed first"),
    "775": N_("the account is locked"),
}
"""What Active Directory means by its numbers."""


_REFUSALS = {
    16: N_("the attribute has no such value"),
    17: N_("the directory does not know the attribute"),
    19: N_("a rule of the directory forbids the value"),
    20: N_("the value is there already"),
    21: N_("the value has the wrong form"),
    34: N_("the name has the wrong form"),
    50: N_("the user may not do it"),
    53: N_("the directory is not willing to"),
    64: N_("the name does not fit the entry's class"),
    65: N_("its class lacks an attribute that it must have, or has one that it may not"),
    66: N_("there are entries below it"),
    68: N_("there is already an entry of this name"),
    69: N_("the class of an entry cannot be changed"),
}
"""What the results of writes mean."""


def refused_record(result: Result) -> RecordRejected:
    """Return the error for one entry that the directory does not take."""
    known = _REFUSALS.get(result.code)
    if known is None:
        return RecordRejected(msg("The directory refuses the entry: {said}.", said=said(result)))
    if not result.text.strip():
        return RecordRejected(msg("The directory refuses the entry: {reason}.", reason=Message(known)))
    return RecordRejected(
        msg("The directory refuses the entry: {reason} ({said}).", reason=Message(known), said=said(result))
    )


def said(result: Result) -> str:
    """Return the directory's own words, short; or its code, if it has none."""
    text = " ".join(result.text.replace("\x00", " ").split()).rstrip(".")
    return text[:200] or f"{Code(result.code).name if result.code in set(Code) else 'error'} {result.code}"


def refused_sign_in(result: Result, user: str, host: str) -> ConnectorError:
    """Return the error for a sign-in that was refused."""
    if result.code in _ENCRYPT:
        return _unencrypted(result)
    if result.code not in _WRONG:
        return problem(result, user, "")
    found = _SIGN_IN.search(result.text)
    reason = Message(_REASONS[found[1]]) if found and found[1] in _REASONS else None
    return AuthFailed(
        msg("The directory on {host} does not let '{user}' in: {reason}.",
            host=host, user=user, reason=reason or msg("user or password is wrong")),
        msg("Check the user (a whole name such as cn=reader,dc=example,dc=com, or name@example.com) and the password."),
    )  # fmt: skip


def problem(result: Result, base: str, what: str) -> ConnectorError:
    """Return the error for a search or another request that failed as a whole.

    Args:
        result: How the directory ended it.
        base: Where it was looked.
        what: The object that was read, if it was one.
    """
    name = what or base or "-"
    if result.code in _INCOMPLETE:
        return Fatal(
            msg("The directory stopped before the end of '{name}': {said}. What was read is not complete.",
                name=name, said=said(result)),
            msg("Let it be read in pages (setting 'Entries per page'), narrow its filter, or raise the directory's"
                " limit for the user."),
            object_name=what or None,
        )  # fmt: skip
    if result.code == Code.NO_OBJECT:
        return ObjectMissing(
            msg("The directory has no entry '{base}'.", base=base or "-"),
            msg("Correct the base in the connection's settings."),
            object_name=what or None,
        )
    if result.code in (Code.BUSY, Code.UNAVAILABLE):
        return Unavailable(msg("The directory cannot answer now: {said}.", said=said(result)), msg("Try again later."))
    return _forbidden(result, name, what) or Fatal(
        msg("The directory refuses to read '{name}': {said}.", name=name, said=said(result)),
        msg("Check the base, the filter and the attributes in the connection's settings."),
        object_name=what or None,
    )


def _forbidden(result: Result, name: str, what: str) -> ConnectorError | None:
    if result.code in _ENCRYPT:
        return _unencrypted(result)
    if result.code == Code.NO_ACCESS:
        return Forbidden(
            msg("The user may not read '{name}': {said}.", name=name, said=said(result)),
            msg("Give the user the right to read it, or sign in as another."),
            object_name=what or None,
        )
    if result.code == Code.REFERRAL:
        return Misconfigured(
            msg("'{name}' lies on another server.", name=name),
            msg("Connect to the server that has it."),
            object_name=what or None,
        )
    if result.code == Code.CRITICAL_EXTENSION:
        return Misconfigured(
            msg("The directory cannot send results in pages: {said}.", said=said(result)),
            msg("Set 'Entries per page' to 0; then its limit has to be higher than the number of entries."),
            object_name=what or None,
        )
    return None


def _unencrypted(result: Result) -> ConnectorError:
    return Misconfigured(
        msg("The directory takes only encrypted connections: {said}.", said=said(result)),
        msg("Choose StartTLS or LDAPS in the connection's settings."),
    )
