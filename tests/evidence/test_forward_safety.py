"""What is forwarded steers no receiver, and what a target is called by shows no secret."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.entities.conftest import ANN
from tests.webapp.conftest import admin_client, app, client, events, house, settings  # noqa: F401
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.evidence import forward_formats, forwards, holds
from webapp.evidence.forwards import Form

ODD = "ann\r\n<13>1 x\u2028CEF:0|a|\x85b\x0bsuser=root\x00\x1b[2J"


@pytest.fixture
def odd(house) -> SimpleNamespace:  # noqa: F811
    """Return an event whose texts were written by somebody who knows what receivers read."""
    texts = {"actor_name": ODD, "subject": ODD, "reason": ODD, "record_key": ODD}
    rest = {"seq": 4, "id": 5, "at": house.clock(), "tag": Tag.SIGN_IN_FAILED.value, "actor_kind": "user"}
    none = dict.fromkeys(("address", "request_id", "run_id", "before", "after"))
    return SimpleNamespace(**texts, **rest, **none, subject_kind="user")


def test_a_name_begins_no_line_and_no_field_of_its_own(odd: SimpleNamespace):
    """Whatever a receiver takes for the end of a line, and whatever a terminal obeys, does not arrive."""
    for told in (forward_formats.as_cef(odd, "log"), forward_formats.as_syslog(odd, "log", "host", "").decode()):
        assert len(told.splitlines()) == 1
        assert not any(letter < " " or "\x7f" <= letter <= "\x9f" for letter in told)
    assert "suser=root" not in forward_formats.as_cef(odd, "log").partition("|externalId=")[2]


def test_tokens_in_addresses_are_shown_to_nobody_who_reads(house, admin_client):  # noqa: F811
    """Neither on the page and in the API nor in the log; who may change the target sees what it is."""
    number = forwards.save(house, Form("siem", "https://siem.example/in/0123456789abcdef?key=hush", format="json"), ANN)
    for path in ("/audit/forwarding", "/api/v1/evidence/forwarding", "/api/v1/audit/?kind=forward"):
        page = admin_client.get(path).text
        assert "siem.example" in page
        assert "hush" not in page
        assert "0123456789abcdef" not in page
    assert "hush" in admin_client.get(f"/audit/forwarding/{number}").text


def test_a_token_goes_over_https_only(house):  # noqa: F811
    """Over http anybody on the way could read it."""
    with pytest.raises(forwards.Wrong) as refused:
        forwards.save(house, Form("siem", "http://siem.example/", format="json", sign="bearer", secret="s"), ANN)
    assert set(refused.value.errors) == {"sign"}


def test_of_several_persons_all_are_erased_or_nobody(house, admin_client):  # noqa: F811
    """A hold on one of them leaves the keys of the others."""
    with house.db.begin() as tx:
        for name in ("ada", "bo"):
            record(tx, ANN, house.clock(), Event(Tag.USER_CREATED, Subject("user", name), after={"email": f"{name}@x"}))
    holds.place(house, "case 7", "asked for by a court", holds.Scope("user", "bo"), ANN)
    sent = {"who": ["user\tada\t", "user\tbo\t"], "reason": "request 4"}
    assert "case 7" in admin_client.post("/audit/persons/erase", data=sent, follow_redirects=True).text
    assert events(house, Tag.PERSON_ERASED) == []
    assert "ada@x" in str(events(house, Tag.USER_CREATED)[-2].after)
