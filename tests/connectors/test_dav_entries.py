"""Calendar entries and contacts as records, and back: times exactly, and all that we do not know stays."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.builtin.dav_entry import Entry
from connectors.builtin.dav_fields import STANDARD, columns_of, put_all
from connectors.builtin.dav_options import DavObject
from connectors.builtin.dav_text import Component, Line, escaped, folded, parsed, parts_of, unescaped
from connectors.errors import RecordRejected

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]))
BERLIN = (
    "BEGIN:VTIMEZONE\r\nTZID:Our Own\r\nBEGIN:STANDARD\r\nDTSTART:19961027T030000\r\n"
    "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nEND:STANDARD\r\nBEGIN:DAYLIGHT\r\nDTSTART:19810329T020000\r\n"
    "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0200\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\n"
)


def event(*lines: str, more: str = "", kind: str = "VEVENT") -> Entry:
    inner = "".join(f"{line}\r\n" for line in ("UID:1", *lines))
    text = f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{more}BEGIN:{kind}\r\n{inner}END:{kind}\r\nEND:VCALENDAR\r\n"
    return Entry("1", "", text, kind)


def contact(*lines: str) -> Entry:
    return Entry(
        "1", "", "".join(f"{line}\r\n" for line in ("BEGIN:VCARD", "VERSION:3.0", *lines, "END:VCARD")), "VCARD"
    )


def read(entry: Entry, *names: str, kind: str = "events") -> list[str | None]:
    return [STANDARD[kind][name].read(entry) for name in names]


def put(entry: Entry, kind: str = "events", **values: Any) -> str:
    put_all(entry, STANDARD[kind], values)
    return entry.whole.written()


@given(TEXT | st.text("\n;,\\\r"))
def test_texts_survive(text: str) -> None:
    """Any text survives a value, in lines of at most 75 bytes."""
    assert unescaped(escaped(text)) == text.replace("\r\n", "\n").replace("\r", "\n")
    line = folded(f"X:{escaped(text)}")
    assert all(len(part.encode()) <= 75 for part in line.split("\r\n"))
    (found,) = parsed(f"BEGIN:A\r\n{line}END:A\r\n").lines
    assert found.text == unescaped(escaped(text))


@given(st.lists(TEXT, min_size=1), st.dictionaries(st.sampled_from(["CN", "ROLE"]), st.lists(TEXT, min_size=1)))
def test_parts_and_parameters_survive(parts: list[str], params: dict[str, list[str]]) -> None:
    """Lists and parameters with quotes, commas and line breaks come back as they were put."""
    value = ",".join(map(escaped, parts))
    assert [unescaped(part) for part in parts_of(value, ",")] == parts
    params = {name: [text.replace("^", "") + "\n'\"^" for text in texts] for name, texts in params.items()}
    line = Line("X-A", value, params, "g")
    (found,) = parsed(f"BEGIN:A\r\n{line.written()}END:A\r\n").lines
    assert (found.name, found.value, found.group) == ("X-A", value, "g")
    assert found.params == {n: [t.replace("'", "'") for t in texts] for n, texts in params.items()}


@pytest.mark.parametrize(
    "text",
    ["", "x", "BEGIN:A\r\n", "BEGIN:A\r\nEND:B\r\n", "END:A\r\n", "BEGIN:A\r\nEND:A\r\nBEGIN:A\r\nEND:A\r\n",
     "BEGIN:A\r\nX;=:\r\nEND:A", "BEGIN:A\r\nX;A=\"b:c\r\nEND:A", "BEGIN:A\r\n" * 20, "BEGIN:A\r\n:x\r\nEND:A"],
)  # fmt: skip
def test_what_is_no_entry_is_told(text: str) -> None:
    """A text that breaks off, nests without end or is none at all ends in one sentence."""
    with pytest.raises(RecordRejected, match="breaks off"):
        parsed(text)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_only_line_feeds_end_a_line(mark: str, end: str) -> None:
    """Other characters that part lines elsewhere stand in a value like any other."""
    text = end.join(["BEGIN:VCARD", f"NOTE:a{mark}b:c", f" d{mark}", "END:VCARD", ""])
    found = parsed(text)
    assert [line.text for line in found.lines] == [f"a{mark}b:cd{mark}"]
    assert found.written().replace("\r\n", end) == text


def test_lines_of_all_programs_are_read() -> None:
    """Bare line feeds, folded lines, old parameters without a name and empty lines are read, and written again."""
    text = 'BEGIN:VCARD\nTEL;HOME;type="CELL",pref:1\n\nNOTE:a\n  b\nEND:VCARD'
    found = parsed(text)
    tel, note = found.lines
    assert (tel.types, tel.preferred, note.text) == (["cell", "home"], True, "a b")
    assert found.written().replace("\r\n", "\n").replace("\n\n", "\n") == text.replace("\n\n", "\n") + "\n"
    empty = Component("A", [Component("B")])
    empty.set("X", "1")
    assert empty.written() == "BEGIN:A\r\nX:1\r\nBEGIN:B\r\nEND:B\r\nEND:A\r\n"


TIMES = ("start", "start_date", "start_local", "time_zone", "end", "end_date", "end_local")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["DTSTART:20240101T090000Z", "DTEND:20240101T100000Z"],
         ["2024-01-01T09:00:00Z", None, "2024-01-01T09:00:00", "UTC", "2024-01-01T10:00:00Z", None,
          "2024-01-01T10:00:00"]),
        (["DTSTART;TZID=Asia/Shanghai:20240101T090000", "DURATION:PT90M"],
         ["2024-01-01T01:00:00Z", None, "2024-01-01T09:00:00", "Asia/Shanghai", "2024-01-01T02:30:00Z", None,
          "2024-01-01T10:30:00"]),
        (["DTSTART;TZID=China Standard Time:20240101T090000"],
         ["2024-01-01T01:00:00Z", None, "2024-01-01T09:00:00", "China Standard Time", None, None, None]),
        (["DTSTART;TZID=/mozilla.org/20050126_1/Europe/Berlin:20240701T090000"],
         ["2024-07-01T07:00:00Z", None, "2024-07-01T09:00:00", "/mozilla.org/20050126_1/Europe/Berlin", None, None,
          None]),
        (["DTSTART;TZID=Our Own:20240701T090000", "DURATION:P1D"],
         ["2024-07-01T07:00:00Z", None, "2024-07-01T09:00:00", "Our Own", "2024-07-02T07:00:00Z", None,
          "2024-07-02T09:00:00"]),
        # the night in which a day has 25 hours: a day later it is the same time, 24 hours later it is not
        (["DTSTART;TZID=Europe/Berlin:20241026T120000", "DURATION:P1D"],
         ["2024-10-26T10:00:00Z", None, "2024-10-26T12:00:00", "Europe/Berlin", "2024-10-27T11:00:00Z", None,
          "2024-10-27T12:00:00"]),
        (["DTSTART;TZID=Europe/Berlin:20241027T023000"],
         ["2024-10-27T00:30:00Z", None, "2024-10-27T02:30:00", "Europe/Berlin", None, None, None]),
        (["DTSTART;TZID=Europe/Berlin:20240331T023000"],
         ["2024-03-31T01:30:00Z", None, "2024-03-31T02:30:00", "Europe/Berlin", None, None, None]),
        (["DTSTART;VALUE=DATE:20240229", "DURATION:P1W"],
         [None, "2024-02-29", None, None, None, "2024-03-07", None]),
        (["DTSTART:20240101T090000", "DURATION:-PT1H"],
         [None, None, "2024-01-01T09:00:00", None, None, None, "2024-01-01T08:00:00"]),
        (["DTSTART:20240101T090000Z", "DURATION:PT1H"],
         ["2024-01-01T09:00:00Z", None, "2024-01-01T09:00:00", "UTC", "2024-01-01T10:00:00Z", None,
          "2024-01-01T10:00:00"]),
        ([], [None] * 7),
    ],
)  # fmt: skip
def test_times_are_exact(lines: list[str], expected: list[str | None]) -> None:
    """Moments, whole days and wall clocks are told apart, in zones that are well known or the entry's own."""
    assert read(event(*lines, more=BERLIN), *TIMES) == expected


@pytest.mark.parametrize(
    "line",
    ["DTSTART;TZID=Nowhere:20240101T090000", "DTSTART:20241301T090000", "DTSTART:soon", "DTSTART;VALUE=DATE:20230229",
     "DTSTART;TZID=Broken:20240101T090000"],
)  # fmt: skip
def test_times_that_are_none_are_told(line: str) -> None:
    """What is no time, or in a zone that nobody knows, is no guess."""
    broken = "BEGIN:VTIMEZONE\r\nTZID:Broken\r\nBEGIN:STANDARD\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    with pytest.raises(RecordRejected):
        read(event(line, more=BERLIN + broken), "start")
    with pytest.raises(RecordRejected):
        read(event("DTSTART:20240101T090000Z", "DURATION:1 hour"), "end")


def moment(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type,misc]


def test_times_are_written_in_their_zone() -> None:
    """A new moment stays in the zone of the entry, a new zone moves it, and what does not change is not written."""
    entry = event("DTSTART;TZID=Our Own;X-A=b:20240701T090000", "DURATION:PT1H", more=BERLIN)
    before = entry.text
    assert put(entry, start=moment(2024, 7, 1, 7), end=moment(2024, 7, 1, 8), start_date=None) == before
    assert "DTEND;TZID=Our Own:20240701T103000" in put(entry, end=moment(2024, 7, 1, 8, 30))
    assert "DURATION" not in entry.whole.written()
    assert "DTSTART;TZID=Our Own:20240702T090000" in put(entry, start=moment(2024, 7, 2, 7))
    moved = put(entry, time_zone="Asia/Shanghai", start=moment(2024, 7, 2, 7))
    assert "DTSTART;TZID=Asia/Shanghai:20240702T150000" in moved
    assert "DTEND;TZID=Asia/Shanghai:20240701T163000" in moved
    assert moved.count("BEGIN:VTIMEZONE") == 2
    assert "DTSTART:20240702T070000Z" in put(entry, time_zone="UTC")
    put(entry, time_zone="Europe/Berlin")
    assert "DTSTART:20241027T013000Z" in put(entry, start=moment(2024, 10, 27, 1, 30))  # 02:30 comes twice
    with pytest.raises(RecordRejected, match="not known"):
        put(entry, time_zone="Nowhere")
    assert put(entry, time_zone=None)


def test_days_and_wall_clocks_are_written() -> None:
    """A whole day and a wall clock without a zone take the place of a moment, and can be taken away."""
    entry = event("DTSTART:20240101T090000Z", "DTEND:20240101T100000Z")
    assert "DTSTART;VALUE=DATE:20240229" in put(entry, start_date=dt.date(2024, 2, 29), start=None)
    assert "DTEND" not in put(entry, end=None)
    wall = dt.datetime(2024, 1, 1, 9)
    assert "DTSTART:20240101T090000\r\n" in put(entry, start_local=wall)
    assert put(entry, start_local=wall) == entry.whole.written()
    both = put(event(), start=moment(2024, 1, 1, 1), start_local=wall)
    assert "DTSTART:20240101T010000Z" in both
    zoned = event()
    assert "DTSTART;TZID=Asia/Shanghai:20240101T090000" in put(zoned, start_local=wall, time_zone="Asia/Shanghai")
    assert "DTSTART;TZID=Asia/Shanghai:20240101T090000" in put(zoned, start_local=wall)
    assert "DTSTART:20240101T090000Z" in put(event(), start_local=wall, time_zone="UTC")
    assert "DTSTART:20240101T090000Z" in put(event(), start=moment(2024, 1, 1, 9))
    put(zoned, start=None)
    assert zoned.when("DTSTART") is None


def test_all_that_is_not_known_stays() -> None:
    """An update changes its property and no other byte; people who stay keep what else is known of them."""
    lines = [
        'X-APPLE;A="b:c":v', "SUMMARY;LANGUAGE=de:alt", "ATTENDEE;CN=A;RSVP=TRUE;PARTSTAT=ACCEPTED:mailto:a@b.c",
        "ATTENDEE:mailto:gone@b.c", "CATEGORIES:x,a\\,b", "ORGANIZER;CN=O:MAILTO:o@b.c", "DESCRIPTION:long" + " x" * 80,
    ]  # fmt: skip
    entry = event(*lines, more="X-WR:1\r\n")
    assert read(entry, "attendees", "categories", "organizer", "summary") == [
        '[{"address":"a@b.c","name":"A","status":"ACCEPTED"},{"address":"gone@b.c"}]', '["x","a,b"]', "o@b.c", "alt"
    ]  # fmt: skip
    written = put(
        entry, summary="neu; x", attendees='[{"address":"a@b.c"},{"address":"urn:x","role":"CHAIR","name":"N;"}]',
        categories='["y"]', organizer="o@b.c", status="CONFIRMED", rrule="FREQ=DAILY", url="https://x",
    )  # fmt: skip
    assert written == (
        entry.text.replace("LANGUAGE=de:alt", "LANGUAGE=de:neu\\; x").replace("x,a\\,b", "y")
        .replace("ATTENDEE:mailto:gone@b.c", 'ATTENDEE;CN="N;";ROLE=CHAIR:urn:x')
        .replace("END:VEVENT", "RRULE:FREQ=DAILY\r\nSTATUS:CONFIRMED\r\nURL:https://x\r\nEND:VEVENT")
    )  # fmt: skip
    assert read(entry, "status", "rrule", "url") == ["CONFIRMED", "FREQ=DAILY", "https://x"]
    changed = put(entry, attendees='[{"address":"a@b.c","status":"DECLINED"}]', organizer="p@b.c", categories=None)
    assert "ATTENDEE;CN=A;RSVP=TRUE;PARTSTAT=DECLINED:mailto:a@b.c" in changed
    assert "ORGANIZER:mailto:p@b.c" in changed
    nothing = put(
        entry, attendees=None, organizer=None, status=None, url=None, rrule=None, summary=None, exceptions="x"
    )
    assert not {"ATTENDEE", "ORGANIZER", "STATUS", "URL", "SUMMARY"} & {line.name for line in entry.main.lines}
    assert 'X-APPLE;A="b:c":v' in nothing
    assert read(entry, "organizer", "status", "url", "attendees") == [None] * 4
    for values in ({"attendees": "[1]"}, {"attendees": '[{"name":"x"}]'}, {"categories": "{}"}, {"url": "a\nb"}):
        with pytest.raises(RecordRejected):
            put(entry, **values)


def test_a_series_is_one_record() -> None:
    """The series is the record, and its exceptions are a field of it; a task has its own fields."""
    exception = (
        "BEGIN:VEVENT\r\nUID:1\r\nRECURRENCE-ID;VALUE=DATE:20240102\r\nDTSTART:20240103T090000Z\r\nSUMMARY:moved\r\n"
    )
    entry = event("SUMMARY:series", "DTSTART;VALUE=DATE:20240101", more=f"{exception}END:VEVENT\r\n")
    assert read(entry, "summary", "exceptions") == [
        "series", '[{"instead_of":"2024-01-02","start":"2024-01-03T09:00:00Z","summary":"moved"}]'
    ]  # fmt: skip
    alone = event("RECURRENCE-ID:20240101T090000Z")
    assert read(alone, "uid", "exceptions", "created") == ["1", None, None]
    task = event("DUE:20240101T090000Z", "PERCENT-COMPLETE:50", "CREATED:20240101T090000Z", kind="VTODO")
    assert read(task, "due", "percent", "priority", "created", kind="tasks") == [
        "2024-01-01T09:00:00Z", "50", None, "2024-01-01T09:00:00Z"
    ]  # fmt: skip
    written = put(task, "tasks", completed=moment(2024, 1, 2), percent=100, priority=None, due=None)
    assert "COMPLETED:20240102T000000Z" in written
    assert "DUE" not in written
    assert "COMPLETED" not in put(task, "tasks", completed=None)
    with pytest.raises(RecordRejected, match="0 to 9"):
        put(task, "tasks", priority=10)
    with pytest.raises(RecordRejected, match="nothing of its kind"):
        read(Entry("1", "", task.text, "VEVENT"), "uid")


CARD = (
    "FN:Ada Lovelace", "N:Lovelace;Ada\\, Augusta;;Countess;", "ORG:Works;Engines", "item1.EMAIL;TYPE=work:a@b.c",
    "EMAIL;TYPE=INTERNET,pref:ada@b.c", "TEL;TYPE=cell:+44 1", "TEL;VALUE=uri:tel:+442", "item1.X-ABLABEL:x",
    "ADR;TYPE=home:;;1 St\\; James;London;;SW1;UK", "BDAY:1815-12-10", "PHOTO;ENCODING=b:AAAA", "NOTE:a\\nb",
    "REV:20240101T090000Z", "CATEGORIES:x,y",
)  # fmt: skip


def test_contacts_are_records() -> None:
    """Names, addresses, numbers and days of a contact are fields; the photo stays as it is."""
    entry = contact(*CARD)
    names = ("full_name", "family_name", "given_name", "prefix", "suffix", "organization", "department", "email",
             "emails", "phone", "phones", "addresses", "birthday", "note", "modified", "version", "role")  # fmt: skip
    assert read(entry, *names, kind="contacts") == [
        "Ada Lovelace", "Lovelace", "Ada, Augusta", "Countess", None, "Works", "Engines", "ada@b.c",
        '[{"types":["work"],"value":"a@b.c"},{"types":["internet"],"value":"ada@b.c"}]', "+44 1",
        '[{"types":["cell"],"value":"+44 1"},{"types":[],"value":"+442"}]',
        '[{"city":"London","country":"UK","postal_code":"SW1","street":"1 St; James","types":["home"]}]', "1815-12-10",
        "a\nb", "2024-01-01T09:00:00Z", "3.0", None,
    ]  # fmt: skip
    same = {
        name: STANDARD["contacts"][name].read(entry)
        for name in ("email", "emails", "phones", "addresses", "given_name")
    }
    same_day = {**same, "birthday": dt.date(1815, 12, 10), "full_name": "Ada Lovelace"}
    assert put(entry, "contacts", **same_day) == entry.text
    nothing = ("full_name", "given_name", "emails", "addresses", "modified")
    assert read(contact(), *nothing, kind="contacts") == [None] * 5


def test_contacts_are_written() -> None:
    """Parts of a name are written beside the others; one address takes the place of the preferred one."""
    entry = contact(*CARD)
    written = put(
        entry, "contacts", given_name=None, suffix="Jr; x", email="new@b.c", phone=None, birthday=dt.date(2000, 2, 29),
        organization="A, B", addresses='[{"street":"X","types":["work"]}]', full_name="New", role="R",
    )  # fmt: skip
    for line in ("N:Lovelace;;;Countess;Jr\\; x", "item1.EMAIL;TYPE=work:a@b.c", "EMAIL;TYPE=internet:new@b.c",
                 "TEL;VALUE=uri:tel:+442", "BDAY:2000-02-29", "ORG:A\\, B;Engines", "ADR;TYPE=work:;;X;;;;", "FN:New",
                 "PHOTO;ENCODING=b:AAAA", "ROLE:R"):  # fmt: skip
        assert f"{line}\r\n" in written, line
    assert "+44 1" not in written
    gone = put(entry, "contacts", organization=None, department=None, emails="[]", birthday=None, birthday_text="x")
    assert not {"ORG", "EMAIL", "BDAY"} & {line.name for line in entry.main.lines}
    assert "N:Lovelace" in gone
    made = put(contact("N:;;;;"), "contacts", email="a@b.c", phones='[{"value":"1","types":["CELL"]}]', department="D")
    assert "EMAIL:a@b.c" in made
    assert "TEL;TYPE=CELL:1" in made
    assert "ORG:;D" in made
    four = Entry("1", "", "BEGIN:VCARD\r\nVERSION:4.0\r\nEND:VCARD\r\n", "VCARD")
    assert "BDAY:20000229" in put(four, "contacts", birthday=dt.date(2000, 2, 29), email=None, family_name="F")
    for values in ({"full_name": None}, {"emails": "[{}]"}, {"emails": '[{"value":"a","types":"x"}]'}, {"phones": "1"}):
        with pytest.raises(RecordRejected):
            put(entry, "contacts", **values)


@pytest.mark.parametrize(
    ("line", "day", "text"),
    [
        ("BDAY:--0412", None, "--0412"),
        ("BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-12", None, "1604-04-12"),
        ("BDAY;VALUE=text:circa 1800", None, "circa 1800"),
        ("BDAY:1985-04-12T10:00:00Z", "1985-04-12", "1985-04-12T10:00:00Z"),
        ("BDAY:19850412", "19850412"[:4] + "-04-12", "19850412"),
        ("BDAY:1985", None, "1985"),
        ("BDAY:1985-02-30", "1985-02-30", "1985-02-30"),
        ("NOTE:", None, None),
    ],
)
def test_birthdays(line: str, day: str | None, text: str | None) -> None:
    """A day without a year is no date, and is told as it is written."""
    entry = contact(line)
    assert read(entry, "birthday", "birthday_text", kind="contacts") == [day, text]
    if day is None:
        assert put(entry, "contacts", birthday=None) == entry.text


@pytest.mark.parametrize(
    ("line", "told"),
    [("REV:2024-01-01T09:00:00Z", "2024-01-01T09:00:00Z"), ("REV:2024-01-01", None), ("REV:20240101", None),
     ("REV:20240101T090000.5Z", None)],
)  # fmt: skip
def test_revisions(line: str, told: str | None) -> None:
    """When a contact was changed is told where it is a moment."""
    assert read(contact(line), "modified", kind="contacts") == [told]


def test_fields_of_ones_own() -> None:
    """A property of one's own is a field by its name in any case."""
    columns = columns_of(DavObject(name="x", properties=["x-room"]), "events")
    assert columns["x-room"].read(event("X-ROOM:a\\, b")) == "a, b"
