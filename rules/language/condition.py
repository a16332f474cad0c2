"""A condition as people build it: rows "field - relation - value" in groups, and parts that stay code.

The JSON form is what the condition builder in the browser reads and sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from rules.text import N_, Message, msg


class ValueKind(StrEnum):
    """How a value is written."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    LOCAL_DATETIME = "local_datetime"


class Relation(StrEnum):
    """What a row asks of its field."""

    IS = "is"
    IS_NOT = "is_not"
    CONTAINS = "contains"
    NOT_CONTAINS = "not_contains"
    STARTS = "starts"
    NOT_STARTS = "not_starts"
    ENDS = "ends"
    NOT_ENDS = "not_ends"
    MATCHES = "matches"
    NOT_MATCHES = "not_matches"
    ONE_OF = "one_of"
    NONE_OF = "none_of"
    GREATER = "greater"
    AT_LEAST = "at_least"
    LESS = "less"
    AT_MOST = "at_most"
    BETWEEN = "between"
    EMPTY = "empty"
    FILLED = "filled"
    BLANK = "blank"
    NOT_BLANK = "not_blank"


class Join(StrEnum):
    """How many members of a group have to hold."""

    ALL = "all"
    ANY = "any"


@dataclass(frozen=True)
class Value:
    """A value as it is typed: `5`, `true`, `2024-01-31`, `2024-01-31T00:00:00Z`."""

    kind: ValueKind
    text: str


@dataclass(frozen=True)
class Row:
    """One question to one field; `guarded` says that the answer is no, not an error, where the field is empty.

    Guarded text relations take an empty field for empty text, so that "does not contain" holds for it.
    """

    field: str
    relation: Relation
    values: tuple[Value, ...] = ()
    guarded: bool = False


@dataclass(frozen=True)
class Code:
    """A part that rows cannot show."""

    text: str


@dataclass(frozen=True)
class Group:
    """Members of which all or any have to hold; `negated` turns the answer round."""

    join: Join
    members: tuple[Member, ...] = ()
    negated: bool = False


Member: TypeAlias = Row | Code | Group


class BuilderError(ValueError):
    """A row cannot be written as an expression; `path` are the numbers of the members on the way to it."""

    def __init__(self, message: Message, path: tuple[int, ...] = ()) -> None:
        super().__init__(str(message))
        self.message = message
        self.path = path


MAX_DEPTH, MAX_MEMBERS = 12, 100
_BROKEN = N_("This condition cannot be read. Load the page again.")


def to_json(member: Member) -> dict[str, Any]:
    """Return the plain form of a condition or of a part of it."""
    match member:
        case Code(text=text):
            return {"code": text}
        case Row():
            values = [{"kind": value.kind.value, "text": value.text} for value in member.values]
            relation = member.relation.value
            return {"field": member.field, "relation": relation, "values": values, "guarded": member.guarded}
        case _:
            members = [to_json(part) for part in member.members]
            return {"join": member.join.value, "negated": member.negated, "members": members}


def from_json(data: Any) -> Group:
    """Return the condition that `to_json` gave; raises `BuilderError` where the form is another."""
    try:
        found = _member(data, 0)
    except BuilderError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BuilderError(msg(_BROKEN)) from None
    return found if isinstance(found, Group) else Group(Join.ALL, (found,))


def _member(data: Mapping[str, Any], depth: int) -> Member:
    if depth > MAX_DEPTH:
        raise BuilderError(msg("Groups stand inside each other too deeply."))
    if "code" in data:
        return Code(str(data["code"]))
    if "members" in data:
        if len(data["members"]) > MAX_MEMBERS:
            raise BuilderError(msg("A group may have at most {limit} rows.", limit=MAX_MEMBERS))
        members = tuple(_member(part, depth + 1) for part in data["members"])
        return Group(Join(data["join"]), members, bool(data.get("negated")))
    values = tuple(Value(ValueKind(v["kind"]), str(v["text"])) for v in data.get("values", ()))
    return Row(str(data["field"]), Relation(data["relation"]), values, bool(data.get("guarded")))
