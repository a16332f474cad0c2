"""Values that nobody enters by mistake, in every parameter and form field of every page, on both databases."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import httpx
import pytest

from tests.attack.results import Attack
from tests.attack.surface import Form, Surface
from tests.attack.target import Browser, Target

pytestmark = [pytest.mark.attack, pytest.mark.timeout(1800), pytest.mark.filterwarnings("ignore")]

MARK = "<i data-attack>"
SPLIT = "x\r\nX-Attack: 1"
LONG, VERY_LONG = "x" * 2500, "漢" * 60_000
BYTES = ("%00", "a%00b", "%ED%A0%80", "%FF%FE", "%C0%AF", "%E0%80%80")
"""Escapes of addresses: NUL, half of a character, bytes that are no UTF-8."""
VALUES = (
    "\0", "999999999999999999999", "-9223372036854775809", "-1", "0", "9" * 400, "1e309", "NaN", "½", "²", "٣",
    "9999-12-31", "0001-01-01", "2026-02-30", "9999-12-31T23:59:59", "'", "' OR 1=1--", "%", "_", "\\", MARK, SPLIT,
    "../../../../etc/passwd", "{{7*7}}", "[]", "{}", "null", "[[1]]", '"\\ud800"', '{"a": "\\u0000"}', "[" * 1500,
    "//evil.example", "\u202e", "\ufffe", LONG,
)  # fmt: skip
MORE = (VERY_LONG, "[" * 100_000, "kind: x\na: &a [*a]", '"\\ud800": 1', "a: \u0085b")
COOKIE = 4096
"""Bytes of a cookie that browsers keep."""
_TIME = 120.0
_PER_FIELD = 5


def test_addresses(either: Target):
    """No value of a parameter makes a page fail, comes back as markup, or writes a header."""
    kind = either.house.db.engine.dialect.name
    attack = Attack(f"values-addresses-{kind}", f"hostile values in each parameter of each page, on {kind}")
    browser = either.browser("admin-1")
    surface = Surface(either, browser)
    pages = surface.addresses()
    surface.close()
    tries = [(page, name, value) for page in pages for name in page.names for value in (*BYTES, *VALUES)]
    random.Random(attack.name).shuffle(tries)
    for page, name, value in tries:
        if attack.over(_TIME):
            break
        attack.tried += 1
        query = f"{quote(name)}={value if value in BYTES else quote(value, safe='')}"
        given = urlencode([(n, v) for n, v in page.given if n != name])
        with _told(attack, f"GET {page.path}?{name}={value[:60]!r}") as what:
            _look(attack, browser.get(f"{page.path}?{query}&{given}"), what)
    attack.what += f" ({len(pages)} addresses, {len(tries):,} possible)"
    attack.end(either.failures())


def test_forms(either: Target):
    """No value of a field makes a form fail, comes back as markup, or writes a header."""
    kind = either.house.db.engine.dialect.name
    attack = Attack(f"values-forms-{kind}", f"hostile values in each field of each form, on {kind}")
    browser = either.browser("admin-2")
    surface = Surface(either, browser)
    surface.close()
    chance = random.Random(attack.name)
    tries = [(form, name, value) for form in surface.forms.values() for name, value in _chosen(form, chance)]
    chance.shuffle(tries)
    for form, name, value in tries:
        if attack.over(_TIME):
            break
        if attack.tried % 40 == 0 and not browser.signed_in:
            browser = _anew(either, attack.tried)
        attack.tried += 1
        with _told(attack, f"POST {form.path} {name}={value[:60]!r}") as what:
            _look(attack, browser.post(form.path, form.filled(**{name: value})), what)
    attack.what += f" ({len(surface.forms)} forms, {len(tries):,} chosen)"
    attack.end(either.failures())


def _chosen(form: Form, chance: random.Random) -> Iterator[tuple[str, str]]:
    for name in form.names:
        for value in chance.sample((*VALUES, *MORE), _PER_FIELD):
            yield name, value


def _anew(target: Target, number: int) -> Browser:
    username = f"again-{number}"
    target.new_user("Admin", username)
    return target.browser(username)


@contextlib.contextmanager
def _told(attack: Attack, what: str) -> Iterator[str]:
    try:
        yield what
    except httpx.HTTPError as error:
        attack.note(f"{what}: {type(error).__name__} {error}")


def _look(attack: Attack, answer: httpx.Response, what: str) -> None:
    if answer.status_code >= 500:
        attack.note(f"{what}: {answer.status_code} {answer.headers.get('X-Request-ID')}")
    if MARK in answer.text and "html" in answer.headers.get("Content-Type", ""):
        attack.note(f"{what}: comes back as markup")
    if "X-Attack" in answer.headers:
        attack.note(f"{what}: writes a header")
    if "evil.example" in re.sub(r"^/[^/\\].*", "", answer.headers.get("Location", "")):
        attack.note(f"{what}: leads to another host")
    if max((len(line) for line in answer.headers.get_list("Set-Cookie")), default=0) > COOKIE:
        attack.note(f"{what}: makes a cookie that browsers drop")
