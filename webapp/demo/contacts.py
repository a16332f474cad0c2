"""The people at the customers, as the CRM and the ERP know them: many agree, some differ, some are in doubt."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from webapp.demo.names import person

SEED = 20_260_102
BOTH, ONLY_CRM, ONLY_ERP = 40, 14, 9
START = datetime(2025, 6, 2, 8, 0)  # noqa: DTZ001 - both systems store local times
JOBS = ("Buyer", "Head of purchasing", "Accountant", "采购经理", "财务主管", "Managing director")

CRM = """
CREATE TABLE contact (
  id VARCHAR(10) PRIMARY KEY, account_id VARCHAR(10) NOT NULL, name VARCHAR(120) NOT NULL, email VARCHAR(120),
  phone VARCHAR(40), job VARCHAR(60), updated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TRIGGER contact_touched AFTER UPDATE ON contact WHEN NEW.updated_at = OLD.updated_at
BEGIN UPDATE contact SET updated_at = CURRENT_TIMESTAMP WHERE id = NEW.id; END;
"""
ERP = """
CREATE TABLE contact_person (
  no VARCHAR(10) PRIMARY KEY, customer_no VARCHAR(10) NOT NULL, full_name VARCHAR(120) NOT NULL, mail VARCHAR(120),
  mobile VARCHAR(40), position VARCHAR(60), changed_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TRIGGER contact_person_touched AFTER UPDATE ON contact_person WHEN NEW.changed_at = OLD.changed_at
BEGIN UPDATE contact_person SET changed_at = CURRENT_TIMESTAMP WHERE no = NEW.no; END;
"""

MARRIED = {3: ("Anna Müller", "Anna Schneider"), 11: ("陈静", "陈婧"), 19: ("Marie Dubois", "Marie Dubois-Laurent")}
"""Contacts whose two names are no spelling of one another: a person has to say which one is right."""
SPELLED = (
    ("Katharina Brandt", "Katarina Brandt"),
    ("Jonathan Meyers", "Jonathan Meyer"),
    ("Li Xiaoming", "Li Xiao Ming"),
)
"""Contacts that the ERP has without an e-mail address and in another spelling: probably the same, but who knows."""


@dataclass(frozen=True)
class Contact:
    """One person as one of the systems has it."""

    number: int
    name: str
    email: str | None
    phone: str
    job: str | None
    changed: datetime

    def values(self, prefix: str) -> tuple[str, str, str, str | None, str, str | None, str]:
        """Return the record under the numbers of a system."""
        key, account = f"{prefix}{self.number:04d}", f"A{self.number:04d}"
        return key, account, self.name, self.email, self.phone, self.job, self.changed.isoformat(" ")


def crm(path: Path) -> None:
    """Add the contacts to the CRM."""
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(CRM)
        db.executemany("INSERT INTO contact VALUES (?, ?, ?, ?, ?, ?, ?)", [c.values("K") for c, _ in _pairs() if c])


def erp(path: Path) -> None:
    """Add the contacts to the ERP, which numbers them differently."""
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(ERP)
        rows = [c.values("P") for _, c in _pairs() if c]
        db.executemany("INSERT INTO contact_person VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _pairs() -> Iterator[tuple[Contact | None, Contact | None]]:
    """Yield each person as the CRM and as the ERP knows it, None where it does not."""
    random = Random(SEED)  # noqa: S311 - invented records, always the same
    for number in range(1, BOTH + 1):
        here = _contact(random, number)
        if number in MARRIED:
            here = replace(here, name=MARRIED[number][0])
        yield here, _other(random, here)
    for number in range(BOTH + 1, BOTH + ONLY_CRM + 1):
        yield _contact(random, number), None
    for number in range(BOTH + ONLY_CRM + 1, BOTH + ONLY_CRM + ONLY_ERP + 1):
        yield None, _contact(random, number)
    for number, (name, other) in enumerate(SPELLED, BOTH + ONLY_CRM + ONLY_ERP + 1):
        here = replace(_contact(random, number), name=name)
        yield here, replace(here, name=other, email=None)


def _contact(random: Random, number: int) -> Contact:
    who, changed = person(random), START + timedelta(minutes=random.randrange(200_000))
    words = "".join(c for c in who.latin.lower().replace(" ", ".") if c.isascii() and (c.isalnum() or c == "."))
    phone = f"+86 1{random.randrange(30, 99)} {random.randrange(10**8):08d}"
    return Contact(number, who.name, f"{words}.{number}@example.com", phone, random.choice(JOBS), changed)


def _other(random: Random, here: Contact) -> Contact:
    """Return a contact of the CRM as the ERP has it."""
    there = replace(here, email=here.email.upper() if here.email and random.random() < 0.1 else here.email)
    if here.number in MARRIED:
        return replace(there, name=MARRIED[here.number][1])
    if random.random() < 0.3:
        moved = here.changed + timedelta(days=random.choice((-20, 20)))
        there = replace(there, phone=f"+86 1{random.randrange(30, 99)} {random.randrange(10**8):08d}", changed=moved)
    return replace(there, job=None) if random.random() < 0.2 else there
