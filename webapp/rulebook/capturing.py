"""What keeps a rule from being fed by its systems' logs of changes, asked of the systems before it is published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from connectors.errors import ConnectorError
from connectors.spi import Capabilities, Capture
from rules.documents import DocumentProblem, SyncRule
from rules.documents.sync import DetectBy
from rules.reconcile.agreement import looks_at_all
from rules.text import Message, msg
from webapp.connections import services as connections
from webapp.extensions import House

Abilities = Mapping[str, Capabilities | None]


def check_captures(house: House, rule: SyncRule, abilities: Abilities, *, ask: bool) -> Iterator[DocumentProblem]:
    """Yield what keeps logs from being read, by side; `ask` the systems themselves where they may take their time."""
    for side, able in abilities.items():
        if getattr(rule.detect, side).by is not DetectBy.CDC or not looks_at_all(rule, side):
            continue
        for message in _problems(house, rule, (side, able), ask=ask):
            yield DocumentProblem(f"detect/{side}/by", message)


def _problems(house: House, rule: SyncRule, found: tuple[str, Capabilities | None], *, ask: bool) -> Iterator[Message]:
    side, able = found
    part = getattr(rule, side)
    if able is None:
        return
    if not able.capture:
        yield msg(
            "The connection '{name}' has no log of changes that can be read. Let the rule read what is new by a field,"
            " or compare all records.",
            name=part.connection,
        )
    elif ask:
        yield from _asked(house, part.connection, Capture("", getattr(rule.key, side)), part.object)


def _asked(house: House, connection: str, capture: Capture, object_name: str) -> list[Message]:
    try:
        with connections.open_connector(house, connection) as connector:
            return connector.change_log(object_name, capture).missing()
    except connections.ConnectionProblem:
        return []  # whoever asks for its fields tells of it
    except ConnectorError as error:
        return [connections.sentence(error)]
