"""One rule, ready to work: document, ears, engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rules.documents.event_rule import EventRule
from rules.events.charts import ChartMachine
from rules.events.interface import Engine, Step
from rules.events.listen import Listener
from rules.events.machine import PatternMachine
from rules.events.parse import parse_event_rule
from rules.events.scope import Scope
from rules.events.work import Work, works
from rules.language.library import EMPTY, Library


@dataclass(frozen=True)
class Ready:
    """A rule at work."""

    rule: EventRule
    scope: Scope
    listener: Listener
    engine: Engine

    @classmethod
    def of(cls, document: Mapping[str, Any], library: Library = EMPTY) -> Ready:
        """Return the rule of a document, with nothing open; raises `DocumentError` and `TooLarge`."""
        rule = parse_event_rule(document)
        scope = Scope(tuple(rule.events), library)
        engine: Engine = PatternMachine(rule) if rule.when is not None else ChartMachine(rule, scope)
        return cls(rule, scope, Listener(rule, scope), engine)

    def works(self, step: Step) -> list[Work]:
        """Return what is to be done about a step."""
        return works(self.rule, self.scope, step)
