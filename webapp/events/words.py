"""What the parts of event rules are called on their pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webapp.rulebook.translation import translate as _
from webapp.web.storable import natural

Choices = list[tuple[str, str]]


def acts() -> dict[str, tuple[str, str]]:
    """Return the kinds of actions: icon and name."""
    return {
        "case": ("inbox", _("Open a case")),
        "create_record": ("plus-circle", _("Create a record")),
        "update_record": ("pencil", _("Update a record")),
        "call": ("plug", _("Call a service")),
        "run": ("play-circle", _("Start a run")),
        "web_hook": ("send", _("Send a web hook")),
        "email": ("envelope", _("Send an e-mail")),
    }


def act_name(kind: str) -> str:
    """Return the name of a kind of action as it is stored."""
    return _("Send a message") if kind == "notify" else acts().get(kind, ("", kind))[1]


def forms() -> Choices:
    """Return the forms of patterns."""
    return [
        ("all", _("all of these, in any order")),
        ("sequence", _("these, in this order")),
        ("any", _("any one of these")),
        ("count", _("one of them so many times")),
    ]


def units() -> Choices:
    """Return the units of time spans."""
    return [("s", _("seconds")), ("m", _("minutes")), ("h", _("hours")), ("d", _("days"))]


def starts() -> list[tuple[str, str, str, str]]:
    """Return the forms of a new rule: value, icon, name, what it is for."""
    return [
        (
            "when",
            "lightning-charge",
            _("When something happens"),
            _("Wait for a pattern of events, such as an order without a payment within 30 minutes, then act."),
        ),
        (
            "states",
            "signpost-split",
            _("A process with states"),
            _("Follow each customer, order or device from state to state, such as an onboarding with its checks."),
        ),
        (
            "flow",
            "diagram-2",
            _("A flow of steps"),
            _("Go through steps one after the other, with decisions between them, such as an approval."),
        ),
    ]


def place(path: str, document: Mapping[str, Any]) -> str:
    """Return what people call the part of a rule that a key of its document stands for."""
    head, _slash, rest = path.partition("/")
    name = rest.partition("/")[0]
    place = natural(name)
    number = 0 if place is None else place + 1
    if head in ("states", "flow") and number:
        held = document[head][number - 1] if number <= len(document[head]) else {}
        return str(held.get("label") or held.get("name") or number) if isinstance(held, Mapping) else str(number)
    told = {
        "events": _("Event %(name)s", name=name) if name else _("Events it listens to"),
        "by": _("Events belong together by"),
        "when": _("What has to happen"),
        "then": _("Action %(number)d", number=number) if number else _("What is done then"),
        "tests": _("Example %(number)d", number=number) if number else _("Examples of the rule"),
    }
    return told.get(head, path.replace("/", " › "))


def action_states() -> Choices:
    """Return the states of actions."""
    return [
        ("failed", _("Failed")),
        ("pending", _("Waiting")),
        ("running", _("Running")),
        ("done", _("Done")),
    ]
