"""What no database can keep is refused at the door: NUL, halves of characters, numbers beyond 64 bits."""

from __future__ import annotations

import json

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from tests.web.conftest import *  # noqa: F403 - fixtures
from webapp.web.request import whole_number
from webapp.web.storable import LARGEST, natural, read_json, storable

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_characters="\0")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_characters="\0")), inner),
    max_leaves=8,
)


@given(PLAIN, st.booleans())
def test_json_is_read_as_it_was_written(value, ascii_only):
    """Whatever can be kept is read as it was, however its characters are written."""
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert read_json(text) == read_json(text.encode()) == value


@given(PLAIN, st.sampled_from(["\0", "\ud800", "a\udfffb"]))
def test_json_with_what_cannot_be_kept(value, bad):
    """A NUL or half of a character is refused wherever it stands, as a name too."""
    for holds in ([value, bad], {"a": [bad, value]}, {bad: value}, bad):
        with pytest.raises(ValueError, match="NUL or half"):
            read_json(json.dumps(holds))


@pytest.mark.parametrize("text", ["NaN", "[-Infinity]", "[" * 100_000, '{"a":' * 100_000, "", b"\xff", "\ud800"])
def test_what_is_no_json(text):
    """Numbers that are none, endless nesting and broken bytes are refused like any other mistake."""
    with pytest.raises(ValueError):  # noqa: PT011 - the reader of JSON words it
        read_json(text)


def test_whole_numbers():
    """A number is taken as far as databases keep it, in the digits of any script."""
    assert [whole_number(text) for text in (str(LARGEST), str(-LARGEST), "٣", " 7 ")] == [LARGEST, -LARGEST, 3, 7]
    for text in (str(LARGEST + 1), "9" * 5000, "²", "1e3", ""):
        with pytest.raises(ValueError):  # noqa: PT011 - Flask takes any
            whole_number(text)


@given(st.text() | st.text("0123456789²٣") | st.integers(0, 2**70).map(str))
def test_numbers_of_digits(text):
    """Digits say a number that can be stored, or none; no text makes an error of its own."""
    number = natural(text)
    assert number is None or (0 <= number <= LARGEST and number == int(text))
    assert [natural(one) for one in ("7", "007", "", "-1", "²", "9" * 5000)] == [7, 7, None, None, None, None]


def test_texts():
    """All but NUL and halves of characters can be kept."""
    assert storable("漢字 \x01\x1f\ufffe\U0010ffff")
    assert not any(map(storable, ("a\0", "\ud83d", "\udc00x")))


FORMS = {
    "/audit/searches": {"name": "mine", "actor": "\0"},
    "/audit/holds": {"name": "a\0b", "reason": "court", "kind": "user", "subject": "ann"},
    "/audit/packages": {"title": "\0", "subject": "\0"},
    "/audit/persons/export": {"kind": "user", "name": "\0"},
    "/audit/persons/erase": {"who": "user\t\0", "reason": "asked"},
}


@pytest.mark.parametrize("path", FORMS)
def test_forms_with_a_nul(admin_client: FlaskClient, path: str):
    """A form with a NUL is refused, whichever field holds it, and nothing is stored."""
    assert admin_client.post(path, data=FORMS[path]).status_code == 400


def test_parameters_with_a_nul(admin_client: FlaskClient):
    """Neither a second value nor the name of a parameter brings a NUL in."""
    for query in ("actor=a&actor=%00", "a%00b=1", "actor=%00"):
        assert admin_client.get(f"/audit/?{query}").status_code == 400, query


@pytest.mark.parametrize(
    "path",
    [
        "/runs/?before={}", "/quarantine/?before={}", "/events/?before={}", "/approvals/?after={}",
        "/roles/new?copy={}", "/keys/new?for={}", "/audit/?after={}", "/audit/looks?before={}",
    ],
)  # fmt: skip
def test_parameters_with_a_number_beyond_all(admin_client: FlaskClient, path: str):
    """A number that no database can hold is no number: the page is shown without it, or there is no such thing."""
    assert admin_client.get(path.format("9" * 21), follow_redirects=True).status_code in (200, 404), path


def test_bodies_of_the_api(admin_client: FlaskClient):
    """The API says what is wrong with a body that cannot be kept."""
    for body in (b'{"events": [{"type": "a\\u0000"}]}', b'{"a": "\\ud800"}', b"[" * 100_000, b'{"a": NaN}'):
        answer = admin_client.post("/api/v1/events", data=body, content_type="application/json", follow_redirects=True)
        assert answer.status_code == 400, body[:40]
        assert answer.json["detail"].startswith("The body is not valid JSON"), body[:40]


@pytest.mark.parametrize("room", ["runs", "cases", "events", "approvals", "audit", "quarantine", "rules"])
@pytest.mark.parametrize("after", ["9" * 30, "9" * 5000, "²", "-1"])
def test_places_of_the_api(admin_client: FlaskClient, room: str, after: str):
    """A place in a list that no answer has given is refused, however it is written."""
    assert admin_client.get(f"/api/v1/{room}/?after={after}").status_code in (200, 400, 422)


def test_long_values_break_no_answer(admin_client: FlaskClient):
    """What the next page tells of a long name fits into a cookie that browsers keep, and addresses stay short."""
    names = "".join(chr(0x4E00 + number * 7 % 20_000) for number in range(60_000))
    for path, form in (
        ("/runs/start", {"rule": names}),
        ("/audit/searches", {"name": names, "actor": names, "text": names}),
        ("/audit/holds/release", {"name": names}),
        ("/audit/persons/erase", {"who": f"user\t{names}", "reason": "asked"}),
    ):
        answer = admin_client.post(path, data=form)
        assert answer.status_code == 302, path
        assert len(answer.headers["Location"]) < 4000, path
        assert all(len(line) < 4096 for line in answer.headers.get_all("Set-Cookie")), path


@pytest.mark.parametrize(("field", "most"), [("kind", 32), ("subject", 255), ("record", 255)])
def test_holds_have_room(admin_client: FlaskClient, field: str, most: int):
    """A hold on more than the log can hold says so, on either database."""
    form = {"name": "court", "reason": "asked", "kind": "rule", "subject": "a", "record": "1"}
    answer = admin_client.post("/audit/holds", data={**form, field: "x" * (most + 1)})
    assert answer.status_code == 422
    assert f"is too long: {most} characters at the most" in answer.text
    assert admin_client.post("/audit/holds", data={**form, field: "x" * most}).status_code == 302
