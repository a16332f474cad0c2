"""What may leave the log leaves it provably, what is held stays, and a person can be erased."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
import sqlalchemy as sa

from tests.evidence.conftest import WHO, Clock, sealed
from webapp.audit import hooks, personal
from webapp.audit.findings import Kind, Report
from webapp.audit.models import audit_event, audit_leaf
from webapp.audit.sealing import seal_all
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.audit.verification import verify
from webapp.evidence import holds, persons, retention
from webapp.evidence.holds import Held, Scope
from webapp.evidence.persons import Person
from webapp.evidence.retention import remove_due
from webapp.evidence.signing import signer
from webapp.evidence.stored import StoredLog
from webapp.extensions import House
from webapp.vault import people
from webapp.vault.services import rotate


def check(house: House) -> Report:
    """Seal what there is and check the log."""
    seal_all(house, signer(house))
    with house.db.read() as tx:
        return verify(StoredLog(tx))


def kept_for(house: House, days: int) -> House:
    """Return the house with a retention."""
    return replace(house, settings=replace(house.settings, audit_days=days))


def tags(house: House) -> list[str]:
    """Return the tags of all events."""
    with house.db.read() as tx:
        return list(tx.scalars(sa.select(audit_event.c.tag).order_by(audit_event.c.id)))


def test_old_events_go_and_the_log_still_verifies(house: House, clock: Clock):
    """Events older than the retention go; their seals and what tells of the removal stay; the proof holds."""
    sealed(house, 30, 5)
    clock.forward(days=40)
    sealed(house, 3)
    assert remove_due(house) == 0
    house = kept_for(house, 30)
    assert remove_due(house) == 35 + 1  # and the setting of the first signing key
    assert tags(house) == [Tag.AUDIT_KEY_ADDED, *[Tag.RULE_UPDATED] * 3, Tag.AUDIT_REMOVED]
    report = check(house)
    assert report.intact, report.to_json()
    assert (report.removed, report.events, report.size) == (36, 5, 41)
    assert remove_due(house) == 0


def test_only_what_was_let_go_may_be_missing(house: House, clock: Clock):
    """A deletion beside those of the retention is found, and so is one whose event of removal is gone too."""
    sealed(house, 30)
    clock.forward(days=40)
    sealed(house, 3)
    house = kept_for(house, 30)
    remove_due(house)
    seal_all(house, signer(house))
    with house.db.begin() as tx:
        newest = tx.scalar(sa.select(sa.func.max(audit_leaf.c.event_id)))
        tx.execute(sa.delete(audit_event).where(audit_event.c.id == newest))
    report = check(house)
    assert report.counts == {Kind.DELETED: 2}, report.to_json()


@pytest.mark.parametrize("copied", [False, True])
def test_only_the_log_can_say_what_was_removed(house: House, clock: Clock, *, copied: bool):
    """An event of removal that anybody has put in allows no gap, also with the signature of a true one."""
    sealed(house, 30)
    clock.forward(days=40)
    sealed(house, 3)
    house = kept_for(house, 35)
    remove_due(house)
    with house.db.begin() as tx:
        true = tx.scalar(sa.select(audit_event.c.after).where(audit_event.c.tag == Tag.AUDIT_REMOVED)) or {}
        forged = {**true, "places": [[0, 10**6]]} if copied else {"places": [[0, 10**6]], "before": true["before"]}
        record(tx, WHO, clock(), Event(Tag.AUDIT_REMOVED, Subject("audit", "events"), after=forged))
        newest = tx.scalar(sa.select(sa.func.max(audit_event.c.id)).where(audit_event.c.tag == Tag.RULE_UPDATED))
        tx.execute(sa.delete(audit_event).where(audit_event.c.id == newest))
    report = check(house)
    assert report.counts == {Kind.DELETED: 1, Kind.FORGED: 1}, report.to_json()


def test_an_event_with_another_time_is_not_removed(house: House, clock: Clock):
    """Who gives an event an older time has not made the retention remove it; that it was altered is found."""
    sealed(house, 3)
    house = kept_for(house, 30)
    with house.db.begin() as tx:
        newest = tx.scalar(sa.select(sa.func.max(audit_event.c.id)))
        tx.execute(sa.update(audit_event).where(audit_event.c.id == newest).values(at=clock().replace(year=2001)))
    assert remove_due(house) == 0
    assert check(house).counts == {Kind.EDITED: 1}


def test_events_go_in_batches(house: House, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    """One call removes one batch, the oldest first; a hold that is placed behind the look for them is kept."""
    sealed(house, 5)
    clock.forward(days=40)
    house = kept_for(house, 30)
    monkeypatch.setattr(retention, "BATCH", 4)
    look = retention._candidates

    def looked(own: House, until: datetime) -> dict[int, int]:
        found = look(own, until)
        if "late" not in {hold.name for hold in listed(own)}:
            holds.place(own, "late", "court", Scope("rule", "r1"), WHO)
        return found

    monkeypatch.setattr(retention, "_candidates", looked)
    assert [remove_due(house), remove_due(house), remove_due(house)] == [3, 2, 0]
    assert tags(house).count(Tag.RULE_UPDATED) == 1
    assert check(house).intact


def listed(house: House) -> list[holds.Hold]:
    """Return all holds."""
    with house.db.read() as tx:
        return holds.listing(tx)


def test_events_that_are_not_sealed_stay(house: House, clock: Clock):
    """Nothing leaves the log before its seal is there."""
    with house.db.begin() as tx:
        record(tx, WHO, clock(), Event(Tag.RULE_UPDATED, Subject("rule", "r")))
    clock.forward(days=400)
    house = kept_for(house, 1)
    assert remove_due(house) == 0
    assert check(house).intact
    assert remove_due(house) == 1


def test_a_legal_hold_keeps_events(house: House, clock: Clock):
    """What a hold covers stays until it is released; another one of the same name, or no reason, is refused."""
    sealed(house, 3)
    house = kept_for(house, 30)
    holds.place(house, "case 7", "court", Scope("rule", "r1"), WHO)
    with pytest.raises(Held, match="case 7"):
        holds.place(house, "case 7", "again", Scope(), WHO)
    with pytest.raises(Held, match="reason"):
        holds.place(house, "case 8", " ", Scope(), WHO)
    clock.forward(days=31)
    remove_due(house)
    assert tags(house).count(Tag.RULE_UPDATED) == 1
    holds.release(house, "case 7", WHO)
    with pytest.raises(Held, match="no legal hold"):
        holds.release(house, "case 7", WHO)
    remove_due(house)
    assert tags(house).count(Tag.RULE_UPDATED) == 0
    assert check(house).intact
    with house.db.read() as tx:
        (one,) = holds.listing(tx)
    assert (one.released_by, one.scope) == ("wei", Scope("rule", "r1"))


@pytest.fixture
def guarded(house: House) -> House:
    """Return a house whose log hides personal values."""
    people.register(house)  # with the clock of this house
    return house


def tell(house: House, *events: Event) -> None:
    """Write events."""
    with house.db.begin() as tx:
        record(tx, WHO, house.clock(), *events)


def of_user(name: str, email: str) -> Event:
    """Return the event of a user's change."""
    subject = Subject("user", name)
    return Event(
        Tag.USER_UPDATED, subject, {"email": "old@example.com", "roles": ["a"]}, {"email": email, "roles": ["b"]}
    )


def seen(house: House, kind: str) -> list[dict[str, object]]:
    """Return what is shown of the events about a kind of subject: the values after."""
    with house.db.read() as tx:
        rows = tx.execute(sa.select(audit_event).where(audit_event.c.subject_kind == kind).order_by(audit_event.c.id))
        return [event.after for event in personal.shown(tx, rows)]


def raw(house: House) -> str:
    """Return all that the database's file of events holds."""
    with house.db.read() as tx:
        return repr(tx.execute(sa.select(audit_event)).all())


def test_erasing_a_person_leaves_the_proof(guarded: House):
    """A person's values are shown until the key is destroyed; then nobody can read them, and the log verifies."""
    customer = Subject("entity", "customer", "17")
    tell(guarded, of_user("ann", "ann@example.com"), of_user("bob", "bob@example.com"))
    tell(guarded, Event(Tag.RECORD_UPDATED, customer, None, {"phone": "0171", "city": "Bern"}, personal=("phone",)))
    assert not [text for text in ("ann@", "old@", "0171") if text in raw(guarded)]
    assert "Bern" in raw(guarded)
    assert seen(guarded, "entity") == [{"phone": "0171", "city": "Bern"}]
    assert check(guarded).intact
    assert persons.erase(guarded, Person("user", "ann"), WHO, "request 4")
    assert not persons.erase(guarded, Person("user", "ann"), WHO)
    assert persons.erase(guarded, Person("entity", "customer", "17"), WHO)
    erased = {personal.ERASED: True}
    assert seen(guarded, "user")[:2] == [
        {"email": erased, "roles": ["b"]},
        {"email": "bob@example.com", "roles": ["b"]},
    ]
    assert seen(guarded, "entity")[0] == {"phone": erased, "city": "Bern"}
    assert check(guarded).intact


def test_what_comes_after_an_erasure_has_a_key_of_its_own(guarded: House):
    """Who comes back is told of anew; what was erased stays so."""
    tell(guarded, of_user("ann", "ann@example.com"))
    persons.erase(guarded, Person("user", "ann"), WHO)
    tell(guarded, of_user("ann", "new@example.com"))
    assert [after.get("email") for after in seen(guarded, "user")] == [{personal.ERASED: True}, None, "new@example.com"]


def test_a_hold_forbids_to_erase(guarded: House):
    """Who is under a legal hold cannot be erased; others can."""
    tell(guarded, of_user("ann", "ann@example.com"))
    holds.place(guarded, "case", "court", Scope("user", "ann"), WHO)
    with pytest.raises(Held, match="case"):
        persons.erase(guarded, Person("user", "ann"), WHO)
    assert seen(guarded, "user")[0]["email"] == "ann@example.com"
    assert not persons.erase(guarded, Person("user", "bob"), WHO)


def test_rotation_of_the_vault_keeps_values_readable(guarded: House):
    """The keys of people are secrets of the vault: they move to its new key with the others."""
    tell(guarded, of_user("ann", "ann@example.com"))
    assert rotate(guarded, WHO) >= 1
    assert seen(guarded, "user")[0]["email"] == "ann@example.com"


def test_a_person_gets_all_that_is_held(guarded: House):
    """An export of a user holds what was done to and by the user, in clear, and is recorded itself."""
    tell(guarded, of_user("ann", "ann@example.com"), of_user("bob", "bob@example.com"))
    tell(guarded, of_user("wei", "wei@example.com"))
    found = list(persons.export(guarded, Person("user", "ann"), WHO))
    assert [event.tag for event in found] == [Tag.USER_UPDATED, Tag.PERSON_EXPORTED]
    assert found[0].after["email"] == "ann@example.com"
    assert len(list(persons.export(guarded, Person("user", "wei"), WHO))) == 5
    record_of = Person("entity", "customer", "1")
    assert [event.tag for event in persons.export(guarded, record_of, WHO)] == [Tag.PERSON_EXPORTED]


def test_values_of_other_systems_are_personal(guarded: House):
    """What a person corrects in quarantine, or decides in a case, is of somebody's record: all of it is hidden."""
    tell(guarded, Event(Tag.QUARANTINE_EDITED, Subject("rule", "r", "k"), {"phone": "017"}, {"phone": "0172"}))
    assert "017" not in raw(guarded).replace("$personal", "")[: raw(guarded).find("$personal")]
    assert seen(guarded, "rule") == [{"phone": "0172"}]


@pytest.mark.parametrize(
    ("tag", "values"),
    [
        (Tag.QUARANTINE_DISCARDED, {"reason": "'Meier' is no number"}),
        (Tag.QUARANTINE_EXPIRED, {"reason": "'Meier' is no number"}),
        (Tag.CASE_OPENED, {"title": "Meier", "subject": "Meier", "details": {"name": "Meier"}}),
        (Tag.CASE_COMMENTED, {"text": "Meier has called"}),
        (Tag.CASE_CLOSED, {"resolution": "Meier is right"}),
    ],
)
def test_words_about_people_are_personal(guarded: House, tag: Tag, values: dict[str, object]):
    """Reasons that quote a record, and what people write in cases, are hidden, and erased with their subject."""
    subject = Subject("case", "7") if tag.startswith("cases") else Subject("rule", "r", "k")
    tell(guarded, Event(tag, subject, None, values))
    assert "Meier" not in raw(guarded)
    assert seen(guarded, subject.kind) == [values]
    assert persons.erase(guarded, Person(subject.kind, subject.name, subject.record), WHO)
    assert "Meier" not in repr(seen(guarded, subject.kind))


def test_nothing_personal_is_written_in_clear(guarded: House):
    """Where nothing in the process can hide personal values the event is refused; others are written."""
    guard = hooks.guards.pop(guarded.db.engine.url)
    with pytest.raises(personal.Unguarded):
        tell(guarded, of_user("ann", "ann@example.com"))
    tell(guarded, Event(Tag.USER_UPDATED, Subject("user", "ann"), None, {"roles": ["a"]}))
    assert "ann@" not in raw(guarded)
    hooks.guards[guarded.db.engine.url] = guard


def test_damaged_values_are_shown_as_erased(guarded: House):
    """A hidden value that was altered is not shown as something else."""
    tell(guarded, of_user("ann", "ann@example.com"))
    with guarded.db.begin() as tx:
        after = tx.scalar(sa.select(audit_event.c.after).where(audit_event.c.subject_kind == "user"))
        text = after["email"][personal.MARK]
        for damaged in (text[:-4], text[:32], "x:y", ""):
            tx.execute(sa.update(audit_event).values(after={"email": {personal.MARK: damaged}}))
            event = next(personal.shown(tx, tx.execute(sa.select(audit_event)).all()))
            assert event.after == {"email": {personal.ERASED: True}}
