"""Change capture from MySQL 8: its transactions, by a rebuilt log, since no such server is to be had for tests."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from connectors.builtin import mysql_changes_checks as checks
from connectors.builtin import mysql_listen
from connectors.builtin.database_changes import Keys
from connectors.builtin.mysql_changes import MySQLLog
from connectors.builtin.mysql_changes_decode import MySQLDecoder
from connectors.errors import Misconfigured
from connectors.spi import Capture
from tests.connectors import mysql8_log as log
from tests.connectors.mysql8_log import DELETE, SOURCE, UPDATE, WRITE, Connection, Log, rows, table

OTHER = uuid.UUID(int=7)
SINCE: dict[str, Any] = {"gtid": f"{SOURCE}:1-4", "file": "binlog.000007", "pos": 4, "skip": 0}


def collected(made: Log, until: str, most: int = 100) -> tuple[dict[Any, bool], Keys, bool, bytes]:
    """Return the keys that are told up to some transactions, and what the server was asked for."""
    keys = Keys(dict(SINCE), most)
    sending, other = Connection(made.packets), Connection([])
    connect: Any = iter((sending, other)).__next__
    last = MySQLDecoder("shop", "t", "id", keys).collect(connect, dict(SINCE), {**SINCE, "gtid": until}, "reader")
    return keys.found, keys, last, sending.asked


def changes() -> Log:
    """Return a log with three transactions of one server, one of another between them."""
    made = Log()
    made.transaction(5, table(), rows(WRITE, (1, "a"), (-2, None)), table("u"), rows(WRITE, (9, "u"), name="u"))
    made.transaction(3, table(), rows(UPDATE, (1, "a"), (1, "b"), (4, "x"), (5, "客")), source=OTHER)
    made.transaction(6, table(), rows(DELETE, (-2, None)))
    made.transaction(7, table(), rows(WRITE, (8, "later")))
    return made


def test_transactions_up_to_a_moment() -> None:
    """Keys of all transactions that had been executed are told, those behind belong to a later read."""
    found, keys, last, asked = collected(changes(), f"{SOURCE}:1-6,{OTHER}:1-3")
    assert found == {"1": False, "-2": True, "4": True, "5": False}
    assert last
    assert not keys.emptied
    # COM_BINLOG_DUMP_GTID with the set that was read: one server, one interval, its end is not part of it
    assert asked[4] == 0x1E
    assert SOURCE.bytes + (1).to_bytes(8, "little") + (1).to_bytes(8, "little") + (5).to_bytes(8, "little") in asked


def test_a_full_window_ends_behind_a_transaction() -> None:
    """What was passed is added to the set, so that a later read goes on behind it."""
    _, keys, last, _ = collected(changes(), f"{SOURCE}:1-7,{OTHER}:1-3", most=4)
    assert not last
    assert set(keys.at["gtid"].split(",")) == {f"{SOURCE}:1-5"}


def test_all_records_deleted_at_once() -> None:
    """A TRUNCATE is told, a table that is replaced is an error."""
    made = Log()
    made.statement(5, "TRUNCATE TABLE t")
    _, keys, last, _ = collected(made, f"{SOURCE}:1-5")
    assert keys.emptied
    assert last
    made.statement(6, "DROP TABLE t")
    with pytest.raises(Misconfigured, match="replaced"):
        collected(made, f"{SOURCE}:1-6")


@pytest.mark.parametrize(
    ("kind", "word"),
    [(log.COMPRESSED, "binlog_transaction_compression"), (log.TAGGED, "tags"), (log.ANONYMOUS, "gtid_mode")],
)
def test_what_may_hold_changes_is_not_passed_over(kind: int, word: str) -> None:
    """Compressed transactions, tagged and anonymous ones are errors; other new kinds of events are not."""
    made = Log()
    made.odd(37)
    made.transaction(5, table(), rows(WRITE, (1, "a")))
    assert collected(made, f"{SOURCE}:1-5")[0] == {"1": False}
    made.odd(kind)
    with pytest.raises(Misconfigured, match=word):
        collected(made, f"{SOURCE}:1-5")


def test_listening() -> None:
    """A stream tells which tables were changed."""
    connect: Any = iter((Connection(changes().packets), Connection([]))).__next__
    heard = mysql_listen.Heard("shop", ["t"], SINCE["gtid"], mariadb=False)
    told = list(mysql_listen.changed(connect, heard, 1))
    assert frozenset({"t"}) in told


GOOD = {
    "version": "8.4.3", "log_bin": "1", "binlog_format": "ROW", "binlog_row_metadata": "FULL", "gtid_mode": "ON",
    "binlog_order_commits": "ON", "binlog_transaction_compression": "OFF", "binlog_row_value_options": "",
}  # fmt: skip


def test_what_a_server_lacks() -> None:
    """Each setting that keeps MySQL's log from being read is named with its value."""
    assert list(checks.server(GOOD)) == []
    for name, value in (
        ("gtid_mode", "OFF"), ("binlog_order_commits", "OFF"), ("binlog_transaction_compression", "ON"),
        ("binlog_row_value_options", "PARTIAL_JSON"),
    ):  # fmt: skip
        (told,) = checks.server({**GOOD, name: value})
        assert name in str(told)
    (told,) = checks.server({**GOOD, "version": "5.7.44"})
    assert "from version 8.0 on" in str(told)


class Server:
    """What a MySQL server answers, as its manual says."""

    flavor = SimpleNamespace(driver_errors=())

    def __init__(self, version: str, state: tuple[int, int, int, float]) -> None:
        self.version, self.state = version, state

    @contextlib.contextmanager
    def session(self) -> Iterator[Server]:
        yield self

    def exec_driver_sql(self, text: str, _values: Any = None) -> Any:
        status = "SHOW BINARY LOG STATUS" if self.version >= "8.2" else "SHOW MASTER STATUS"
        answers: dict[str, Any] = {
            "SELECT @@GLOBAL.gtid_executed": f"{SOURCE}:1-6,\n{OTHER}:1-3", "SELECT VERSION()": self.version,
            status: ("binlog.000008", 300, "", "", f"{SOURCE}:1-7"),
        }  # fmt: skip
        if text == "SHOW BINARY LOGS":
            return [("binlog.000007", 1000), ("binlog.000008", 300)]
        answer = self.state if text.startswith("SELECT GTID_SUBSET") else answers[text]
        return SimpleNamespace(scalar_one=lambda: answer, one=lambda: answer)


@pytest.mark.parametrize("version", ["8.0.36-28", "8.4.3"])
def test_where_a_log_stands(version: str) -> None:
    """The end is the set of what was executed; how much is behind, and whether what is missing is still there."""
    server: Any = Server(version, (1, 1, 0, 50.0))
    kept: Any = MySQLLog(server, "t", Capture("x", "id"), lambda: server)
    end = kept.end()
    assert (end["gtid"], end["file"], end["pos"]) == (f"{SOURCE}:1-6,{OTHER}:1-3", "binlog.000008", 300)
    since = {**SINCE, "pos": 400, "time": 40.0}
    state = kept.state(since)
    assert (state.lost, state.behind, state.seconds) == (None, 900, 10.0)
    for told, behind, word in (
        ((1, 1, 1, 50.0), 0, None),
        ((0, 1, 0, 50.0), 0, "ends"),
        ((1, 0, 0, 50.0), 0, "thrown"),
    ):
        kept._database.state = told
        state = kept.state(since)
        assert state.behind == behind
        assert (word or "None") in str(state.lost)
