"""`syncline logs` without a system that keeps one."""

from __future__ import annotations

from tests.cli.conftest import CommandLine


def test_nothing_is_kept(syncline: CommandLine) -> None:
    """An empty list says so, and what is not kept cannot be given up."""
    syncline.ok("init")
    assert syncline.ok("logs").out.strip() == "No system keeps a log for a rule."
    assert syncline.ok("logs", "--json").out.strip() == "[]"
    answer = syncline("logs", "drop", "customers")
    assert answer.code != 0
    assert "No system keeps a log for 'customers'." in answer.err
