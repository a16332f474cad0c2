"""What a sync rule may ask of systems that hold messages: these are read once, in their order, and never looked up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from connectors.spi import Capabilities
from rules.documents import DocumentProblem, SyncRule
from rules.documents.flows import object_name
from rules.documents.sync import DeleteDetect, Direction, MatchHow, SideName
from rules.language.problems import Severity
from rules.schema import Schema
from rules.text import N_, msg


def check_messages(
    rule: SyncRule, abilities: Mapping[str, Capabilities | None], schemas: Mapping[str, Schema | None]
) -> Iterator[DocumentProblem]:
    """Yield what the rule wants of messages that they cannot give."""
    holding = [side for side in SideName if (able := abilities[side.value]) is not None and able.messages]
    if holding and rule.direction is Direction.TWO_WAY:
        text = N_(
            "{object} holds messages, which cannot be looked up, so a rule cannot keep both sides in agreement. Let it"
            " flow one way, and back by a second rule."
        )
        yield DocumentProblem("direction", msg(text, object=object_name(rule, holding[0])))
        return
    source = SideName.RIGHT if rule.direction is Direction.RIGHT_TO_LEFT else SideName.LEFT
    for side in holding:
        yield from _read(rule, side, schemas[side.value]) if side is source else _sent(rule, side)


def _read(rule: SyncRule, side: SideName, schema: Schema | None) -> Iterator[DocumentProblem]:
    name = object_name(rule, side)
    own = getattr(rule.key, side.value)
    if schema is not None and schema.key != (own,):
        text = N_(
            "Messages of {object} are told apart by '{key}', and the rule by '{own}'. Take the same field, here or in"
            " the settings of the connection."
        )
        key = ", ".join(schema.key) or "-"
        yield DocumentProblem(f"key/{side.value}", msg(text, object=name, key=key, own=own))
    if rule.deletes.detect is DeleteDetect.FULL_SCAN:
        text = N_(
            "What no message of {object} names is not gone. Notice deletions by what the messages say (event), or not"
            " at all."
        )
        yield DocumentProblem("deletes/detect", msg(text, object=name))
    if any(len(tier.match) > 1 or tier.match[0].how is not MatchHow.EXACT for tier in rule.correlate):
        text = N_("Partners of messages are looked up by one field that is the same on both sides. Take such fields.")
        yield DocumentProblem("correlate", msg(text))


def _sent(rule: SyncRule, side: SideName) -> Iterator[DocumentProblem]:
    name = object_name(rule, side)
    if rule.correlate:
        text = N_("{object} holds messages, so no partners can be found there. Remove the comparisons.")
        yield DocumentProblem("correlate", msg(text, object=name))
    if rule.decisions or any(pair.reference for pair in rule.fields):
        text = N_(
            "Values come from decision tables or references, so it cannot be told what was sent to {object} before:"
            " each run sends all that it reads."
        )
        yield DocumentProblem("right" if side is SideName.RIGHT else "left", msg(text, object=name),
                              severity=Severity.WARNING)  # fmt: skip
