"""`syncline cases`: list, show, decide; and docs/cases.md says so."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cases.waiting import DOCUMENT, MATCH, PHONES, conflict, entry, make_rule, wait
from tests.cli.conftest import quiet_logs, syncline  # noqa: F401 - the command line's fixtures
from tests.installation import CommandLine
from webapp.cases import services
from webapp.commands.cases import cases
from webapp.extensions import SYSTEM, House
from webapp.runs import pair_cases
from webapp.runs.pair_choices import OPTIONS

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "cases.md"


@pytest.fixture
def installed_house(syncline: CommandLine) -> House:  # noqa: F811
    return syncline.house


def answer_of(house: House, case: int) -> Any:
    with house.db.read() as tx:
        return pair_cases.get(tx, services.get(tx, case).pair_id or 0).answer


def test_cases_by_command(syncline: CommandLine, installed_house: House) -> None:  # noqa: F811
    """Cases are listed, shown, and decided: one field by field, many with the same choice."""
    house, rule = installed_house, make_rule(installed_house)
    two = conflict(entry(2, "+86 1", "+86 2", "+86"), entry(3, "1.00", "2.00"))
    rows = [(str(number), str(number), "linked_conflict", PHONES) for number in (2, 3)]
    wait(house, rule, ("1", "7", "linked_conflict", two), *rows, ("5", None, "review", MATCH))
    services.open_case(house, services.NewCase("manual", "By hand"), SYSTEM)
    assert "Perhaps the same record" in syncline("cases", "--situation", "review").out
    assert [one["id"] for one in json.loads(syncline("cases", "--rule", "customers", "--json").out)] == [4, 3, 2, 1]
    assert "3 credit/ceiling" in syncline("cases", "show", "1").out
    assert "link it to Acme Corp" in syncline("cases", "show", "4").out
    assert "By hand" in syncline("cases", "show", "5").out
    assert json.loads(syncline("cases", "show", "1", "--json").out)["record"]["situation"] == "linked_conflict"
    done = syncline("cases", "answer", "1", "--field", "phone=left", "--value", "ceiling=3.50", "--json")
    assert json.loads(done.out) == {"decided": 1, "left_out": [], "runs": [2]}
    assert answer_of(house, 1)["fields"] == {"2": {"take": "left"}, "3": {"take": "value", "value": "3.50"}}
    syncline("cases", "answer", "1", "--take", "right", "--value", "3=")
    assert answer_of(house, 1)["fields"] == {"2": {"take": "right"}, "3": {"take": "value", "value": None}}
    syncline("cases", "answer", "4", "--record", "link", "--key", "8")
    assert answer_of(house, 4) == {"record": "link", "key": "8"}
    assert (
        "3 cases would be decided"
        in syncline("cases", "answer", "--rule", "customers", "--take", "left", "--dry-run").out
    )
    told = syncline("cases", "answer", "--rule", "customers", "--take", "left").out
    assert "3 cases decided." in told
    assert "Case 4 stays open" in told


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("answer", "1"), "Say what to do"),
        (("answer", "--take", "left"), "Name the cases"),
        (("answer", "1", "2", "--field", "phone=left"), "one case at a time"),
        (("answer", "1", "--field", "fax=left"), "'fax' is not in question. In question: phone."),
        (("answer", "1", "--field", "phone=top"), "Choose a value for"),
        (("answer", "2", "--value", "phone=1"), "not about a record"),
        (("answer", "9", "--value", "phone=1"), "There is no case 9"),
        (("answer", "1", "--record", "delete"), "No case was decided"),
    ],
)
def test_what_is_refused(syncline: CommandLine, installed_house: House, arguments: Any, why: str) -> None:  # noqa: F811
    """What cannot be decided so is told in one line."""
    wait(installed_house, make_rule(installed_house), ("1", "7", "linked_conflict", PHONES))
    services.open_case(installed_house, services.NewCase("manual", "By hand"), SYSTEM)
    answer = syncline("cases", *arguments)
    assert (answer.code, why in answer.err) == (1, True), answer.err


def test_the_guide_is_right() -> None:
    """docs/cases.md shows commands and options that exist, and names what rules can be told."""
    text = GUIDE.read_text("utf-8")
    block = re.search(r"```console\n(.*?)```", text, flags=re.S)
    assert block
    for line in block[1].splitlines():
        _prompt, _program, _cases, *words = shlex.split(line)
        command: Any = cases.commands.get(words[0], cases)
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, line
        if "--situation" in words:
            assert words[words.index("--situation") + 1] in OPTIONS
    for key in ("conflict", "situations", "auto_link", "review"):
        assert f"`{key}`" in text
    assert DOCUMENT["direction"] == "two_way"
