"""Names of fields promise what their values look like."""

from __future__ import annotations

import pytest

from rules.validations.forms import by_name


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("email", "email"), ("work_mail", "email"), ("E_Mail", "email"), ("emails", "email"), ("mailing", None),
        ("phone", "phone"), ("tel_no", "phone"), ("fax", "phone"), ("hotel", None), ("website", "url"),
        ("image_url", "url"), ("curl", None), ("name", None),
    ],
)  # fmt: skip
def test_names_promise_forms(name, form):
    found = by_name(name)
    assert (found.name if found else None) == form
