"""Importing the description of a web service: fetching the document, and what a person chose of it as settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from connectors.builtin.document_text import LARGEST, document_of
from connectors.builtin.openapi import Description, described
from connectors.builtin.rest_objects import objects_of
from connectors.errors import Misconfigured
from connectors.http_client import Limits, client
from connectors.spi import Context
from rules.text import msg
from webapp.connections import budget
from webapp.extensions import House

CONNECTOR = "rest"


def read_text(text: str | bytes, source: str = "") -> Description:
    """Return what a document describes; raises `ConnectorError`."""
    if not text.strip():
        raise Misconfigured(msg("There is no document yet."), msg("Give an address, choose a file or paste its text."))
    return described(document_of(text), source)


def fetched(house: House, address: str) -> bytes:
    """Return the document at an address, within the egress rules; raises `ConnectorError`."""
    allowed = Context(egress_allow=house.settings.egress_allow, timeout=budget.STEP_SECONDS)
    accepted = {"Accept": "application/json, application/yaml, text/yaml, */*;q=0.5"}

    def work() -> httpx.Response:
        with client(allowed, headers=accepted, limits=Limits(LARGEST, budget.SECONDS)) as http:
            return http.get(address)

    response = budget.within(budget.SECONDS, address, work)
    if not response.is_success:
        raise Misconfigured(
            msg("The address answers with the status {status}.", status=response.status_code),
            msg("Open the address in a browser, or download the document and choose the file."),
        )
    return response.content


def chosen(settings_text: str, object_texts: Sequence[str], before: Any = None) -> tuple[dict[str, Any], list[Any]]:
    """Return the settings and objects that a person ticked; objects of the same name take the place of those before.

    Args:
        settings_text: The settings without objects, as JSON, as the page sends them back.
        object_texts: The ticked objects, each as JSON.
        before: The objects of the connection so far.

    Raises:
        Misconfigured: Something of it is no description of objects.
    """
    try:
        settings = json.loads(settings_text or "{}")
        found = [json.loads(text) for text in object_texts]
    except ValueError:
        raise _spoiled() from None
    if not isinstance(settings, dict) or not all(isinstance(value, str) for value in settings.values()):
        raise _spoiled()
    names = {one.get("name") for one in found if isinstance(one, dict)}
    kept = [one for one in before or [] if not (isinstance(one, Mapping) and one.get("name") in names)]
    objects_of([*kept, *found])
    return settings, [*kept, *found]


def as_text(document: Any) -> str:
    """Return a part of a description as the page sends it back."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _spoiled() -> Misconfigured:
    return Misconfigured(msg("What was chosen cannot be read."), msg("Read the document once more."))
