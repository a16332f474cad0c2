"""What keeps the systems of a rule from being written together, asked of them before it is published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from connectors.errors import ConnectorError
from connectors.spi import Capabilities
from connectors.two_phase import TwoPhase
from rules.documents import DocumentProblem, SyncRule
from rules.documents.sync import Direction, Transaction
from rules.text import Message, msg
from webapp.connections import services as connections
from webapp.extensions import House

Abilities = Mapping[str, Capabilities | None]
_WRITTEN = {Direction.LEFT_TO_RIGHT: ("right",), Direction.RIGHT_TO_LEFT: ("left",)}


def check_transaction(house: House, rule: SyncRule, abilities: Abilities, *, ask: bool) -> Iterator[DocumentProblem]:
    """Yield why a system that the rule writes to cannot take part; `ask` them where they may take their time."""
    if rule.transaction is not Transaction.TWO_PHASE:
        return
    for side in _WRITTEN.get(rule.direction, ("left", "right")):
        able, name = abilities[side], getattr(rule, side).connection
        if able is None:
            continue
        problem = _unable(name) if not able.two_phase else _asked(house, name) if ask else None
        if problem is not None:
            yield DocumentProblem("transaction", problem)


def _unable(name: str) -> Message:
    return msg(
        "The connection '{name}' cannot take part in a two-phase commit: PostgreSQL, MySQL, MariaDB and the entities of"
        " Syncline can. Choose none.",
        name=name,
    )


def _asked(house: House, name: str) -> Message | None:
    try:
        with connections.open_connector(house, name) as connector:
            problem = connector.unfit() if isinstance(connector, TwoPhase) else None
    except connections.ConnectionProblem:
        return None  # whoever asks for its fields tells of it
    except ConnectorError as error:
        problem = connections.sentence(error)
    if problem is None:
        return None
    return msg("The connection '{name}' cannot take part in a two-phase commit: {problem}", name=name, problem=problem)
