"""What a new event rule begins with: an example of each form that works at once."""

from __future__ import annotations

from typing import Any

from rules.documents.event_rule import KIND
from webapp.rulebook.translation import translate as _

FORMS = ("when", "states", "flow")


def starter(form: str, name: str, label: str) -> dict[str, Any]:
    """Return the document that a new rule of a form begins with."""
    made = {"when": _pattern, "states": _chart, "flow": _flow}[form]()
    return {"kind": KIND, "name": name, **({"label": label} if label else {}), **made}


def _pattern() -> dict[str, Any]:
    return {
        "events": {"order": {"type": "order.created"}, "payment": {"type": "payment.received"}},
        "by": "order_no",
        "when": {"all": ["order"], "absent": {"events": ["payment"], "within": "30m"}},
        "then": [{"case": {"title": _("Order {key} is not paid")}}],
        "tests": [
            {
                "name": _("No payment opens a case"),
                "events": [{"type": "order.created", "data": {"order_no": "A-1", "amount": 120}}],
                "until": "1h",
                "expect": [{"do": "case", "key": "A-1", "at": "30m"}],
            },
            {
                "name": _("A payment in time is quiet"),
                "events": [
                    {"type": "order.created", "data": {"order_no": "A-2", "amount": 80}},
                    {"type": "payment.received", "at": "10m", "data": {"order_no": "A-2"}},
                ],
                "until": "1h",
            },
        ],
    }


def _chart() -> dict[str, Any]:
    return {
        "events": {
            "signup": {"type": "customer.signed_up"},
            "credit": {"type": "credit.checked"},
            "created": {"type": "erp.customer_created"},
        },
        "by": "customer_no",
        "states": [
            {"name": "new", "label": _("New"), "transitions": [{"on": "signup", "to": "checking"}]},
            {
                "name": "checking",
                "label": _("Credit check"),
                "transitions": [
                    {"on": "credit", "to": "creating", "when": "credit.limit >= 1000"},
                    {"on": "credit", "to": "refused"},
                    {"after": "2d", "to": "waiting"},
                ],
            },
            {
                "name": "waiting",
                "label": _("Waits too long"),
                "then": [{"case": {"title": _("The credit check of customer {key} takes long")}}],
                "transitions": [{"on": "credit", "to": "creating"}],
            },
            {
                "name": "creating",
                "label": _("Being set up"),
                "transitions": [{"on": "created", "to": "done"}],
            },
            {"name": "refused", "label": _("Refused"), "final": True},
            {"name": "done", "label": _("Customer"), "final": True},
        ],
        "tests": [
            {
                "name": _("A good customer is set up"),
                "events": [
                    {"type": "customer.signed_up", "data": {"customer_no": "C-1", "name": "Ada"}},
                    {"type": "credit.checked", "at": "1h", "data": {"customer_no": "C-1", "limit": 5000}},
                    {"type": "erp.customer_created", "at": "2h", "data": {"customer_no": "C-1"}},
                ],
                "until": "3h",
                "states": {"C-1": "done"},
            },
        ],
    }


def _flow() -> dict[str, Any]:
    return {
        "events": {"request": {"type": "purchase.requested"}, "answer": {"type": "purchase.answered"}},
        "by": "no",
        "flow": [
            {"name": "start", "label": _("Request"), "next": [{"on": "request", "to": "decide"}]},
            {
                "name": "decide",
                "label": _("Small enough?"),
                "next": [{"to": "granted", "when": "request.amount < 500"}, {"to": "asking"}],
            },
            {
                "name": "asking",
                "label": _("Wait for an answer"),
                "then": [{"case": {"title": _("Approve {request.amount} for request {key}?")}}],
                "next": [
                    {"on": "answer", "to": "granted", "when": "answer.yes == true"},
                    {"on": "answer", "to": "refused"},
                    {"after": "7d", "to": "refused"},
                ],
            },
            {"name": "granted", "label": _("Granted")},
            {"name": "refused", "label": _("Refused")},
        ],
        "tests": [
            {
                "name": _("A small amount is granted at once"),
                "events": [{"type": "purchase.requested", "data": {"no": "P-1", "amount": 120}}],
                "until": "1h",
                "states": {"P-1": "granted"},
            },
        ],
    }
