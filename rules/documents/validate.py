"""Check plain data against a JSON Schema, and say what is wrong in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from rules.documents.event_rule import TYPE
from rules.documents.policies import DURATION, SHARE
from rules.documents.problems import DocumentProblem
from rules.documents.shape import NAME
from rules.language.problems import nearest
from rules.text import N_, Message, msg

Found = tuple[str, Message, str | None]
_FORMS = {
    NAME: N_("{value} is no name: small letters, digits and underscores, a letter first, at most 63 in all."),
    DURATION: N_("{value} is not a time span such as 5m, 2s, 500ms, 1h or 1d."),
    TYPE: N_("{value} is no type of events: words of small letters and digits with dots between, like order.created."),
    SHARE: N_("{value} is neither a number nor a share such as 5%."),
}
_OTHER = N_("{value} is not possible here.")
_TYPES: Mapping[tuple[str, ...], str] = {
    ("object",): N_("Keys and values are needed here, not {value}."),
    ("array",): N_("A list is needed here, not {value}."),
    ("string",): N_("Text is needed here, not {value}."),
    ("integer",): N_("A whole number is needed here, not {value}."),
    ("number",): N_("A number is needed here, not {value}."),
    ("boolean",): N_("true or false is needed here, not {value}."),
    ("string", "integer"): N_("Text or a whole number is needed here, not {value}."),
}


@dataclass(frozen=True)
class _Broken:
    """A keyword of the schema that a value does not meet."""

    instance: Any
    validator_value: Any
    schema: Mapping[str, Any]


def validate(document: Any, schema: Mapping[str, Any]) -> tuple[DocumentProblem, ...]:
    """Return what keeps a document from being what the schema describes, in the order of the document's paths."""
    found: list[DocumentProblem] = []
    for error in Draft202012Validator(schema).iter_errors(document):
        found += [problem for problem in _problems(error) if problem not in found]
    return tuple(sorted(found, key=lambda problem: problem.path))


def _problems(error: ValidationError) -> Iterator[DocumentProblem]:
    path = "/".join(str(part) for part in error.absolute_path)
    words = _WORDS.get(str(error.validator), _unknown)
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    for below, message, suggestion in words(_Broken(error.instance, error.validator_value, schema)):
        yield DocumentProblem("/".join(part for part in (path, below) if part), message, suggestion=suggestion)


def _missing(error: _Broken) -> Iterator[Found]:
    for name in error.validator_value:
        if name not in error.instance:
            yield name, msg("The key '{key}' is missing.", key=name), None


def _not_known(error: _Broken) -> Iterator[Found]:
    known = error.schema.get("properties", {})
    for name in error.instance:
        if name not in known:
            close = nearest(str(name), known)
            if close is None:
                text = N_("There is no key '{key}' here. Possible: {known}.")
                yield str(name), msg(text, key=name, known=", ".join(known)), None
            else:
                yield (
                    str(name),
                    msg("There is no key '{key}' here. Did you mean '{close}'?", key=name, close=close),
                    close,
                )


def _wrong_type(error: _Broken) -> Iterator[Found]:
    wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
    text = _TYPES.get(tuple(wanted), _OTHER)
    yield "", msg(text, value=_short(error.instance)), None


def _wrong_choice(error: _Broken) -> Iterator[Found]:
    options = [str(option) for option in error.validator_value]
    close = nearest(str(error.instance), options)
    text = N_("{value} is not possible here. Choose one of: {options}.")
    yield "", msg(text, value=_short(error.instance), options=", ".join(options)), close


def _wrong_form(error: _Broken) -> Iterator[Found]:
    text = _FORMS.get(error.validator_value, N_("{value} does not have the right form."))
    yield "", msg(text, value=_short(error.instance)), None


def _limit(text: str) -> Callable[[_Broken], Iterator[Found]]:
    def words(error: _Broken) -> Iterator[Found]:
        yield "", msg(text, limit=error.validator_value), None

    return words


def _twice(_error: _Broken) -> Iterator[Found]:
    yield "", msg("A value stands twice in this list."), None


def _unknown(error: _Broken) -> Iterator[Found]:
    yield "", msg(_OTHER, value=_short(error.instance)), None


_WORDS: Mapping[str, Callable[[_Broken], Iterator[Found]]] = {
    "required": _missing,
    "additionalProperties": _not_known,
    "type": _wrong_type,
    "enum": _wrong_choice,
    "const": lambda error: iter([("", msg("This has to be {value}.", value=_short(error.validator_value)), None)]),
    "pattern": _wrong_form,
    "minimum": _limit(N_("This must not be less than {limit}.")),
    "maximum": _limit(N_("This must not be more than {limit}.")),
    "minLength": _limit(N_("This must not be empty; at least {limit} characters are needed.")),
    "maxLength": _limit(N_("This must not be longer than {limit} characters.")),
    "minItems": _limit(N_("At least {limit} entries are needed here.")),
    "maxItems": _limit(N_("At most {limit} entries are possible here.")),
    "uniqueItems": _twice,
}


def _short(value: object) -> str:
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
