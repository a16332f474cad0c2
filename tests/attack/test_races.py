"""The same request many times at once, where a thing must be done once, on both databases."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import httpx
import lxml.html
import pyotp
import pytest

from tests.approvals.conftest import ask_for, proposed
from tests.attack import surface
from tests.attack.results import Attack
from tests.attack.target import PASSWORD, Browser, Target
from webapp.access import factors, keys, role_editing, throttle
from webapp.access.keys import NewKey
from webapp.access.role_editing import Role
from webapp.approvals import settings_deed
from webapp.evidence import holds
from webapp.extensions import Actor

pytestmark = [pytest.mark.attack, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

AT_ONCE = 8
"""As many as the console has threads."""
ROUNDS = 3


@pytest.fixture(scope="module")
def browsers(either: Target) -> list[Browser]:
    """Return browsers of administrators who are not the ones of other attacks."""
    found = []
    for number in range(AT_ONCE):
        either.new_user("Admin", f"racer-{number}")
        found.append(either.browser(f"racer-{number}"))
    return found


@pytest.fixture
def race(either: Target, request: pytest.FixtureRequest) -> Iterator[Attack]:
    name = request.node.originalname.removeprefix("test_").replace("_", "-")
    kind = either.house.db.engine.dialect.name
    attack = Attack(f"race-{name}-{kind}", f"{request.function.__doc__.strip().rstrip('.')}, on {kind}")
    yield attack
    attack.end(either.failures())


def at_once(works: list[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    """Return the answers to requests that are sent at the same moment."""
    barrier, found = threading.Barrier(len(works)), list[Any]([None] * len(works))

    def run(place: int, work: Callable[[], httpx.Response]) -> None:
        barrier.wait()
        found[place] = work()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _expect(attack: Attack, answers: list[httpx.Response], once: int, what: str) -> None:
    attack.tried += len(answers)
    broken = Counter(answer.status_code for answer in answers if answer.status_code >= 500)
    if broken:
        attack.note(f"{what}: {dict(broken)}")
    if once != 1:
        said = Counter((answer.status_code, answer.headers.get("Location")) for answer in answers)
        attack.note(f"{what}: done {once} times, by answers {dict(said)}")


def _events(target: Target, tag: str) -> int:
    return int(target.one("SELECT count(*) FROM audit_event WHERE tag = :tag", tag=tag))


def _number(target: Target, username: str) -> int:
    return int(target.one("SELECT id FROM ab_user WHERE username = :name", name=username))


def test_approving(either: Target, browsers: list[Browser], race: Attack):
    """a proposal is approved by eight people at once and done once"""
    house, author = either.house, Actor("user", "admin-1", str(_number(either, "admin-1")))
    made = role_editing.save_role(
        house, Role(None, "Raced", "", 0, frozenset({("Rules", "read")})), Actor("cli", "attack")
    )
    ask_for(house, "change_role")
    for number in range(ROUNDS):
        wanted = Role(made, "Raced", f"In round {number}.", 0, frozenset({("Rules", "read"), ("Runs", "read")}))
        one = proposed(house, author, lambda wanted=wanted: role_editing.save_role(house, wanted, author))
        before = _events(either, "access:role:updated")
        answers = at_once([lambda b=b, n=one.id: b.post(f"/approvals/{n}/approve", {"text": "yes"}) for b in browsers])
        _expect(race, answers, _events(either, "access:role:updated") - before, "approving")
    free = {"kind": "approvals", "name": "settings", "deeds": {}}
    one = proposed(house, author, lambda: settings_deed.save(house, free, author))
    browsers[0].post(f"/approvals/{one.id}/approve", {"text": "yes"})


def test_guessing(either: Target, race: Attack):
    """wrong passwords at once get no further than the limit and the requests under way"""
    either.new_user("Viewer", "guessed")
    guessers = [Browser(either.url) for _number in range(4 * AT_ONCE)]
    for guesser in guessers:
        guesser.learn("/login/")
        guesser.client._transport = guessers[0].client._transport  # one address for all
    form = {"username": "guessed", "password": "wrong"}
    answers = at_once([lambda g=g: g.post("/login/", form) for g in guessers])
    race.tried += len(answers)
    looked_at = sum(answer.status_code == 401 for answer in answers)
    if looked_at > throttle.PER_USER + AT_ONCE or any(a.status_code not in (401, 429) for a in answers):
        race.note(f"{looked_at} guesses were looked at: {Counter(a.status_code for a in answers)}")


def test_recovery_code(either: Target, race: Attack):
    """a recovery code lets in one of eight who have it"""
    number, key = either.new_user("Viewer", "forgetful"), factors.new_key()
    code = pyotp.TOTP(key).at(either.house.clock())
    codes = factors.set_up(either.house, number, (PASSWORD, key, code), Actor("user", "forgetful", str(number)))
    for one in codes[:1]:  # who was too late counts as a wrong code, and the next one would have to wait
        visitors = [Browser(either.url) for _number in range(AT_ONCE)]
        for visitor in visitors:
            visitor.learn("/login/")
            visitor.post("/login/", {"username": "forgetful", "password": PASSWORD})
            visitor.learn("/login/second")
        answers = at_once([lambda v=v, one=one: v.post("/login/second", {"code": one}) for v in visitors])
        _expect(race, answers, sum(v.signed_in for v in visitors), "a recovery code")


def test_changing_the_password(either: Target, race: Attack):
    """of eight changes from the same old password one is taken"""
    either.new_user("Viewer", "changing")
    works = []
    for number in range(AT_ONCE):
        browser, new = either.browser("changing"), f"another-{number}-horse-battery"
        form = {"current": PASSWORD, "password": new, "again": new}
        works.append(lambda b=browser, form=form: b.post("/account/password", form))
    answers = at_once(works)
    _expect(race, answers, _events(either, "access:user:password_changed"), "changing a password")


def test_running(either: Target, browsers: list[Browser], race: Attack):
    """a rule that is started eight times at once works on its records once at a time"""
    form = {"rule": "orders_crm_erp", "mode": "live"}
    answers = at_once([lambda b=b: b.post("/runs/start", form) for b in browsers])
    started = sum(bool(re.fullmatch(r"/runs/\d+", a.headers.get("Location", ""))) for a in answers)
    _expect(race, answers, started, "run now")


def test_publishing(either: Target, browsers: list[Browser], race: Attack):
    """a draft that is published eight times at once becomes one version"""
    before = _events(either, "rulebook:rule:published")
    answers = at_once([lambda b=b: b.post("/rules/drafted/publish", {"note": "raced"}) for b in browsers])
    _expect(race, answers, _events(either, "rulebook:rule:published") - before, "publishing")


def test_replacing_a_key(either: Target, race: Attack):
    """a key that is replaced eight times at once has one successor at a time"""
    number = _number(either, "admin-2")
    keys.create_key(either.house, NewKey("raced", ("runs:read",), 1), Actor("user", "admin-2", str(number)))
    key = either.one("SELECT max(id) FROM access_key")
    own = [either.browser("admin-2") for _number in range(AT_ONCE)]
    answers = at_once([lambda b=b: b.post(f"/keys/{key}/rotate", {"overlap": "24"}) for b in own])
    live = either.one("SELECT count(*) FROM access_key WHERE name = 'raced' AND revoked_at IS NULL")
    _expect(race, answers, live, "replacing a key")


def test_releasing_a_hold(either: Target, browsers: list[Browser], race: Attack):
    """a legal hold that is released eight times at once is released once"""
    for number in range(ROUNDS):
        name, before = f"raced-{number}", _events(either, "audit:hold:released")
        holds.place(either.house, name, "Kept.", holds.Scope("user", "ann", None), Actor("cli", "attack"))
        answers = at_once([lambda b=b, name=name: b.post("/audit/holds/release", {"name": name}) for b in browsers])
        _expect(race, answers, _events(either, "audit:hold:released") - before, "releasing a hold")


def test_deciding_a_case(either: Target, browsers: list[Browser], race: Attack):
    """a case that eight people decide at once is decided once"""
    for number, held in islice(_cases(browsers[0]), ROUNDS):
        before = _decided(either)
        form = {**held, "step": "do", "all": "left", "pick": "left"}
        answers = at_once([lambda b=b, n=number, form=form: b.post(f"/cases/{n}/decide", form) for b in browsers])
        done = _decided(either) - before
        _expect(race, answers, done, f"deciding case {number}: {Counter(a.status_code for a in answers)}")


def _cases(browser: Browser) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the cases about two records that differ, with what their forms hold; cases of event rules have none."""
    for number in dict.fromkeys(re.findall(r'href="/cases/(\d+)', browser.get("/cases/").text)):
        page = lxml.html.fromstring(browser.get(f"/cases/{number}").text)
        for form in page.xpath("//form[contains(@action, '/decide')]"):
            yield int(number), {name: value for name, value in surface.fields(form) if name != "csrf_token"}


def _decided(target: Target) -> int:
    return int(target.one("SELECT count(*) FROM audit_event WHERE tag = 'cases:case:answered'"))
