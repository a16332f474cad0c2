"""Writes the demo systems: a CRM, an ERP that knows some of the same customers, and a folder of HR files."""

from __future__ import annotations

import csv
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from webapp.demo import contacts
from webapp.demo.names import company, person

SEED = 20_260_101
ACCOUNTS, DEALS, EMPLOYEES = 400, 900, 150
START = datetime(2025, 1, 6, 8, 0)  # noqa: DTZ001 - the demo's CRM stores local times
CONFIGURATION = Path(__file__).parent / "configuration"
DEPARTMENTS = ("sales", "finance", "production", "it", "hr")
POSITIONS = ("Specialist", "Manager", "Director", "Assistant", "工程师", "会计")

CRM = """
CREATE TABLE account (
  id VARCHAR(10) PRIMARY KEY, name VARCHAR(120), country VARCHAR(2), city VARCHAR(60), phone VARCHAR(40),
  email VARCHAR(120), tax_no VARCHAR(20), segment VARCHAR(20), status VARCHAR(10) NOT NULL, updated_at DATETIME NOT NULL
);
CREATE TABLE deal (
  id VARCHAR(10) PRIMARY KEY, account_id VARCHAR(10) NOT NULL, title VARCHAR(120) NOT NULL, amount DECIMAL(12,2),
  currency VARCHAR(3), signed_on DATE, stage VARCHAR(12) NOT NULL, updated_at DATETIME NOT NULL
);
"""
ERP = """
CREATE TABLE customer (
  no VARCHAR(10) PRIMARY KEY, title VARCHAR(120) NOT NULL, tel VARCHAR(20) CHECK (length(tel) BETWEEN 7 AND 15),
  email VARCHAR(120) CHECK (email LIKE '%_@_%._%'), country VARCHAR(2) NOT NULL, city VARCHAR(60), vat VARCHAR(20),
  class VARCHAR(1) NOT NULL, blocked BOOLEAN NOT NULL DEFAULT 0
);
CREATE TABLE sales_order (
  no VARCHAR(10) PRIMARY KEY, customer_no VARCHAR(10) NOT NULL REFERENCES customer (no), subject VARCHAR(120) NOT NULL,
  ordered_on DATE NOT NULL, amount DECIMAL(12,2) NOT NULL CHECK (amount >= 0), currency VARCHAR(3) NOT NULL
);
"""

Row = Sequence[Any]


def write(folder: Path) -> list[Path]:
    """Write the demo systems and their configuration into `folder`; what exists already is left as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    random = Random(SEED)  # noqa: S311 - invented records, always the same
    accounts = list(_accounts(random))
    made = [_written(folder / "crm.db", lambda path: _crm(path, accounts, random))]
    made.append(_written(folder / "erp.db", lambda path: _erp(path, accounts, random)))
    made.append(_written(folder / "hr" / "employees.csv", lambda path: _employees(path, random)))
    return made + [Path(shutil.copy(path, folder)) for path in sorted(CONFIGURATION.glob("*.yaml"))]


def _written(path: Path, make: Callable[[Path], None]) -> Path:
    """Make a file under another name first, so that a stop half-way leaves none that looks complete."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        part.unlink(missing_ok=True)
        make(part)
        part.replace(path)
    return path


def _accounts(random: Random) -> Iterator[tuple[Any, ...]]:
    for number in range(1, ACCOUNTS + 1):
        firm = company(random, number)
        email = _dirty_email(random, f"info@{firm.ascii}")
        name = f"  {firm.name} " if random.random() < 0.08 else firm.name
        segment = random.choice(("enterprise", "mid-market", "small", "Small", None))
        status = random.choices(("active", "draft", "closed"), (85, 8, 7))[0]
        changed = START + timedelta(minutes=random.randrange(500_000))
        country = firm.country.lower() if random.random() < 0.05 else firm.country
        phone, tax = _dirty_phone(random, firm.country), f"{firm.country}{random.randrange(10**8):08d}"
        yield f"A{number:04d}", name, country, firm.city, phone, email, tax, segment, status, changed.isoformat(" ")


def _dirty_phone(random: Random, country: str) -> str | None:
    digits = f"1{random.randrange(30, 99)}{random.randrange(10**8):08d}"
    forms: tuple[str | None, ...] = (
        digits, f"+86 {digits[:3]} {digits[3:7]} {digits[7:]}", f"{digits[:3]}-{digits[3:7]}-{digits[7:]}",
        f"（021）{digits[3:]}", f" {digits} ", None,
    )  # fmt: skip
    if random.random() < 0.02:
        return random.choice(("n/a", "12", "电话待定"))
    return random.choice(forms) if country == "CN" else f"+{random.randrange(30, 60)} {digits[:9]}"


def _dirty_email(random: Random, email: str) -> str | None:
    if random.random() < 0.04:
        return random.choice((email.replace("@", " at "), email.replace("@", ""), email.partition(".example")[0]))
    return random.choice((email, email, email.upper(), f" {email}", None))


def _crm(path: Path, accounts: Iterable[Row], random: Random) -> None:
    accounts = list(accounts)
    twins = [(f"A{9000 + n}", *row[1:]) for n, row in enumerate(random.sample(accounts, 12))]
    deals = [_deal(random, number, random.choice(accounts)[0]) for number in range(1, DEALS + 1)]
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(CRM)
        db.executemany("INSERT INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [*accounts, *twins])
        db.executemany("INSERT INTO deal VALUES (?, ?, ?, ?, ?, ?, ?, ?)", deals)
    contacts.crm(path)


def _deal(random: Random, number: int, account: str) -> Row:
    signed = date(2025, 1, 6) + timedelta(days=random.randrange(360))
    amount = f"{random.randrange(1_000, 90_000_000) / 100:.2f}"
    stage = random.choices(("won", "open", "lost"), (70, 20, 10))[0]
    title = random.choice(("Annual contract", "Spare parts", "年度框架合同", "设备采购", "Service"))
    changed = datetime.combine(signed, START.time()) + timedelta(minutes=number)
    if random.random() < 0.02:
        amount = f"-{amount}"
    day = None if random.random() < 0.02 else signed.isoformat()
    return (
        f"D{number:05d}",
        account,
        title,
        amount,
        random.choice(("CNY", "CNY", "EUR", "USD")),
        day,
        stage,
        f"{changed}",
    )


def _erp(path: Path, accounts: Iterable[Row], random: Random) -> None:
    known = [row for row in accounts if random.random() < 0.55]
    rows = [_older(random, row) for row in known]
    rows += [
        (f"E{n:04d}", company(random, 5000 + n).name, None, None, "CN", "上海", None, "C", 0) for n in range(1, 41)
    ]
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(ERP)
        db.executemany("INSERT INTO customer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    contacts.erp(path)


def _older(random: Random, account: Row) -> Row:
    """Return an account as the ERP knew it some time ago."""
    city = random.choice(("上海", "Shanghai", account[3])) if random.random() < 0.3 else account[3]
    phone = f"86{random.randrange(10**10):010d}" if random.random() < 0.3 else None
    return account[0], account[1].strip(), phone, None, account[2].upper(), city, account[6], "C", 0


def _employees(path: Path, random: Random) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(
            ("staff_no", "name", "latin_name", "department", "position", "hired_on", "email", "phone", "salary")
        )
        for number in range(1, EMPLOYEES + 1):
            out.writerow(_employee(random, number))
        out.writerow(_employee(random, 17))


def _employee(random: Random, number: int) -> Row:
    who, hired = person(random), date(2012, 1, 2) + timedelta(days=random.randrange(4_500))
    name = "" if random.random() < 0.02 else who.name
    day = "2021-13-40" if random.random() < 0.02 else hired.isoformat()
    mail = (
        f"{who.latin.lower().replace(' ', '.')}{number}@example.com".encode("ascii", "ignore").decode().replace("'", "")
    )
    email = mail.replace("@", "#") if random.random() < 0.03 else mail
    phone = f"1{random.randrange(30, 99)} {random.randrange(10**4):04d} {random.randrange(10**4):04d}"
    salary = f"{random.randrange(5_000, 60_000)}.00"
    return (
        f"S{number:04d}",
        name,
        who.latin,
        random.choice(DEPARTMENTS),
        random.choice(POSITIONS),
        day,
        email,
        phone,
        salary,
    )
