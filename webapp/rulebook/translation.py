"""Translation with a type."""

from __future__ import annotations

from flask_babel import gettext


def translate(text: str, **values: object) -> str:
    """Return a text in the reader's language, its `%(name)s` places filled."""
    return str(gettext(text, **values))
