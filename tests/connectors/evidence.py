"""What tests show about the built-in connectors beside the laws of the suite, and what they are tested against.

`tests/connectors/conftest.py` marks the tests that are named here; `make quality` writes down those that passed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SYSTEMS: Mapping[str, tuple[str, str]] = {
    "postgresql": ("real_system", "PostgreSQL 18"),
    "mysql": ("real_system", "MariaDB 10.11"),
    "sqlite": ("real_system", "SQLite 3"),
    "files": ("real_system", "CSV, JSON, JSON lines, XML and Excel files"),
    "rest": ("rebuilt_system", "a web server of the tests that refuses what it does not know"),
    "amqp": ("real_system", "RabbitMQ 3.10"),
    "redis_streams": ("real_system", "Valkey 9.1"),
    "mqtt": ("real_system", "Eclipse Mosquitto 2"),
    "kafka": ("real_system", "Tansu, an independent broker of Kafka's protocol"),
}
"""Connector -> what its conformance class is tested against: the system itself, or one that the tests imitate."""

PAGES: Mapping[str, str] = {
    "postgresql": "docs/connectors.md#databases",
    "mysql": "docs/connectors.md#databases",
    "sqlite": "docs/connectors.md#databases",
    "files": "docs/connectors.md#files",
    "rest": "docs/connectors.md#rest-with-json",
    "amqp": "docs/connectors.md#rabbitmq",
    "redis_streams": "docs/connectors.md#redis-and-valkey",
    "mqtt": "docs/connectors.md#mqtt",
    "kafka": "docs/connectors.md#kafka",
}
"""Connector -> where its documentation is."""

_BENCHMARK = "docs/benchmarks.md#workload-w1"

SHOWN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "postgresql": {
        "faults": ("tests/connectors/test_postgresql.py::test_a_lost_connection_can_be_tried_again",),
        "benchmark": (_BENCHMARK,),
    },
    "mysql": {
        "faults": ("tests/connectors/test_mysql.py::test_a_lost_connection_can_be_tried_again",),
        "benchmark": (_BENCHMARK,),
    },
    "sqlite": {"benchmark": (_BENCHMARK,)},
    "files": {
        "faults": (
            "tests/connectors/test_files_journal.py::test_a_crash_at_any_step_loses_and_doubles_nothing",
            "tests/connectors/test_files_journal.py::test_a_killed_writer_leaves_whole_chunks",
        ),
    },
    "amqp": {
        "bounded_memory": ("tests/connectors/test_amqp.py::test_large_messages_are_read_in_small_parts",),
        "faults": ("tests/connectors/test_amqp.py::test_a_broker_that_is_killed_gives_all_again",),
    },
    "mqtt": {"faults": ("tests/connectors/test_mqtt.py::test_a_broker_that_is_killed",)},
    "kafka": {"faults": ("tests/connectors/test_kafka.py::test_a_broker_that_is_gone",)},
}
"""Connector -> criterion -> the tests that show it, or the page of a benchmark."""


def declared() -> Iterator[tuple[str, str, str]]:
    """Yield (connector, criterion, detail) of what is not shown by a test of its own."""
    for name, (criterion, detail) in SYSTEMS.items():
        yield name, criterion, detail
    for name, page in PAGES.items():
        yield name, "documented", page
    for name, criteria in SHOWN.items():
        for criterion, details in criteria.items():
            yield from ((name, criterion, detail) for detail in details if detail.startswith("docs/"))


def tests() -> Iterator[tuple[str, str, str]]:
    """Yield (connector, criterion, test)."""
    for name, criteria in SHOWN.items():
        for criterion, details in criteria.items():
            yield from ((name, criterion, detail) for detail in details if not detail.startswith("docs/"))


def exists(test: str) -> bool:
    """Tell whether there is a test of that name."""
    path, _, function = test.partition("::")
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in ast.walk(tree))
