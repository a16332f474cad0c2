"""From plain data to an event rule: its keys, their values, and what they mean together."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from rules.documents.build import build
from rules.documents.event_rule import ACTS, KIND, Act, EventRule, When, seconds
from rules.documents.problems import DocumentError, DocumentProblem
from rules.documents.shape import NAME, json_schema
from rules.documents.validate import validate
from rules.events.scope import ALL, PATH, RESERVED
from rules.language.problems import nearest
from rules.text import N_, msg

LONGEST = timedelta(days=400)
_FORMS = ("all", "sequence", "any", "count")


@cache
def event_rule_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of an event rule document."""
    kind = {"const": KIND, "description": "What the document describes."}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Event rule"}
    plain: dict[str, Any] = json.loads(json.dumps({**head, **json_schema(EventRule, kind=kind)}))
    return plain


def parse_event_rule(document: Mapping[str, Any]) -> EventRule:
    """Return the rule that a document describes; raises `DocumentError`."""
    problems = validate(document, event_rule_schema())
    if problems:
        raise DocumentError(problems)
    rule = build(EventRule, {name: value for name, value in document.items() if name != "kind"})
    meaning = [*_names(rule), *_by(rule), *_form(rule), *_acts(rule), *_examples(rule)]
    if meaning:
        raise DocumentError(meaning)
    return rule


def acts_of(rule: EventRule) -> Iterator[tuple[str, Act]]:
    """Yield every action with its place in the document."""
    yield from _placed("then", rule.then)
    for number, state in enumerate(rule.states):
        yield from _placed(f"states/{number}/then", state.then)
        for position, way in enumerate(state.transitions):
            yield from _placed(f"states/{number}/transitions/{position}/then", way.then)
    for number, stage in enumerate(rule.flow):
        yield from _placed(f"flow/{number}/then", stage.then)


def _placed(path: str, acts: Iterable[Act]) -> Iterator[tuple[str, Act]]:
    yield from ((f"{path}/{number}", act) for number, act in enumerate(acts))


def _names(rule: EventRule) -> Iterator[DocumentProblem]:
    for name in rule.events:
        if not re.fullmatch(NAME, name):
            text = N_("'{name}' is no name: small letters, digits and underscores, a letter first, at most 63 in all.")
            yield DocumentProblem(f"events/{name}", msg(text, name=name))
        elif name in RESERVED or (name.endswith(ALL) and name.removesuffix(ALL) in rule.events):
            text = N_("'{name}' means something else in expressions. Choose another name for the event.")
            yield DocumentProblem(f"events/{name}", msg(text, name=name))


def _by(rule: EventRule) -> Iterator[DocumentProblem]:
    if rule.by is not None and not PATH.fullmatch(rule.by):
        text = N_("Name one field that all events have, such as customer_id; an expression belongs to a single event.")
        yield DocumentProblem("by", msg(text))


def _form(rule: EventRule) -> Iterator[DocumentProblem]:
    given = [name for name in ("when", "states", "flow") if getattr(rule, name)]
    if len(given) != 1:
        text = N_("Say what has to happen in exactly one way: as a pattern (when), as states or as a flow.")
        yield DocumentProblem("/".join(given[1:2]) or "when", msg(text))
    elif rule.when is not None:
        yield from _when(rule, rule.when)
    else:
        yield from _chart(rule, given[0])
    if rule.when is None and rule.then:
        yield DocumentProblem("then", msg("Actions of states and stages belong to them, not here."))


def _when(rule: EventRule, when: When) -> Iterator[DocumentProblem]:
    given = [name for name in _FORMS if getattr(when, name)]
    if len(given) != 1:
        yield DocumentProblem("when", msg("Choose one of: all, sequence, any, count."))
        return
    form, several = (
        given[0],
        len(when.all) + len(when.sequence) > 1 or (when.count is not None and when.count.times > 1),
    )
    if several and when.within is None:
        text = N_("Say within which time all of it has to happen, such as 30m.")
        yield DocumentProblem("when/within", msg(text))
    if when.count is not None:
        yield from _known(rule, "when/count/event", when.count.event)
    for number, name in enumerate(getattr(when, form) if form != "count" else ()):
        yield from _known(rule, f"when/{form}/{number}", name)
    for number, name in enumerate(when.absent.events if when.absent else ()):
        yield from _known(rule, f"when/absent/events/{number}", name)
    yield from _span("when/within", when.within)
    yield from _span("when/absent/within", when.absent.within if when.absent else None)
    if not rule.then:
        yield DocumentProblem("then", msg("Say what is to be done then: at least one action."))


def _known(rule: EventRule, path: str, name: str) -> Iterator[DocumentProblem]:
    if name not in rule.events:
        close = nearest(name, rule.events)
        text = N_("There is no event '{name}' in this rule.") if close is None else _CLOSE
        yield DocumentProblem(path, msg(text, name=name, close=close), suggestion=close)


_CLOSE = N_("There is no event '{name}' in this rule. Did you mean '{close}'?")


def _span(path: str, text: str | None) -> Iterator[DocumentProblem]:
    span = seconds(text)
    if span is not None and not timedelta(0) < span <= LONGEST:
        yield DocumentProblem(
            path, msg("A time has to be longer than nothing and at most {days} days.", days=LONGEST.days)
        )


def _chart(rule: EventRule, form: str) -> Iterator[DocumentProblem]:
    places = rule.states if form == "states" else rule.flow
    names = [place.name for place in places]
    for number, name in enumerate(names):
        if name in names[:number]:
            yield DocumentProblem(f"{form}/{number}/name", msg("'{name}' is the name of another one above.", name=name))
    yield from _states(rule, names)
    for number, stage in enumerate(rule.flow):
        for position, branch in enumerate(stage.next):
            yield from _way(rule, f"flow/{number}/next/{position}", branch, names)
            if branch.on is not None and branch.after is not None:
                text = N_("Wait for an event (on) or for a time (after), not for both; write two ways on.")
                yield DocumentProblem(f"flow/{number}/next/{position}/after", msg(text))


def _states(rule: EventRule, names: list[str]) -> Iterator[DocumentProblem]:
    if sum(state.initial for state in rule.states) > 1:
        yield DocumentProblem("states", msg("Only one state can be the initial one."))
    for number, state in enumerate(rule.states):
        yield from _state(rule, f"states/{number}", number)
        for position, way in enumerate(state.transitions):
            yield from _way(rule, f"states/{number}/transitions/{position}", way, names)
            if (way.on is None) == (way.after is None):
                text = N_("Name the event that leads there (on), or the time after which it happens (after).")
                yield DocumentProblem(f"states/{number}/transitions/{position}/on", msg(text))


def _state(rule: EventRule, path: str, number: int) -> Iterator[DocumentProblem]:
    state = rule.states[number]
    if state.final and state.transitions:
        yield DocumentProblem(f"{path}/transitions", msg("Nothing leads out of a final state."))
    if state.final and state.initial:
        yield DocumentProblem(f"{path}/final", msg("The initial state cannot be final."))


def _way(rule: EventRule, path: str, way: Any, names: list[str]) -> Iterator[DocumentProblem]:
    if way.to not in names:
        close = nearest(way.to, names)
        text = (
            N_("There is no '{name}' here.") if close is None else N_("There is no '{name}'. Did you mean '{close}'?")
        )
        yield DocumentProblem(f"{path}/to", msg(text, name=way.to, close=close), suggestion=close)
    if way.on is not None:
        yield from _known(rule, f"{path}/on", way.on)
    yield from _span(f"{path}/after", way.after)


def _acts(rule: EventRule) -> Iterator[DocumentProblem]:
    for path, act in acts_of(rule):
        given = [kind for kind in ACTS if getattr(act, kind) is not None]
        if len(given) != 1:
            yield DocumentProblem(path, msg("Choose one of: {kinds}.", kinds=", ".join(ACTS)))
        elif given == ["update_record"] and not (act.update_record and act.update_record.key):
            text = N_("Say which record is to be updated: the field that identifies it, and its value.")
            yield DocumentProblem(f"{path}/update_record/key", msg(text))
        elif act.notify is not None and (act.notify.web_hook is None) == (act.notify.email is None):
            yield DocumentProblem(f"{path}/notify", msg("Choose one of: {kinds}.", kinds="web_hook, email"))


def _examples(rule: EventRule) -> Iterator[DocumentProblem]:
    for name, count in Counter(example.name for example in rule.tests).items():
        if count > 1:
            yield DocumentProblem("tests", msg("Two examples are called '{name}'.", name=name))
