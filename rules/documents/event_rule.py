"""The event rule as data: which events it listens to, what has to happen, what is done then, and its own examples.

A rule has exactly one of three forms: `when` (a pattern of events), `states` (a state chart) or `flow` (a flow chart).
Conditions are expressions over the events by their names: `order.amount > 1000`. Texts hold expressions in braces:
`Order {order.id} is not paid`.
"""

# ruff: noqa: RUF009 - `entry` declares a key, as `dataclasses.field` would
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from rules.documents.policies import DURATION, Backoff, duration
from rules.documents.shape import NAME, entry

KIND = "event_rule"
TYPE = r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$"


class Method(StrEnum):
    """How a call is made."""

    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    GET = "GET"


class Mode(StrEnum):
    """What a started run does with changes."""

    LIVE = "live"
    SIMULATE = "simulate"
    SHADOW = "shadow"


@dataclass(frozen=True)
class Listen:
    """One kind of event that the rule listens to."""

    type: str = entry("The type of the events, such as order.created.", pattern=TYPE, maxLength=100)
    where: str | None = entry("A condition; events for which it is false are left aside.", None, minLength=1)
    by: str | None = entry(
        "What events that belong together have in common; the rule's own `by` if left out.", None, minLength=1
    )


@dataclass(frozen=True)
class Count:
    """A number of events of one kind."""

    event: str = entry("The name of the event.", minLength=1)
    times: int = entry("How often it has to happen.", minimum=1, maximum=1000)


@dataclass(frozen=True)
class Absent:
    """What must not happen afterwards."""

    events: tuple[str, ...] = entry("The names of the events.", minItems=1, maxItems=20, uniqueItems=True)
    within: str = entry("How long to wait for them.", pattern=DURATION)


@dataclass(frozen=True)
class When:
    """A pattern of events; one of `all`, `sequence`, `any` and `count` is given."""

    all: tuple[str, ...] = entry("All of these, in any order.", (), maxItems=20, uniqueItems=True)
    sequence: tuple[str, ...] = entry("These, one after the other.", (), maxItems=20, uniqueItems=True)
    any: tuple[str, ...] = entry("One of these.", (), maxItems=20, uniqueItems=True)
    count: Count | None = entry("One event so many times.", None)
    within: str | None = entry("The longest time from the first to the last of them.", None, pattern=DURATION)
    absent: Absent | None = entry("What must not happen within a time after that.", None)


@dataclass(frozen=True)
class Write:
    """A record to be created or updated."""

    object: str = entry("The object or entity.", minLength=1)
    fields: Mapping[str, str] = entry("Field: expression.", minProperties=1, maxProperties=200)
    connection: str = entry("The name of the connection; `hub` for an entity.", "hub", minLength=1)
    key: Mapping[str, str] | None = entry(
        "update_record: the field that identifies the record, with an expression.", None, maxProperties=1
    )


@dataclass(frozen=True)
class Call:
    """A request to the service behind a REST connection."""

    connection: str = entry("The name of the REST connection.", minLength=1)
    path: str = entry("The path behind the address of the connection, such as /orders/{order.id}/hold.", minLength=1)
    method: Method = entry("The method of the request.", Method.POST)
    body: str | None = entry("The body as an expression, such as {'id': order.id}; none if left out.", None)


@dataclass(frozen=True)
class Start:
    """A run to be started."""

    rule: str = entry("The name of the sync rule.", pattern=NAME)
    mode: Mode = entry("What the run does with changes.", Mode.LIVE)


@dataclass(frozen=True)
class OpenCase:
    """A case to be opened."""

    title: str = entry("What the case is about, such as Order {order.id} is not paid.", minLength=1, maxLength=500)
    subject: str = entry("What record or thing it concerns.", "", maxLength=500)
    assignee: str | None = entry("The user who should look at it.", None, minLength=1, maxLength=128)
    details: Mapping[str, str] | None = entry("Name: expression; shown with the case.", None, maxProperties=50)


@dataclass(frozen=True)
class WebHook:
    """A request to an address outside."""

    url: str = entry("The address, such as https://hooks.example.com/orders.", pattern="^https?://", maxLength=2000)
    body: str | None = entry("The body as an expression; rule, key, time and events if left out.", None)
    secret: str | None = entry("The name of a secret that signs the body (HMAC-SHA256).", None, minLength=1)


@dataclass(frozen=True)
class Mail:
    """An e-mail."""

    to: tuple[str, ...] = entry("The addresses.", minItems=1, maxItems=20, uniqueItems=True)
    subject: str = entry("The subject.", minLength=1, maxLength=500)
    text: str = entry("The text.", minLength=1, maxLength=20_000)


@dataclass(frozen=True)
class Notify:
    """A message to people or programs; one of `web_hook` and `email` is given."""

    web_hook: WebHook | None = entry("A request to an address outside.", None)
    email: Mail | None = entry("An e-mail.", None)


@dataclass(frozen=True)
class Retry:
    """How often an action is tried when something does not answer."""

    times: int = entry("How often to try again.", 5, minimum=0, maximum=100)
    wait: str = entry("How long to wait before the next attempt.", "10s", pattern=DURATION)
    backoff: Backoff = entry("exponential: wait twice as long each time; fixed: always the same.", Backoff.EXPONENTIAL)


@dataclass(frozen=True)
class Act:
    """Something to be done; exactly one of the six kinds is given."""

    when: str | None = entry("A condition; where it is false, this is not done.", None, minLength=1)
    create_record: Write | None = entry("Create a record.", None)
    update_record: Write | None = entry("Update a record.", None)
    call: Call | None = entry("Call the service behind a REST connection.", None)
    run: Start | None = entry("Start a sync rule.", None)
    case: OpenCase | None = entry("Open a case.", None)
    notify: Notify | None = entry("Send a message.", None)
    retry: Retry = entry("How often to try again.", Retry())


ACTS = ("create_record", "update_record", "call", "run", "case", "notify")


@dataclass(frozen=True)
class Transition:
    """A way out of a state; `on` or `after` is given."""

    to: str = entry("The name of the next state.", minLength=1)
    on: str | None = entry("The name of the event that leads there.", None, minLength=1)
    after: str | None = entry("How long the state may last before it is left this way.", None, pattern=DURATION)
    when: str | None = entry("A condition; where it is false, this way is not taken.", None, minLength=1)
    then: tuple[Act, ...] = entry("What is done on the way.", (), maxItems=20)


@dataclass(frozen=True)
class State:
    """A state of a chart; one without ways out is an end."""

    name: str = entry("The name of the state.", pattern=NAME)
    label: str = entry("What people call the state; its name if left out.", "", maxLength=200)
    initial: bool = entry("Everything begins here; the first state if no state says so.", default=False)
    final: bool = entry("The process is over here.", default=False)
    then: tuple[Act, ...] = entry("What is done on arrival.", (), maxItems=20)
    transitions: tuple[Transition, ...] = entry("The ways out; the first that fits is taken.", (), maxItems=50)


@dataclass(frozen=True)
class Branch:
    """A way on from a stage; without `on` and `after` it is taken at once."""

    to: str = entry("The name of the next stage.", minLength=1)
    on: str | None = entry("Wait for this event.", None, minLength=1)
    after: str | None = entry("Wait so long.", None, pattern=DURATION)
    when: str | None = entry("A condition; where it is false, this way is not taken.", None, minLength=1)


@dataclass(frozen=True)
class Stage:
    """A stage of a flow chart; one without a way on is an end."""

    name: str = entry("The name of the stage.", pattern=NAME)
    label: str = entry("What people call the stage; its name if left out.", "", maxLength=200)
    then: tuple[Act, ...] = entry("What is done on arrival.", (), maxItems=20)
    next: tuple[Branch, ...] = entry("The ways on; the first that fits is taken.", (), maxItems=50)


@dataclass(frozen=True)
class Occurrence:
    """An event of an example."""

    type: str = entry("The type of the event.", pattern=TYPE)
    at: str = entry("When, from the start of the example: 0s, 10m, 2d.", "0s", pattern=DURATION)
    data: Mapping[str, Any] | None = entry("What the event holds.", None)


@dataclass(frozen=True)
class Expected:
    """An action that has to come of an example."""

    do: str = entry("The kind of the action.", enum=list(ACTS))
    key: str | None = entry("What the events have in common; not compared if left out.", None)
    at: str | None = entry("When, from the start of the example; not compared if left out.", None, pattern=DURATION)
    values: Mapping[str, Any] | None = entry("Values that the action must have; others are not compared.", None)


@dataclass(frozen=True)
class Example:
    """A test of the rule: these events, and exactly these actions."""

    name: str = entry("What the example shows.", minLength=1, maxLength=200)
    events: tuple[Occurrence, ...] = entry("The events in the order in which they arrive.", maxItems=200)
    until: str = entry("How long to wait, from the start of the example.", "0s", pattern=DURATION)
    expect: tuple[Expected, ...] = entry("The actions, in order.", (), maxItems=200)
    states: Mapping[str, str] | None = entry("Key: the state that the process is in at the end.", None)


@dataclass(frozen=True, kw_only=True)
class EventRule:
    """A whole event rule."""

    name: str = entry("The name of the rule: small letters, digits and underscores.", pattern=NAME)
    label: str = entry("What people call the rule; its name if left out.", "", maxLength=200)
    events: Mapping[str, Listen] = entry("Name: the events it stands for.", minProperties=1, maxProperties=50)
    by: str | None = entry(
        "What events that belong together have in common, such as a customer number. A name alone is a field of each "
        "event. All events belong together if left out.",
        None,
        minLength=1,
    )
    when: When | None = entry("A pattern of events.", None)
    states: tuple[State, ...] = entry("A state chart.", (), maxItems=100)
    flow: tuple[Stage, ...] = entry("A flow chart.", (), maxItems=100)
    then: tuple[Act, ...] = entry("when: what is done then.", (), maxItems=20)
    tests: tuple[Example, ...] = entry("Examples that have to come out as stated before publishing.", (), maxItems=200)


def seconds(text: str | None) -> timedelta | None:
    """Return a duration as a time span, None where there is none."""
    return None if text is None else duration(text)


def act_kind(act: Act) -> str:
    """Return which of the six kinds an action is."""
    return next(kind for kind in ACTS if getattr(act, kind) is not None)
