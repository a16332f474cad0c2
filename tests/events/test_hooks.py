"""Inbound web hooks: what is proven comes in once, and nothing else does."""

from __future__ import annotations

import hashlib
import hmac
import pkgutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.connectors.conftest import WebServer
from tests.events.conftest import ADMIN, START, UNPAID, World
from tests.houses import fresh_house, prepare
from tests.webapp.conftest import events
from webapp.audit.tags import Tag
from webapp.events import hooks, retention
from webapp.events.hook_intake import Delivery, Intake, Refused, read
from webapp.events.hook_schemes import SCHEMES, Proof
from webapp.events.hook_tally import Reason, Tally, refusals
from webapp.events.hooks import Wanted
from webapp.events.models import event, event_hook_delivery, event_hook_seen

KEY = "a-key-of-some-length"
SHOP = Wanted("shop", "order.created")
BODY = b'{"customer": 7, "amount": 120.50}'


def headers(body: bytes = BODY, key: str = KEY, at: int | None = None) -> dict[str, str]:
    """Return what a sender of its own sends: made with the standard library only."""
    moment = str(int(START.timestamp()) if at is None else at)
    signed = hmac.new(key.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"x-syncline-time": moment, "x-syncline-signature": f"v1={signed}"}


class Gate:
    """A house with a hook, and what a test sends there without a server."""

    def __init__(self, world: World) -> None:
        self.world, self.house = world, world.house
        self.tally = Tally(world.house)
        self.intake = Intake(world.house, self.tally)

    def send(self, given: dict[str, str], body: bytes = BODY, name: str = "shop") -> Any:
        delivery = Delivery(name, given, body, "application/json", "192.0.2.7")
        return self.intake.take(delivery, self.intake.prove(delivery))

    def why(self, given: dict[str, str], body: bytes = BODY, name: str = "shop") -> Reason:
        with pytest.raises(Refused) as refused:
            self.send(given, body, name)
        return refused.value.reason

    def stored(self) -> list[Any]:
        return self.world.rows(event)


@pytest.fixture
def gate(world: World) -> Gate:
    hooks.create(world.house, SHOP, KEY, ADMIN)
    return Gate(world)


def test_a_delivery_becomes_an_event_that_rules_hear(gate: Gate) -> None:
    """A signed delivery is an event of the hook's type with the body as data, and a rule acts on it."""
    gate.world.rule(UNPAID, then=[{"case": {"title": "{key}"}}])
    taken = gate.send(headers())
    assert not taken.known
    [row] = gate.stored()
    assert (row.uid, row.type, row.source) == (taken.uid, "order.created", "hook:shop")
    assert row.data == {"customer": 7, "amount": 120.5}
    gate.world.work()
    gate.world.later(minutes=31).work()
    assert [action.args["title"] for action in gate.world.actions()] == ["7"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_altered_byte_time_or_key_is_refused(gate: Gate, data: st.DataObject) -> None:
    """However a delivery is altered that somebody has overheard, nothing of it comes in."""
    good, body, name = headers(), BODY, "shop"
    match data.draw(st.sampled_from(["body", "time", "signature", "key", "cut", "name"])):
        case "body":
            at, change = data.draw(st.integers(0, len(BODY) - 1)), data.draw(st.integers(1, 255))
            body = BODY[:at] + bytes([BODY[at] ^ change]) + BODY[at + 1 :]
        case "time":
            other = data.draw(st.integers(0, 2**33).filter(lambda at: at != int(START.timestamp())))
            good["x-syncline-time"] = data.draw(st.sampled_from([str(other), "0" + good["x-syncline-time"], "", "now"]))
        case "signature":
            at = data.draw(st.integers(0, 63))
            digits = good["x-syncline-signature"][3:]
            other = data.draw(st.sampled_from("0123456789abcdefABCDEF é").filter(lambda c: c != digits[at]))
            good["x-syncline-signature"] = f"v1={digits[:at]}{other}{digits[at + 1 :]}"
        case "key":
            good = headers(key=data.draw(st.text(min_size=1, max_size=30).filter(lambda key: key != KEY)))
        case "cut":
            body = data.draw(st.sampled_from([BODY[:-1], BODY + b"\n", b"", b"\xef\xbb\xbf" + BODY]))
        case "name":
            name = data.draw(st.text(max_size=80).filter(lambda name: name != "shop"))
    assert gate.why(good, body, name) in Reason
    assert gate.stored() == []


@pytest.mark.parametrize("side", [-1, 1])
def test_the_window_ends_where_it_says(gate: Gate, side: int) -> None:
    """A time at the edge of the window counts, before or behind our clock; one second further it is refused."""
    start = int(START.timestamp())
    assert gate.why(headers(at=start + side * 301)) == Reason.TIME
    assert not gate.send(headers(at=start + side * 300)).known


def test_a_delivery_counts_once(gate: Gate) -> None:
    """What was overheard and is sent again within the window becomes nothing; the answer names the same event."""
    first = gate.send(headers())
    again = gate.send(headers())
    assert (again.uid, again.known, len(gate.stored())) == (first.uid, True, 1)
    # a sender that tries again signs anew, and says that it is the same
    key = {"idempotency-key": "e-1"}
    one = gate.send({**headers(at=int(START.timestamp()) + 1), **key})
    two = gate.send({**headers(at=int(START.timestamp()) + 2), **key})
    assert (two.uid, two.known, len(gate.stored())) == (one.uid, True, 2)
    gate.tally.flush(now=True)
    with gate.house.db.read() as tx:
        found = {one.reason: one.count for one in refusals(tx, hooks.get(tx, "shop").id)}
    assert found == {"repeated": 2}


def test_a_delivery_without_a_time_is_known_for_a_day(gate: Gate) -> None:
    """A scheme that signs no time: neither the body nor the sender's id counts twice, until a day has passed."""
    hooks.create(gate.house, Wanted("code", "code.pushed", scheme="github"), KEY, ADMIN)

    def sent(body: bytes, name: str) -> bool:
        signed = hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
        given = {"x-hub-signature-256": f"sha256={signed}", "x-github-delivery": name}
        return bool(gate.send(given, body, "code").known)

    assert not sent(b"{}", "1")
    assert sent(b"{}", "2"), "who has overheard a delivery makes a new one of it with another id"
    assert sent(b"{ }", "1")
    gate.world.later(hours=23)
    assert sent(b"{}", "3")
    gate.world.later(hours=1, seconds=1)
    assert not sent(b"{}", "1")
    assert retention.sweep(gate.house) == 0
    assert len(gate.world.rows(event_hook_seen)) == 2
    assert len(gate.world.rows(event_hook_delivery)) == 2


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_two_at_once_are_one(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A delivery that comes in many times at the same moment, in processes of their own, is one event."""
    url = "" if database == "sqlite" else request.getfixturevalue("postgres_url")
    if url:
        prepare(url)
    with fresh_house(tmp_path / "data", url) as house:
        still = replace(house, clock=lambda: START)
        hooks.create(still, SHOP, KEY, ADMIN)
        delivery = Delivery("shop", {**headers(), "idempotency-key": "x"}, BODY, "application/json", "192.0.2.7")
        found, start = [], threading.Barrier(6)

        def send() -> None:
            intake = Intake(still, Tally(still))
            shown = intake.prove(delivery)
            start.wait()
            found.append(intake.take(delivery, shown))

        threads = [threading.Thread(target=send) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len({one.uid for one in found}) == 1
        assert sorted(one.known for one in found) == [False, *[True] * 5]
        with house.db.read() as tx:
            assert tx.scalar(sa.select(sa.func.count()).select_from(event)) == 1


def test_two_keys_live_and_one_is_switched_off(gate: Gate) -> None:
    """A sender changes its key without a gap: both count, until the next one is the current one."""
    house, at = gate.house, int(START.timestamp())
    new = hooks.add_key(house, "shop", "", ADMIN)
    assert new.startswith("whk_")
    assert len(new) > 40
    with pytest.raises(hooks.HookRefused):
        hooks.add_key(house, "shop", "", ADMIN)
    assert not gate.send(headers(at=at)).known
    assert not gate.send(headers(key=new, at=at + 1)).known
    used = {row.key for row in gate.world.rows(event_hook_delivery)}
    with house.db.read() as tx:
        assert used == {key["id"] for key in hooks.get(tx, "shop").keys.values()}
    hooks.switch_key(house, "shop", ADMIN)
    assert gate.why(headers(at=at + 2)) == Reason.SIGNATURE
    assert not gate.send(headers(key=new, at=at + 3)).known
    hooks.remove_key(house, "shop", hooks.CURRENT, ADMIN)
    assert gate.why(headers(key=new, at=at + 4)) == Reason.NO_KEY


def test_a_disabled_hook_takes_nothing(gate: Gate) -> None:
    """A disabled hook refuses, a deleted one leaves no key behind, and both are told by the audit log."""
    hooks.update(gate.house, replace(SHOP, enabled=False), ADMIN)
    assert gate.why(headers()) == Reason.DISABLED
    hooks.update(gate.house, SHOP, ADMIN)
    hooks.delete(gate.house, "shop", ADMIN)
    assert gate.why(headers()) == Reason.UNKNOWN
    tags = [one.tag for one in events(gate.house) if one.tag.startswith("events:hook")]
    assert tags == [Tag.HOOK_CREATED, Tag.HOOK_KEY_ADDED, Tag.HOOK_DISABLED, Tag.HOOK_ENABLED, Tag.HOOK_DELETED]


def test_nobody_outside_speaks_as_syncline(gate: Gate) -> None:
    """A hook cannot have the type of an event that Syncline itself gives, nor be called what is no address."""
    for wrong in ({"type": "record.customer.created"}, {"name": "a b"}, {"scheme": "md5"}, {"seconds": 86400},
                  {"signature_header": "X\r\nY"}, {"type": "Order"}):  # fmt: skip
        with pytest.raises(hooks.HookRefused):
            hooks.update(gate.house, replace(SHOP, **wrong), ADMIN)


def test_what_we_send_another_of_us_takes(gate: Gate, receiver: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web hook of an event rule is taken as it is sent, and one that is sent again is known."""
    monkeypatch.setenv("HOOK_SECRET", KEY)
    told = {"notify": {"web_hook": {"url": f"{receiver.url}/hook", "secret": "env:HOOK_SECRET"}}}
    gate.world.rule(UNPAID, when={"all": ["order"]}, then=[told])
    gate.world.post("order.created", customer="c1", id="o1")
    gate.world.work()
    [request] = receiver.received
    given = {name.lower(): value for name, value in request.headers.items()}
    first = gate.send(given, request.body)
    gate.world.later(minutes=1)
    at = int(gate.world.now.timestamp())
    again = gate.send({**given, **headers(request.body, at=at)}, request.body)
    assert (first.known, again.known, again.uid) == (False, True, first.uid)


PUBLISHED = [
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    (
        "github",
        "It's a Secret to Everybody",
        b"Hello, World!",
        {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
    ),
    # https://api.slack.com/authentication/verifying-requests-from-slack
    (
        "slack",
        "8f742231b10e8888abcd99yyyzzz85a5",
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
        b"%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
        {
            "x-slack-request-timestamp": "1531420618",
            "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        },
    ),
]


@pytest.mark.parametrize(("name", "key", "body", "given"), PUBLISHED, ids=[one[0] for one in PUBLISHED])
def test_published_examples_are_right(name: str, key: str, body: bytes, given: dict[str, str]) -> None:
    """What the makers of a scheme publish as an example is taken, and with another key it is not."""
    scheme = SCHEMES[name]
    proof = scheme.proof(given)
    assert scheme.signer(["no", key], proof, body) == 1
    assert scheme.signer(["no", key + "x"], proof, body) is None


def test_each_scheme_signs_as_its_maker_says() -> None:
    """Stripe's header names the time and two signatures, Shopify's is base64: as their libraries make them."""
    body = b'{"id": "evt_1"}'
    signed = hmac.new(b"whsec_test", b"1700000000." + body, hashlib.sha256).hexdigest()
    stripe, shopify = SCHEMES["stripe"], SCHEMES["shopify"]
    proof = stripe.proof({"stripe-signature": f"t=1700000000,v1={'0' * 64},v1={signed},v0=abc"})
    assert proof == Proof("1700000000", ("0" * 64, signed))
    assert stripe.signer(["whsec_test"], proof, body) == 0
    # printf Hello | openssl dgst -sha256 -hmac hush -binary | base64
    proof = shopify.proof({"x-shopify-hmac-sha256": "bIZg0VVrc6GGHtgvCSnN3TJyIUWXOWJi8yY2AtKczwo="})
    assert shopify.signer(["other", "hush"], proof, b"Hello") == 1
    assert {name for name, scheme in SCHEMES.items() if scheme.timed} == {"syncline", "stripe", "slack"}


@pytest.mark.parametrize(
    ("kind", "body", "data"),
    [
        ("application/json", b"[1, 2]", {"body": [1, 2]}),
        ("application/vnd.x+json", b'\xef\xbb\xbf{"a": "\\\\u0000"}', {"a": "\\u0000"}),
        ("text/xml", b"<a>1</a>", {"text": "<a>1</a>"}),
        ("application/x-www-form-urlencoded", b"a=1&b=2&b=3&c=", {"a": "1", "b": ["2", "3"], "c": ""}),
        ("application/x-www-form-urlencoded", b"payload=%7B%22a%22%3A1%7D", {"a": 1}),
    ],
)
def test_a_body_becomes_data(kind: str, body: bytes, data: Any) -> None:
    """JSON is taken as it is, a form as its fields, text and XML as text."""
    assert read(body, kind) == data


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a": NaN}', b'{"a": 1e999}', b'"\\ud800"', b'"\\u0000"', b"\xff", b"[" * 200 + b"]" * 200,
     b"[" * 100_000, b"1" * 5000],
)  # fmt: skip
def test_a_body_that_nothing_can_keep_is_refused(body: bytes) -> None:
    """What is not JSON, or holds what no database keeps, is refused, however it is made."""
    with pytest.raises(Refused) as refused:
        read(body, "application/json")
    assert refused.value.reason == Reason.BODY


def test_an_unknown_hook_takes_the_same_work(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many queries, opened keys and signatures are made for a hook that does not exist as for one that does."""
    work: list[str] = []
    engine = gate.house.db.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *args: work.append(args[2].split(" FROM ")[-1][:30]))
    for module, name in (("webapp.events.hook_intake", "unseal"), ("webapp.vault.services", "unseal"),
                         ("webapp.events.hook_schemes", "hmac.new")):  # fmt: skip
        whole = f"{module}.{name}"
        target = pkgutil.resolve_name(whole)

        def counted(*args: Any, _target: Any = target, _name: str = name, **more: Any) -> Any:
            work.append(_name)
            return _target(*args, **more)

        monkeypatch.setattr(whole, counted)
    counts = []
    for name in ("shop", "nothing", "shop", "nothing"):
        work.clear()
        gate.why(headers(key="wrong-key-of-length"), name=name)
        counts.append(sorted(one for one in work if "SELECT" not in one))
    assert counts[0] == counts[1] == counts[2] == counts[3]
