"""A rule's own examples: these events, exactly these actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rules.documents.event_rule import Example, Expected
from rules.documents.policies import duration
from rules.events.interface import Event, Step
from rules.events.parse import parse_event_rule
from rules.events.simulate import START, Simulation, simulate
from rules.events.work import Work
from rules.language.library import EMPTY, Library
from rules.text import N_, Message, msg


@dataclass(frozen=True)
class Verdict:
    """How an example went; `problems` is empty if it came out as stated."""

    name: str
    problems: tuple[Message, ...]

    @property
    def passed(self) -> bool:
        """Tell whether the example came out as stated."""
        return not self.problems


def run_examples(document: Mapping[str, Any], library: Library = EMPTY) -> list[Verdict]:
    """Return how the examples of a rule go, in their order; raises `DocumentError` and `TooLarge`."""
    found = []
    for example in parse_event_rule(document).tests:
        events = [
            Event(f"e{n}", one.type, START + duration(one.at), dict(one.data or {}))
            for n, one in enumerate(example.events, 1)
        ]
        end = max([START + duration(example.until), *(event.at for event in events)])
        found.append(Verdict(example.name, tuple(_problems(example, simulate(document, events, end, library)))))
    return found


def _problems(example: Example, simulation: Simulation) -> Iterator[Message]:
    works = simulation.works
    for number, (wanted, (step, work)) in enumerate(zip(example.expect, works, strict=False), 1):
        yield from _compare(number, wanted, step, work)
    for number, wanted in enumerate(example.expect[len(works) :], len(works) + 1):
        yield msg("Action {number}: {kind} was expected, but nothing was done.", number=number, kind=wanted.do)
    for number, (_, work) in enumerate(works[len(example.expect) :], len(example.expect) + 1):
        yield msg("Action {number}: {kind} was done, but nothing was expected.", number=number, kind=work.kind)
    for key, wanted_state in (example.states or {}).items():
        found = simulation.states.get(key)
        if found != wanted_state:
            text = N_("'{key}' is in the state '{found}' at the end, not in '{wanted}'.")
            yield msg(text, key=key, found=found or "-", wanted=wanted_state)


def _compare(number: int, wanted: Expected, step: Step, work: Work) -> Iterator[Message]:
    if wanted.do != work.kind:
        text = N_("Action {number} is {found}, not {wanted}.")
        yield msg(text, number=number, found=work.kind, wanted=wanted.do)
        return
    if work.problem is not None:
        yield msg("Action {number}: {problem}", number=number, problem=work.problem)
        return
    if wanted.key is not None and wanted.key != step.key:
        text = N_("Action {number} is for '{found}', not for '{wanted}'.")
        yield msg(text, number=number, found=step.key, wanted=wanted.key)
    if wanted.at is not None and step.at != START + duration(wanted.at):
        text = N_("Action {number} is done after {found}, not after {wanted}.")
        yield msg(text, number=number, found=str(step.at - START), wanted=wanted.at)
    yield from _values(number, "", wanted.values or {}, work.values)


def _values(number: int, path: str, wanted: Any, found: Any) -> Iterator[Message]:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for name, value in wanted.items():
            yield from _values(number, f"{path}/{name}" if path else name, value, found.get(name))
    elif wanted != found:
        text = N_("Action {number}: {place} is {found}, not {wanted}.")
        yield msg(text, number=number, place=path, found=repr(found), wanted=repr(wanted))
