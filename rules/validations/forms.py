"""What values of some kinds look like, and which field names promise them."""

from __future__ import annotations

import re

from rules.validations.quality import Form

EMAIL = r"^[^@\s,;<>\"]+@[^@\s,;<>\".]+(?:\.[^@\s,;<>\".]+)+$"
PHONE = r"^\+?[0-9(][0-9 ()./-]{2,38}[0-9](?: ?(?:x|ext\.?) ?[0-9]{1,8})?$"
URL = r"^https?://[^\s<>\"]+$"
FORMS = {"email": Form("email", EMAIL), "phone": Form("phone", PHONE), "url": Form("url", URL)}
_NAMES = (
    ("email", re.compile(r"(^|_)e?_?mails?($|_)", re.IGNORECASE)),
    ("phone", re.compile(r"(^|_)(tel|telephone|phone|mobile|fax)($|_)", re.IGNORECASE)),
    ("url", re.compile(r"(^|_)(url|website|homepage)($|_)", re.IGNORECASE)),
)


def by_name(name: str) -> Form | None:
    """Return the form that the name of a text field promises: `work_email` holds e-mail addresses."""
    return next((FORMS[form] for form, pattern in _NAMES if pattern.search(name)), None)
