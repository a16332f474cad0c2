"""Invented people, and what another system has made of them: typing errors, missing and swapped values."""

from __future__ import annotations

import random

SYLLABLES = [a + b for a in [*"bdfghklmnprstvwz", "ch", "sh"] for b in [*"aeiou", "an", "en", "on", "ar", "el"]]
FIELDS = ("identity", "birth_date", "surname", "given_name", "street", "place", "postcode")


def people(count: int, seed: int) -> tuple[list[dict[str, str | None]], list[dict[str, str | None]]]:
    """Return as many people twice: as they are, and with up to four errors each; `number` says who is who."""
    chance = random.Random(seed)
    names, places = _words(chance, 400), _words(chance, 60)
    here = [_person(chance, number, names, places) for number in range(count)]
    there = [_damaged(chance, dict(person)) for person in here]
    chance.shuffle(there)
    return here, there


def _words(chance: random.Random, count: int) -> list[str]:
    return ["".join(chance.choices(SYLLABLES, k=chance.randint(2, 4))) for _ in range(count)]


def _person(chance: random.Random, number: int, names: list[str], places: list[str]) -> dict[str, str | None]:
    return {
        "number": str(number),
        "identity": str(chance.randrange(10**6, 10**7)),
        "birth_date": f"{chance.randint(1930, 2010)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}",
        "surname": chance.choice(names),
        "given_name": chance.choice(names),
        "street": f"{chance.choice(names)} street {chance.randint(1, 200)}",
        "place": chance.choice(places),
        "postcode": str(chance.randint(1000, 9999)),
    }


def _damaged(chance: random.Random, person: dict[str, str | None]) -> dict[str, str | None]:
    for _ in range(chance.randint(0, 4)):
        name = chance.choice(FIELDS)
        value = person[name]
        person[name] = None if chance.random() < 0.2 else value and _mistyped(chance, value)
    if chance.random() < 0.03:
        person["surname"], person["given_name"] = person["given_name"], person["surname"]
    return person


def _mistyped(chance: random.Random, value: str) -> str:
    place = chance.randrange(len(value) - 1)
    letter = chance.choice("0123456789" if value[place].isdigit() else "aeinrst")
    rest = value[place + 1 :]
    return chance.choice(
        [value[:place] + rest, value[:place] + letter + rest, value[:place] + rest[0] + value[place] + rest[1:]]
    )
