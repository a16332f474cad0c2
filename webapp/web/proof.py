"""Deeds that somebody does only who has just shown who they are: a stranger at an open desk must not do them.

The room of access says what is asked; rooms mark their pages. API keys are not asked: scopes say what they may do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flask import current_app, g, request
from flask_appbuilder import BaseView

from webapp.web.api import ApiError
from webapp.web.protection import SENDING
from webapp.web.request import house

PROVEN = "syncline_proven"
"""Under `app.extensions`: what tells whether somebody has just shown who they are."""
KEY = "syncline_proof"
"""Under `app.extensions`: what returns a page that asks for a fresh proof, or None where there is one."""


def fresh(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let nothing be sent to a page but by who has just shown who they are; what was sent is kept meanwhile."""

    @functools.wraps(view)
    def guarded(self: BaseView, *args: Any, **kwargs: Any) -> Any:
        page = current_app.extensions[KEY]() if request.method in SENDING else None
        return view(self, *args, **kwargs) if page is None else page

    guarded.needs_proof = True  # type: ignore[attr-defined]
    return guarded


def asked() -> Any:
    """Return the page that asks for a fresh proof, or None where there is one: for deeds that are not all of a page."""
    return current_app.extensions[KEY]()


def insist(scope: str) -> None:
    """Let an operation go on for a key with a scope of its own, or for who has just shown who they are."""
    scopes = g.get("api_scopes")
    if scopes is not None and scope not in scopes:
        raise ApiError(403, f"The API key lacks the scope '{scope}'.")
    if scopes is None and not current_app.extensions[PROVEN]():
        raise ApiError(403, "Show again who you are in the console, under My account, and try again.")


def fresh_export(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let nobody export but who has just shown who they are, where the settings say so."""

    @functools.wraps(view)
    def guarded(self: BaseView, *args: Any, **kwargs: Any) -> Any:
        page = current_app.extensions[KEY]() if house().settings.proof_for_exports else None
        return view(self, *args, **kwargs) if page is None else page

    return guarded
