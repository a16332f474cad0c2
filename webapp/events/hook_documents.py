"""`kind: web_hook` documents: what a configuration file says of an inbound web hook. Its keys never travel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.documents import DocumentProblem, validate
from rules.documents.event_rule import TYPE
from webapp.events import hooks
from webapp.events.hook_schemes import SCHEMES
from webapp.events.hooks import KIND, LEAST, LONGEST, NAME, SECONDS, HookRefused, Wanted
from webapp.extensions import Actor

_HEADER = {"type": "string", "maxLength": 100, "default": ""}


def schema() -> dict[str, Any]:
    """Return the JSON Schema of web hooks."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:syncline:schema:{KIND}",
        "title": "Web hook",
        "description": "An address at which another system tells that something happened. Its keys are set beside.",
        "type": "object",
        "required": ["kind", "name", "type"],
        "additionalProperties": False,
        "properties": {
            "kind": {"const": KIND, "description": "What the document describes."},
            "name": {"type": "string", "pattern": f"^{NAME}$", "description": "The end of its address: /hooks/NAME."},
            "label": {"type": "string", "maxLength": 200, "default": "", "description": "What people call it."},
            "type": {
                "type": "string",
                "maxLength": 100,
                "pattern": TYPE,
                "description": "The type of the events that its deliveries become.",
            },
            "scheme": {"enum": list(SCHEMES), "default": "syncline", "description": "How the sender signs."},
            "signature_header": {**_HEADER, "description": "The header of the signature, if not that of the scheme."},
            "time_header": {**_HEADER, "description": "The header of the time, if not that of the scheme."},
            "seconds": {
                "type": "integer",
                "minimum": LEAST,
                "maximum": LONGEST,
                "default": SECONDS,
                "description": "How far the signed time may be from ours.",
            },
            "enabled": {"type": "boolean", "default": True, "description": "Whether deliveries are taken."},
        },
    }


def problems(document: Mapping[str, Any]) -> list[DocumentProblem]:
    """Return what is wrong with the document by itself."""
    found = list(validate(document, schema()))
    if not found:
        try:
            hooks.check(_wanted(document))
        except HookRefused as refusal:
            found.append(DocumentProblem(refusal.field, refusal.message))
    return found


def names(tx: sa.Connection) -> list[str]:
    """Return the names of all hooks."""
    return [hook.name for hook in hooks.list_hooks(tx)]


def read(tx: sa.Connection, name: str) -> dict[str, Any] | None:
    """Return the document of a hook, without what is as usual; None if there is none of that name."""
    hook = hooks.find(tx, name)
    if hook is None:
        return None
    usual = asdict(Wanted("", ""))
    settings = {key: value for key, value in asdict(hook.settings).items() if value != usual[key]}
    return {"kind": KIND, **settings}


def save(tx: sa.Connection, document: Mapping[str, Any], actor: Actor, at: datetime) -> None:
    """Bring a hook to what the document states; raises `HookRefused`."""
    wanted = _wanted(document)
    deed = hooks.create_in if hooks.find(tx, wanted.name) is None else hooks.update_in
    deed(tx, wanted, actor, at)


def _wanted(document: Mapping[str, Any]) -> Wanted:
    return Wanted(**{name: value for name, value in document.items() if name != "kind"})
