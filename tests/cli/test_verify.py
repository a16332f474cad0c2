"""`syncline verify` on a folder of files and a database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.cli.test_runs import systems  # noqa: F401 - the two systems
from tests.installation import CommandLine


def test_the_exit_code_says_whether_all_agree(syncline: CommandLine, systems: Path) -> None:  # noqa: F811
    """Zero only if every record agrees; the answer tells what does not, as text and as JSON."""
    (systems / "inbox" / "items.csv").write_text("no,title,price\n1, 茶 ,3.50\n2,Müsli,4\n", "utf-8")
    before = syncline("verify", "items", "--json")
    assert before.json["counts"]["left"]["alone"] == 2
    assert [one["kind"] for one in before.json["differences"]] == ["only_left", "only_left"]
    syncline.ok("run", "items", "--wait")
    found = syncline.ok("verify", "items", "--json").json
    assert (found["agrees"], found["differences"]) == (True, [])
    assert found["checksums"]["left"] == found["checksums"]["right"]
    assert "all agree" in syncline.ok("verify", "items").out
    with closing(sqlite3.connect(systems / "shop.db")) as db, db:
        db.execute("UPDATE item SET price = 3.51 WHERE no = 1")
    told = syncline("verify", "items")
    assert "price: left '3.50', right '3.51'" in told.out
    assert "do not agree" in told.err
    assert "no rule called" in syncline("verify", "nothing").err
