"""A person's consent to a connection: leads to the service and keeps what comes back as a secret of the connection."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from connectors.builtin.rest_oauth import Consent, asks_for_consent, consent, redeem
from connectors.errors import AuthFailed
from rules.text import msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.connections import budget, services, store
from webapp.connections.documents import KIND, to_document
from webapp.connections.opening import clear_settings, context
from webapp.connections.store import ConnectionRow
from webapp.extensions import Actor, House

SETTING = "refresh_token"


def needs_consent(row: ConnectionRow) -> bool:
    """Tell whether a connection works only after a person has consented."""
    return asks_for_consent(row.settings)


def has_consent(row: ConnectionRow) -> bool:
    """Tell whether somebody has consented already."""
    return bool(row.settings.get(SETTING))


def begin(row: ConnectionRow, callback: str) -> Consent:
    """Return the request for consent that a person is led to; raises `ConnectorError`."""
    return consent(row.settings, callback)


def finish(house: House, row: ConnectionRow, answer: Mapping[str, Any], callback: str, actor: Actor) -> None:
    """Exchange the code of an answer for a refresh token and keep it.

    Args:
        house: The house.
        row: The connection.
        answer: `state`, `code` or `error` as the service sent them; `expected` and `verifier` of the request.
        callback: The address that the answer came to.
        actor: Who has consented.

    Raises:
        ConnectorError: The answer does not belong to the request, nobody consented, or the code is not taken.
        ConnectionProblem: The connection cannot be stored.
    """
    _check(answer)
    settings = clear_settings(house, row)
    allowed = context(house, row, budget.STEP_SECONDS)
    token = budget.within(
        budget.SECONDS,
        row.title,
        lambda: redeem(settings, allowed, str(answer["code"]), callback, str(answer["verifier"])),
    )
    with house.db.begin() as tx:
        current = store.get_connection(tx, row.name)
        document = to_document(tx, current)
        services.save(tx, house, {**document, "settings": {**document["settings"], SETTING: token}}, actor)
        record(tx, actor, house.clock(), Event(Tag.CONNECTION_CONSENTED, Subject(KIND, row.name)))


def _check(answer: Mapping[str, Any]) -> None:
    expected, state = str(answer.get("expected") or ""), str(answer.get("state") or "")
    if not expected or not hmac.compare_digest(expected.encode(), state.encode()):
        raise AuthFailed(
            msg("This answer does not belong to a request of yours."),
            msg("Choose Connect on the page of the connection once more."),
        )
    if not answer.get("code"):
        said = str(answer.get("error_description") or answer.get("error") or "-")[:200]
        raise AuthFailed(
            msg("The service has not consented: {said}", said=said),
            msg("Choose Connect on the page of the connection once more."),
        )
