"""Check what a rule says against what its events are called: every expression, every text with expressions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rules.documents.event_rule import Act, EventRule, act_kind
from rules.documents.problems import DocumentProblem
from rules.events.charts import Place, places_of
from rules.events.interface import MAX_RULES
from rules.events.parse import acts_of
from rules.events.scope import PATH, Scope, Template
from rules.language.library import EMPTY, Library
from rules.language.problems import ExpressionError, Severity
from rules.schema import FieldType
from rules.text import N_, Message, msg

Expression = tuple[str, str, FieldType | None]
"""Place in the document, text, what its value has to be."""


def check_event_rule(rule: EventRule, library: Library = EMPTY) -> list[DocumentProblem]:
    """Return what keeps the rule from working, and what to look at (warnings)."""
    found: list[DocumentProblem] = []
    for name, path, text, expect in _ears(rule):
        found += _expression((Scope((name,), library),), path, text, expect)
    scopes = _scopes(rule, library)
    for path, text, expect in _expressions(rule):
        found += _expression(scopes, path, text, expect)
    for path, text in _texts(rule):
        found += _template(scopes, path, text)
    return [*found, *_unused(rule), *_chart(rule)]


def _scopes(rule: EventRule, library: Library) -> tuple[Scope, ...]:
    """Return what expressions can name; for a chart twice, since it depends on the way which events were seen."""
    names = tuple(rule.events)
    if rule.when is None:
        return Scope(names, library), Scope(names, library, frozenset(names))
    sure = {*rule.when.all, *rule.when.sequence, *(rule.when.any if len(rule.when.any) == 1 else ())}
    sure |= {rule.when.count.event} if rule.when.count else set()
    return (Scope(names, library, frozenset(names) - sure),)


def _ears(rule: EventRule) -> Iterator[tuple[str, str, str, FieldType | None]]:
    """Yield the expressions that see one event only, each with its name."""
    for name, listen in rule.events.items():
        if listen.where is not None:
            yield name, f"events/{name}/where", listen.where, FieldType.BOOLEAN
        if listen.by is not None and (not PATH.fullmatch(listen.by) or listen.by.partition(".")[0] in rule.events):
            yield name, f"events/{name}/by", listen.by, None


def _expressions(rule: EventRule) -> Iterator[Expression]:
    for path, way in _ways(rule):
        if way is not None:
            yield path, way, FieldType.BOOLEAN
    for path, act in acts_of(rule):
        if act.when is not None:
            yield f"{path}/when", act.when, FieldType.BOOLEAN
        yield from ((f"{path}/{act_kind(act)}/{place}", text, None) for place, text in _values(act))


def _ways(rule: EventRule) -> Iterator[tuple[str, str | None]]:
    for number, state in enumerate(rule.states):
        for position, way in enumerate(state.transitions):
            yield f"states/{number}/transitions/{position}/when", way.when
    for number, stage in enumerate(rule.flow):
        for position, branch in enumerate(stage.next):
            yield f"flow/{number}/next/{position}/when", branch.when


def _values(act: Act) -> Iterator[tuple[str, str]]:
    write = act.create_record or act.update_record
    if write is not None:
        yield from _entries("key", write.key)
        yield from _entries("fields", write.fields)
    if act.call is not None and act.call.body is not None:
        yield "body", act.call.body
    if act.case is not None:
        yield from _entries("details", act.case.details)
    if act.notify is not None and act.notify.web_hook is not None and act.notify.web_hook.body is not None:
        yield "web_hook/body", act.notify.web_hook.body


def _entries(path: str, entries: Mapping[str, str] | None) -> Iterable[tuple[str, str]]:
    return ((f"{path}/{name}", text) for name, text in (entries or {}).items())


def _texts(rule: EventRule) -> Iterator[tuple[str, str]]:
    for path, act in acts_of(rule):
        if act.call is not None:
            yield f"{path}/call/path", act.call.path
        if act.case is not None:
            yield f"{path}/case/title", act.case.title
            yield f"{path}/case/subject", act.case.subject
        if act.notify is not None and act.notify.email is not None:
            yield f"{path}/notify/email/subject", act.notify.email.subject
            yield f"{path}/notify/email/text", act.notify.email.text


def _expression(scopes: Sequence[Scope], path: str, text: str, expect: FieldType | None) -> list[DocumentProblem]:
    """Return what is wrong with an expression; of the warnings those that hold in every scope."""
    try:
        found = [scope.compile(text, expect).warnings for scope in scopes]
    except ExpressionError as error:
        return [DocumentProblem.of(path, problem) for problem in error.problems]
    kept = [problem for problem in found[0] if all(problem in others for others in found[1:])]
    return [DocumentProblem.of(path, problem) for problem in kept]


def _template(scopes: Sequence[Scope], path: str, text: str) -> list[DocumentProblem]:
    try:
        parts = Template.of(text).expressions
    except ExpressionError as error:
        return [DocumentProblem.of(path, problem) for problem in error.problems]
    found = []
    for part in parts:
        for problem in _expression(scopes, path, part, None):
            message = msg(N_("In {{{part}}}: {problem}"), part=part, problem=problem.message)
            found.append(DocumentProblem(path, message, suggestion=problem.suggestion, severity=problem.severity))
    return found


def _warning(path: str, message: Message) -> DocumentProblem:
    return DocumentProblem(path, message, severity=Severity.WARNING)


def _unused(rule: EventRule) -> Iterator[DocumentProblem]:
    used: set[str] = set()
    if rule.when is not None:
        when = rule.when
        used.update(when.all, when.sequence, when.any, when.absent.events if when.absent else ())
        used.update([when.count.event] if when.count else ())
    for place in places_of(rule)[0]:
        used.update(way.on for way in place.ways if way.on is not None)
    for name in rule.events:
        if name not in used:
            yield _warning(f"events/{name}", msg("Nothing waits for the event '{name}'.", name=name))


def _chart(rule: EventRule) -> Iterator[DocumentProblem]:
    if rule.when is not None:
        return
    form = "states" if rule.states else "flow"
    places, first = places_of(rule)
    size = 2 * len(places) + sum(len(place.ways) for place in places) + 1
    if size > MAX_RULES:
        text = N_("The chart has {count} ways in all; at most {limit} are possible. Split it into several rules.")
        yield DocumentProblem(form, msg(text, count=size, limit=MAX_RULES))
    if not any(way.on for way in places[first].ways):
        text = N_("'{name}' is the beginning, but it waits for no event, so that nothing ever begins.")
        yield DocumentProblem(f"{form}/{first}", msg(text, name=places[first].name))
    reached = _reached(places, first)
    for number, place in enumerate(places):
        if number not in reached:
            yield _warning(f"{form}/{number}", msg("No way leads to '{name}'.", name=place.name))


def _reached(places: Sequence[Place], first: int) -> set[int]:
    reached, waiting = {first}, [first]
    while waiting:
        for way in places[waiting.pop()].ways:
            if way.to not in reached:
                reached.add(way.to)
                waiting.append(way.to)
    return reached
