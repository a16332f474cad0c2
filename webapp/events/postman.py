"""Sends the notices that wait in the box, in a thread of its own, so that a slow mail server holds up nothing else.

A notice is claimed by raising its number of attempts, with the time of the next one. Should the process end between the
mail server's answer and its note, the notice goes out once more under the same Message-ID.
"""

from __future__ import annotations

import logging
from datetime import timedelta

import sqlalchemy as sa
from babel.support import NullTranslations, Translations

from connectors.errors import ConnectorError, Retriable
from rules.text import N_, Message, msg
from webapp.access import models as access
from webapp.access import services
from webapp.connections.permitted import asked_by
from webapp.events import notices, sending
from webapp.events.models import notice
from webapp.events.notices import Notice
from webapp.events.sight import seen_notice
from webapp.extensions import House
from webapp.policies.who import NOBODY, who_of
from webapp.rounds import Rounds
from webapp.runs.execution import installation_id
from webapp.web.language import TRANSLATIONS

EVERY = 2.0
"""Seconds between two looks into the box."""
AT_ONCE = 20
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
KEPT = timedelta(days=3)
"""After this time a notice that could not be sent is given up."""

_FOOTER = N_("You get this because of your notifications:")

log = logging.getLogger(__name__)


class Postman(Rounds):
    """The thread of one process that sends notices."""

    name = "postman"
    again = "The notices will be looked at again"
    expected = (sa.exc.SQLAlchemyError,)

    def __init__(self, house: House) -> None:
        super().__init__(EVERY)
        self._house = house

    def turn(self) -> None:
        """Send what is due."""
        send_due(self._house)


def send_due(house: House) -> int:
    """Send the notices that are due; return how many went out."""
    if not sending.can_mail(house):
        return 0
    query = sa.select(notice).where(notice.c.ended_at.is_(None), notice.c.due_at <= house.clock())
    with house.db.read() as tx:
        found = [notices.of(row) for row in tx.execute(query.order_by(notice.c.due_at).limit(AT_ONCE)).mappings()]
    return sum(_sent(house, one) for one in found if _claim(house, one))


def _claim(house: House, one: Notice) -> bool:
    """Take a notice for one attempt; False where another process was faster."""
    wait = min(FIRST_WAIT * 2 ** min(one.attempts, 10), LONGEST_WAIT)
    mine = (notice.c.id == one.id, notice.c.attempts == one.attempts, notice.c.ended_at.is_(None))
    values = {"attempts": one.attempts + 1, "due_at": house.clock() + wait}
    with house.db.begin() as tx:
        return tx.execute(sa.update(notice).where(*mine).values(values)).rowcount == 1


def _sent(house: House, one: Notice) -> bool:
    """Send a notice; one that cannot even be written as an e-mail is given up, so that it holds up no other."""
    try:
        return _send(house, one)
    except sa.exc.SQLAlchemyError:
        raise
    except Exception as error:
        log.exception("notice %s", one.id)
        text = N_("The e-mail could not be written: {reason}")
        return _end(house, one, msg(text, reason=f"{type(error).__name__}: {error}"), given_up=True)


def _send(house: House, one: Notice) -> bool:
    with house.db.read() as tx:
        query = access.users().where(access.user.c.username == one.username, access.user.c.active)
        user = tx.execute(query).mappings().one_or_none()
        granted = services.permissions_of(tx, user["id"]) if user else ()
        with asked_by(NOBODY if user is None else who_of(tx, user["id"])):
            one = seen_notice(tx, one)
    if user is None or not user["email"]:
        return _end(
            house, one, msg("There is no active user {name} with an address.", name=one.username), given_up=True
        )
    shown = notices.readable(one, granted)
    if not shown.lines:
        text = N_("{name} may not read any more what this tells.")
        return _end(house, one, msg(text, name=one.username), given_up=True)
    try:
        sending.deliver(house, _letter(house, shown, user["email"], user["language"]), message_id(house, one))
    except ConnectorError as error:
        late = house.clock() - one.at > KEPT
        log.info("notice %s: %s", one.id, error)
        return _end(house, one, error.message, given_up=late or not isinstance(error, Retriable))
    now = house.clock()
    _note(house, one, {"sent_at": now, "ended_at": now, "problem": None})
    return True


def _end(house: House, one: Notice, problem: Message, *, given_up: bool) -> bool:
    _note(house, one, {"problem": problem.to_json(), "ended_at": house.clock() if given_up else None})
    return False


def _note(house: House, one: Notice, values: dict[str, object]) -> None:
    with house.db.begin() as tx:
        tx.execute(sa.update(notice).where(notice.c.id == one.id).values(values))


def message_id(house: House, one: Notice) -> str:
    """Return what tells a receiver that it has seen a notice before."""
    return f"{installation_id(house)}-notice-{one.id}"


def _letter(house: House, one: Notice, to: str, language: str | None) -> dict[str, object]:
    words = Translations.load(TRANSLATIONS, [language or house.settings.language])
    base = house.settings.console_url
    told = [(_said(words, line.message), f"{base}{line.path}") for line in one.lines]
    footer = f"{words.gettext(_FOOTER)}\n{base}/notices/"
    body = "\n\n".join([*(f"{text}\n{address}" for text, address in told), footer])
    return {"to": [to], "subject": told[0][0], "text": body}


def _said(words: NullTranslations, message: Message) -> str:
    values = {name: _said(words, one) if isinstance(one, Message) else one for name, one in message.values.items()}
    return str(words.gettext(message.template)).format(**values).strip()
