"""How far the tests of a sync rule reach: which clauses they show true and false, which branches, which fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from rules.documents.sync import SideName
from rules.language.library import Library
from rules.language.program import Program
from rules.mapping import Mapping
from rules.testing.results import Aspect, Coverage, Point
from rules.trace import RecordTrace, Role, State, Step, Tracer, ValidationTrace
from rules.validations import Compiled

_BOTH = (Aspect.TRUE, Aspect.FALSE)
Place = tuple[str, int, Aspect]


class Reach:
    """Collects what the records of tests show of one rule."""

    def __init__(self, mapping: Mapping, validations: Iterable[Compiled], side: SideName) -> None:
        self._side = side
        self._mapping = mapping
        self._validations = tuple(validations)
        self._shown: set[Place] = set()

    def add(self, trace: RecordTrace) -> None:
        """Take note of what the record of a test shows."""
        if trace.where is not None:
            self.step(f"{self._side.value}/where", trace.where, condition=True)
        if not trace.in_scope:
            return
        self.asked(trace.validations)
        for field in trace.fields:
            self._conditions(field.path, when=field.when)
            if field.expression is not None:
                self.step(field.path, field.expression)
            if field.applies and field.error is None:
                self._shown.add((field.path, 0, Aspect.VALUE))

    def asked(self, validations: Iterable[ValidationTrace]) -> None:
        """Take note of validations that were asked of a record."""
        for validation in validations:
            self._conditions(f"validations/{validation.name}", when=validation.when, check=validation.check)

    def _conditions(self, path: str, **steps: Step | None) -> None:
        for key, step in steps.items():
            if step is not None:
                self.step(f"{path}/{key}", step, condition=True)

    def step(self, path: str, step: Step, *, condition: bool = False) -> None:
        """Take note of what an expression of the rule came to."""
        self._shown.update((path, *place) for place in _places(step))
        if condition and step.state is State.VALUE:
            self._shown.add((path, step.start, Aspect.TRUE if step.value is True else Aspect.FALSE))

    def coverage(self, library: Library) -> Coverage:
        """Return what the tests show of everything that there is to show."""
        return Coverage(
            tuple(replace(p, covered=(p.path, p.start, p.aspect) in self._shown) for p in self._points(library))
        )

    def _points(self, library: Library) -> Iterator[Point]:
        if self._mapping.scope is not None:
            yield from self._expression(f"{self._side.value}/where", self._mapping.scope, library, condition=True)
        for item in self._validations:
            for key, program in item.programs:
                path = f"validations/{item.validation.name}/{key}"
                yield from self._expression(path, program, library, condition=True)
        for step in self._mapping.steps:
            if step.when is not None:
                yield from self._expression(f"{step.entry.path}/when", step.when, library, condition=True)
            yield Point(step.entry.path, step.target.name, Aspect.VALUE)
            if step.program is not None:
                yield from self._expression(step.entry.path, step.program, library)

    def _expression(self, path: str, program: Program, library: Library, *, condition: bool = False) -> Iterator[Point]:
        tracer = Tracer(program.text, self._mapping.source, library)
        found = list(tracer.outline())
        if condition and not any(role is Role.CLAUSE for role, _start, _text in found):
            start, end = tracer.span
            yield from (Point(path, program.text[start:end], aspect, start) for aspect in _BOTH)
        for role, start, text in found:
            aspects = _BOTH if role is Role.CLAUSE else (Aspect.CHOSEN,)
            yield from (Point(path, text, aspect, start) for aspect in aspects)


def _places(step: Step) -> Iterator[tuple[int, Aspect]]:
    for part in step.walk():
        if part.state is not State.VALUE:
            continue
        if part.role is Role.CLAUSE and isinstance(part.value, bool):
            yield part.start, Aspect.TRUE if part.value else Aspect.FALSE
        elif part.role is Role.CHOICE and part.decides:
            yield part.start, Aspect.CHOSEN
