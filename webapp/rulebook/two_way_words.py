"""The words that a two-way rule is edited in: directions, who wins, situations, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webapp.rulebook.translation import translate as _

Choices = list[tuple[str, str]]


def rule_directions() -> list[tuple[str, str, str, str]]:
    """Return the directions of a rule: value, icon, name and what it means."""
    return [
        (
            "left_to_right",
            "arrow-right",
            _("From left to right"),
            _("What changes on the left is brought to the right. The left side is only read."),
        ),
        (
            "right_to_left",
            "arrow-left",
            _("From right to left"),
            _("What changes on the right is brought to the left. The right side is only read."),
        ),
        (
            "two_way",
            "arrow-left-right",
            _("Both ways"),
            _("A change on either side reaches the other one. If both change a field, your rule says who wins."),
        ),
    ]


def field_directions() -> Choices:
    """Return which way one field flows."""
    return [
        ("both", _("↔ Both ways")),
        ("left_to_right", _("→ Only to the right")),
        ("right_to_left", _("← Only to the left")),
    ]


def policies() -> Choices:
    """Return who wins when both sides changed the same field."""
    return [
        ("manual", _("Ask a person")),
        ("left", _("Left wins")),
        ("right", _("Right wins")),
        ("newer", _("The newer change wins")),
        ("max", _("The larger value wins")),
        ("min", _("The smaller value wins")),
        ("first_non_empty", _("Left, or right where left is empty")),
        ("union", _("Put both lists together")),
        ("expression", _("Work it out with an expression")),
    ]


def policy_names(left: str, right: str) -> dict[str, str]:
    """Return who wins, in the middle of a sentence that calls the sides by their names."""
    named = {
        "left": _("%(name)s wins", name=left),
        "right": _("%(name)s wins", name=right),
        "first_non_empty": _("%(left)s, or %(right)s where it is empty there", left=left, right=right),
    }
    return {policy: label[:1].lower() + label[1:] for policy, label in policies()} | named


def default_policies() -> Choices:
    """Return what can be said for all fields; an expression belongs to one field."""
    return [policy for policy in policies() if policy[0] != "expression"]


def strengths() -> Choices:
    """Return when a value of a pair is written."""
    return [
        ("normal", _("When it changed")),
        ("strong", _("Always, undo changes there (one way only)")),
        ("weak", _("Only while empty there")),
    ]


def ties() -> Choices:
    """Return which side wins when both are equally new."""
    return [("left", _("Left")), ("right", _("Right"))]


def hows() -> Choices:
    """Return how values are compared to find partners."""
    return [
        ("exact", _("Exactly the same")),
        ("normalised", _("The same but for case, spaces, accents …")),
        ("similarity", _("Alike")),
    ]


def kinds() -> Choices:
    """Return what compared values are."""
    return [
        ("", _("As the field is")),
        ("text", _("Text")),
        ("name", _("Name of a person")),
        ("company", _("Name of a company")),
        ("code", _("Number or code")),
        ("phone", _("Phone number")),
        ("email", _("E-mail address")),
        ("date", _("Date")),
        ("number", _("Amount")),
    ]


def metrics() -> Choices:
    """Return what a guard counts."""
    return [
        ("deletes", _("Records deleted")),
        ("creates", _("Records created")),
        ("updates", _("Records changed")),
        ("blanked", _("Values that become empty")),
        ("conflicts", _("Conflicts")),
        ("rejects", _("Records refused or parked")),
    ]


def guard_deeds() -> Choices:
    """Return what a guard does."""
    return [("suspend", _("Stop and ask")), ("warn", _("Note it and go on"))]


def drifts() -> list[tuple[str, str, str, Choices]]:
    """Return what can be said about changed fields: key, question, what is done if nothing is said, choices."""
    park, stop = ("quarantine", _("Park the records")), ("suspend", _("Stop the run"))
    new = [("propose", _("Tell people about it")), ("ignore", _("Do nothing")), stop]
    return [
        ("new_field", _("A system has a new field"), "propose", new),
        ("removed", _("A field of this rule is gone"), "suspend", [stop]),
        ("type_change", _("A field of this rule has another type"), "quarantine", [park, stop]),
    ]


def noticing() -> list[tuple[str, str, str]]:
    """Return how deletions are noticed: value, name and what it means."""
    return [
        ("none", _("Not at all"), _("A record that is gone from one side stays on the other.")),
        (
            "full_scan",
            _("By reading everything"),
            _("A record that a complete read does not meet is gone. An interrupted read never counts."),
        ),
        (
            "tombstone",
            _("By a mark in the record"),
            _("The system keeps deleted records and says so in a field. Quick, also where only what is new is read."),
        ),
        (
            "event",
            _("By what the system tells"),
            _("For systems that list what was deleted beside what has changed."),
        ),
    ]


def situations(left: str, right: str) -> list[tuple[str, str, dict[str, str]]]:
    """Return the situations of a two-way rule: name, question, and what each action means there."""
    return [*_found(left, right), *_linked(left), *_gone(left, right)]


def _found(left: str, right: str) -> list[tuple[str, str, dict[str, str]]]:
    def alone(side: str, other: str) -> dict[str, str]:
        return {
            "create": _("Create it in %(name)s", name=other),
            "ignore": _("Do nothing"),
            "case": _("Ask a person"),
            "delete": _("Delete it from %(name)s", name=side),
            "deactivate": _("Deactivate it in %(name)s", name=side),
        }

    return [
        ("unmatched_left", _("A record of %(name)s has no partner", name=left), alone(left, right)),
        ("unmatched_right", _("A record of %(name)s has no partner", name=right), alone(right, left)),
        (
            "unlinked",
            _("Two records turn out to be the same"),
            {
                "link_update": _("Link them, make them agree"),
                "link": _("Link them, write only later changes"),
                "ignore": _("Do nothing"),
                "case": _("Ask a person"),
            },
        ),
        (
            "disputed",
            _("Several records could be the partner"),
            {"case": _("Ask a person"), "ignore": _("Do nothing")},
        ),
    ]


def _linked(left: str) -> list[tuple[str, str, dict[str, str]]]:
    return [
        (
            "linked_changed",
            _("A linked record has changed on one side"),
            {
                "update": _("Bring the change to the other side"),
                "ignore": _("Do nothing"),
                "case": _("Ask a person"),
            },
        ),
        (
            "linked_conflict",
            _("Both sides have changed the same field"),
            {
                "merge": _("Let each field say who wins"),
                "update": _("%(name)s wins in all fields", name=left),
                "ignore": _("Do nothing"),
                "case": _("Ask a person about the whole record"),
            },
        ),
        (
            "out_of_scope",
            _("A linked record no longer meets its condition"),
            {
                "unlink": _("Let the pair go: stop updating it"),
                "ignore": _("Leave it for now, stay linked"),
                "delete": _("Delete its partner"),
                "deactivate": _("Deactivate its partner"),
                "case": _("Ask a person"),
            },
        ),
    ]


def _gone(left: str, right: str) -> list[tuple[str, str, dict[str, str]]]:
    def gone(side: str, other: str) -> dict[str, str]:
        return {
            "case": _("Ask a person"),
            "delete": _("Delete it from %(name)s, too", name=other),
            "deactivate": _("Deactivate it in %(name)s", name=other),
            "recreate": _("Create it in %(name)s again", name=side),
            "unlink": _("Let the pair go, keep the other record"),
            "ignore": _("Do nothing"),
        }

    either = {
        "case": _("Ask a person"),
        "delete": _("Delete the other one, too"),
        "deactivate": _("Deactivate the other one"),
        "recreate": _("Create it again with the changes"),
        "unlink": _("Let the pair go, keep the other record"),
        "ignore": _("Do nothing"),
    }
    return [
        ("deleted_left", _("A linked record is gone from %(name)s", name=left), gone(left, right)),
        ("deleted_right", _("A linked record is gone from %(name)s", name=right), gone(right, left)),
        ("edit_vs_delete", _("Gone from one side, changed on the other"), either),
    ]


def named(choices: Mapping[str, str] | Choices, value: Any) -> str:
    """Return what a value is called among choices."""
    return dict(choices).get(str(value), str(value))
