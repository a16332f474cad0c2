"""What is to be done about a step: actions with their values worked out, ready to be stored and carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rules.documents.build import plain
from rules.documents.event_rule import Act, Call, EventRule, Notify, OpenCase, Start, Write, act_kind
from rules.events.interface import Step
from rules.events.parse import acts_of
from rules.events.scope import CannotWorkOut, Moment, Scope, Template, holds, work_out
from rules.text import Message


@dataclass(frozen=True)
class Work:
    """One action: its place in the rule, its kind and its values as JSON; `problem` says why it cannot be done."""

    path: str
    kind: str
    values: Mapping[str, Any]
    retry: Mapping[str, Any]
    problem: Message | None = None


def works(rule: EventRule, scope: Scope, step: Step) -> list[Work]:
    """Return the actions of a step, in their order; those whose condition does not hold are left out."""
    acts = dict(acts_of(rule))
    moment = Moment(step.key, step.at, step.seen)
    made = (_work(path, acts[path], scope, moment, rule) for path in step.acts)
    return [work for work in made if work is not None]


def _work(path: str, act: Act, scope: Scope, moment: Moment, rule: EventRule) -> Work | None:
    kind = act_kind(act)
    retry = plain(act.retry)
    try:
        if act.when is not None and not holds(act.when, scope, moment):
            return None
        return Work(path, kind, _values(getattr(act, kind), _Filler(scope, moment, rule.name)), retry)
    except CannotWorkOut as error:
        return Work(path, kind, {}, retry, error.message)


@dataclass(frozen=True)
class _Filler:
    scope: Scope
    moment: Moment
    rule: str

    def value(self, text: str) -> Any:
        """Return the value of an expression."""
        return work_out(self.scope.compile(text), self.scope, self.moment)

    def text(self, text: str, *, address: bool = False) -> str:
        """Return a text with its expressions filled in."""
        return Template.of(text).fill(self.scope, self.moment, address=address)

    def mapping(self, entries: Mapping[str, str] | None) -> dict[str, Any]:
        """Return the values of named expressions."""
        return {name: self.value(text) for name, text in (entries or {}).items()}

    def seen(self) -> dict[str, Any]:
        """Return what a web hook is told if the rule does not say."""
        events = {
            name: [{"id": e.id, "type": e.type, "at": e.at.isoformat(), "data": e.data} for e in seen]
            for name, seen in self.moment.seen.items()
        }
        return {"rule": self.rule, "key": self.moment.key, "at": self.moment.now.isoformat(), "events": events}


def _values(part: Any, filler: _Filler) -> dict[str, Any]:
    match part:
        case Write():
            return {
                "connection": part.connection,
                "object": part.object,
                "key": filler.mapping(part.key),
                "fields": filler.mapping(part.fields),
            }
        case Call():
            path = filler.text(part.path, address=True)
            head = {"connection": part.connection, "method": part.method.value, "path": path}
            return head if part.body is None else {**head, "body": filler.value(part.body)}
        case Start():
            return {"rule": part.rule, "mode": part.mode.value}
        case OpenCase():
            words = {"title": filler.text(part.title), "subject": filler.text(part.subject), "assignee": part.assignee}
            return {**words, "details": filler.mapping(part.details)}
        case Notify():
            return _message(part, filler)
        case _:
            raise TypeError(type(part).__name__)


def _message(part: Notify, filler: _Filler) -> dict[str, Any]:
    if part.web_hook is not None:
        body = filler.seen() if part.web_hook.body is None else filler.value(part.web_hook.body)
        return {"web_hook": {"url": part.web_hook.url, "secret": part.web_hook.secret, "body": body}}
    if part.email is None:
        raise TypeError("a message without a way")
    mail = part.email
    return {"email": {"to": list(mail.to), "subject": filler.text(mail.subject), "text": filler.text(mail.text)}}
