"""Live calls of the object builder: the beginning of a list, and a batch that is shown before it is sent."""

from __future__ import annotations

import time
from dataclasses import dataclass

from connectors.builtin.rest import Rest
from connectors.builtin.rest_address import address
from connectors.builtin.rest_batch import Batches
from connectors.builtin.rest_bodies import Bodies, Refused
from connectors.builtin.rest_calls import Request
from connectors.builtin.rest_objects import RestObject
from connectors.builtin.rest_paging import Asked
from connectors.builtin.rest_parents import Family
from connectors.errors import Misconfigured, RecordRejected
from connectors.json_records import encode
from connectors.spi import Connector, ReadRequest
from rules.schema import Change, Op
from rules.text import msg
from webapp.connections.opening import secret_values
from webapp.connections.rest_answer import LiveAnswer, restored, without

RECORDS = 2
"""So many records a batch is tried with."""

_LONGEST = 4_000
_OPS = {"create": Op.CREATE, "update": Op.UPDATE, "delete": Op.DELETE, "upsert": Op.UPDATE}


@dataclass(frozen=True)
class Trial:
    """A batch as it would be sent, and what the service answered if it was; `call` is the member that describes it."""

    call: str
    request: str
    body: str
    count: int
    answer: LiveAnswer | None = None

    @classmethod
    def read(cls, text: str) -> Trial | None:
        """Return the trial that `text` gave, None where it is none."""
        return restored(cls, text)

    @property
    def text(self) -> str:
        """Return the trial as the page keeps it from step to step."""
        return encode(self).decode()


def asked(connector: Connector, name: str, parent_key: str = "") -> LiveAnswer:
    """Make the call that reads the beginning of a list, and return what may be shown of the answer.

    Args:
        connector: The web service.
        name: The object.
        parent_key: Which record of another object the list is read for; empty: the first.
    """
    rest = _rest(connector)
    described = _placed(rest, rest.options.objects[name], parent_key)
    query, paging = dict(described.query), described.paging
    if paging.size_parameter and paging.place == "query":
        query[paging.size_parameter] = str(paging.size)
    body = encode(described.body) if described.body is not None else None
    return _answer(rest, Request(described.path, described.method, query, body, described.headers))


def tried(connector: Connector, name: str, call: str, *, send: bool) -> Trial:
    """Return the batch that would write the first records of a list back, with its answer if it is sent."""
    rest = _rest(connector)
    described = rest.options.objects[name]
    request, count = _batch(rest, described, call)
    body = _shown(rest, (request.body or b"").decode("utf-8", "replace"))
    return Trial(call, _call(rest, request), body[:_LONGEST], count, _answer(rest, request) if send else None)


def _rest(connector: Connector) -> Rest:
    if not isinstance(connector, Rest):
        raise TypeError(connector)
    return connector


def _placed(rest: Rest, described: RestObject, parent_key: str) -> RestObject:
    """Return the list for one record of the other object, if it is read for each of them."""
    if described.parent is None:
        return described
    family = Family(rest.calls, described, described.parent, Asked())
    key = parent_key or family.first()
    if not key:
        raise Misconfigured(
            msg("'{parent}' has no records, so there is nothing to try this list with.", parent=described.parent.object)
        )
    return family.placed(key)


def _batch(rest: Rest, described: RestObject, name: str) -> tuple[Request, int]:
    call = getattr(described, name)
    schema = rest.schema(described.name)
    page = next(iter(rest.read(ReadRequest(described.name, schema, page_size=RECORDS))), None)
    records = page.records.head(RECORDS) if page is not None else schema.empty()
    if not records.height:
        raise Misconfigured(msg("The list has no records that a batch could be tried with."))
    batches = Batches(
        rest.calls, described, Bodies(described, schema), Change(_OPS[name], described.key, records), call
    )
    try:
        return batches.request(records.to_dicts()), records.height
    except Refused as error:
        raise RecordRejected(error.message) from error


def _answer(rest: Rest, request: Request) -> LiveAnswer:
    began = time.monotonic()
    response = rest.calls.response(request)
    seconds = round(time.monotonic() - began, 2)
    secrets = secret_values(rest.spec, rest.settings)
    return LiveAnswer.of(response, seconds, secrets, rest.calls.credentials.hide, _call(rest, request))


def _call(rest: Rest, request: Request) -> str:
    return _shown(rest, f"{request.method} {address('', request.url, request.query)}")


def _shown(rest: Rest, text: str) -> str:
    """Return a text without the secrets of the connection and what was made of them."""
    return without(text, secret_values(rest.spec, rest.settings), rest.calls.credentials.hide)
