"""Check how a sync rule finds partners: that its tiers can be asked, and have an effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rules.documents.flows import object_name
from rules.documents.problems import DocumentProblem
from rules.documents.sync import Match, MatchHow, MatchKind, SideName, SyncRule, Tier
from rules.language.problems import Severity
from rules.mapping.steps import no_field
from rules.schema import FieldType, Schema
from rules.text import N_, Message, msg

_FORMLESS = frozenset({FieldType.BINARY, FieldType.JSON, FieldType.BOOLEAN})
_ONLY = {
    MatchKind.DATE: frozenset(
        {FieldType.TEXT, FieldType.INTEGER, FieldType.DATE, FieldType.DATETIME, FieldType.LOCAL_DATETIME}
    ),
    MatchKind.NUMBER: frozenset({FieldType.TEXT, FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT}),
}


def check_correlation(rule: SyncRule, schemas: Mapping[SideName, Schema]) -> Iterator[DocumentProblem]:
    """Yield what keeps the tiers from being asked, and what has no effect (warnings)."""
    for number, tier in enumerate(rule.correlate):
        path = f"correlate/{number}"
        yield from _tier(path, tier, rule.review)
        for position, match in enumerate(tier.match):
            for side, schema in schemas.items():
                yield from _field(f"{path}/match/{position}", match, schema, (side, object_name(rule, side)))


def _tier(path: str, tier: Tier, review: float) -> Iterator[DocumentProblem]:
    if tier.confidence_from is not None and tier.confidence_from > tier.confidence:
        yield DocumentProblem(f"{path}/confidence_from", msg("confidence_from must not be higher than confidence."))
    if tier.confidence < review:
        text = N_("Matches of this tier are never used: its confidence is below review, {review}.")
        yield _warning(f"{path}/confidence", msg(text, review=review))
    if all(match.how is not MatchHow.SIMILARITY for match in tier.match):
        text = N_("{key} has no effect: nothing in this tier is compared by similarity.")
        for key, used in (("threshold", tier.threshold > 0), ("confidence_from", tier.confidence_from is not None)):
            if used:
                yield _warning(f"{path}/{key}", msg(text, key=key))


def _warning(path: str, message: Message) -> DocumentProblem:
    return DocumentProblem(path, message, severity=Severity.WARNING)


def _field(path: str, match: Match, schema: Schema, side: tuple[SideName, str]) -> Iterator[DocumentProblem]:
    name = getattr(match, side[0].value)
    if name not in schema:
        yield no_field(f"{path}/{side[0].value}", name, schema, side[1])
    elif match.how is not MatchHow.EXACT:
        yield from _type(path, match, (name, schema[name].type), side[0])


def _type(path: str, match: Match, field: tuple[str, FieldType], side: SideName) -> Iterator[DocumentProblem]:
    name, kind = field
    if kind in _FORMLESS:
        text = N_("'{field}' is {type}, which can only be compared by exact.")
        yield DocumentProblem(f"{path}/{side.value}", msg(text, field=name, type=kind.value))
    elif match.kind in _ONLY and kind not in _ONLY[match.kind]:
        text = N_("'{field}' is {type}, which is never compared as a {kind}.")
        yield DocumentProblem(f"{path}/kind", msg(text, field=name, type=kind.value, kind=match.kind.value))
