"""What tests show about the built-in connectors beside the laws of the suite, and what they are tested against.

`tests/connectors/conftest.py` marks the tests that are named here; `make quality` writes down those that passed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from connectors import registry

ROOT = Path(__file__).resolve().parents[2]

SYSTEMS: Mapping[str, tuple[str, str]] = {
    "postgresql": ("real_system", "PostgreSQL 18"),
    "mysql": ("real_system", "MariaDB 10.11"),
    "sqlite": ("real_system", "SQLite 3"),
    "files": ("real_system", "CSV, JSON, JSON lines, XML, Excel and Parquet files"),
    "file_drop": ("real_system", "files in a folder"),
    "rest": ("rebuilt_system", "a web server of the tests that refuses what it does not know"),
    "soap": ("real_system", "spyne 2.14"),
    "odata": ("real_system", "SAP CAP, OData 2 and 4"),
    "amqp": ("real_system", "RabbitMQ 3.10"),
    "redis_streams": ("real_system", "Valkey 9.1"),
    "mqtt": ("real_system", "Eclipse Mosquitto 2.0"),
    "kafka": ("real_system", "Tansu, an independent broker of Kafka's protocol"),
    "ldap": ("real_system", "OpenLDAP 2.5"),
    "scim": ("real_system", "scim2-server, an independent one"),
    "mail": ("real_system", "Dovecot 2.3"),
    "dav": ("real_system", "Radicale 3.9"),
    "singer_tap": ("rebuilt_system", "a tap of the tests that has every fault"),
    "singer_target": ("rebuilt_system", "a target of the tests that has every fault"),
}
"""Connector -> what its conformance class is tested against: the system itself, or one that the tests imitate."""

_CONNECTORS = "docs/connectors.md"
PAGES: Mapping[str, str] = {
    "postgresql": f"{_CONNECTORS}#databases",
    "mysql": f"{_CONNECTORS}#databases",
    "sqlite": f"{_CONNECTORS}#databases",
    "files": f"{_CONNECTORS}#files",
    "file_drop": f"{_CONNECTORS}#files",
    "rest": f"{_CONNECTORS}#rest-with-json-or-xml",
    "graphql": f"{_CONNECTORS}#graphql",
    "soap": f"{_CONNECTORS}#soap",
    "amqp": f"{_CONNECTORS}#message-queues",
    "redis_streams": f"{_CONNECTORS}#message-queues",
    "mqtt": f"{_CONNECTORS}#message-queues",
    "kafka": f"{_CONNECTORS}#message-queues",
    "odata": f"{_CONNECTORS}#odata",
    "ldap": f"{_CONNECTORS}#ldap-and-active-directory",
    "scim": f"{_CONNECTORS}#scim",
    "mail": f"{_CONNECTORS}#mailboxes",
    "mail_out": f"{_CONNECTORS}#outgoing-mail",
    "dav": f"{_CONNECTORS}#calendars-and-address-books",
    "singer_tap": f"{_CONNECTORS}#taps-and-targets-of-singer",
    "singer_target": f"{_CONNECTORS}#taps-and-targets-of-singer",
}
"""Connector -> where its documentation is; others have a place on the page."""

_BENCHMARK = "docs/benchmarks.md#workload-w1"
_HERE = "tests/connectors"

SHOWN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "postgresql": {
        "bounded_memory": (f"{_HERE}/test_memory.py::test_postgresql",),
        "faults": (f"{_HERE}/test_postgresql.py::test_a_lost_connection_can_be_tried_again",),
        "benchmark": (_BENCHMARK,),
    },
    "mysql": {
        "bounded_memory": (f"{_HERE}/test_memory.py::test_mysql",),
        "faults": (f"{_HERE}/test_mysql.py::test_a_lost_connection_can_be_tried_again",),
        "benchmark": (_BENCHMARK,),
    },
    "sqlite": {
        "bounded_memory": (f"{_HERE}/test_memory.py::test_sqlite",),
        "faults": (f"{_HERE}/test_sqlite.py::test_a_locked_file_is_tried_again",),
        "benchmark": (_BENCHMARK,),
    },
    "files": {
        "bounded_memory": (f"{_HERE}/test_memory.py::test_files",),
        "faults": (
            f"{_HERE}/test_files_journal.py::test_a_crash_at_any_step_loses_and_doubles_nothing",
            f"{_HERE}/test_files_journal.py::test_a_killed_writer_leaves_whole_chunks",
        ),
        "benchmark": ("benchmarks/files.py",),
    },
    "file_drop": {
        "faults": (
            f"{_HERE}/test_files_drop.py::test_a_stop_behind_any_page",
            f"{_HERE}/test_files_drop.py::test_a_crash_before_a_file_is_moved",
        ),
    },
    "rest": {
        "bounded_memory": (f"{_HERE}/test_memory.py::test_rest",),
        "faults": (
            f"{_HERE}/test_rest_writes.py::test_a_creation_whose_answer_is_lost",
            f"{_HERE}/test_rest_writes.py::test_a_batch_whose_answer_is_lost",
            f"{_HERE}/test_rest_tokens.py::test_an_expired_token_is_renewed_once",
        ),
        "benchmark": ("benchmarks/rest.py",),
    },
    "graphql": {"faults": (f"{_HERE}/test_graphql.py::test_errors_of_the_whole_answer",)},
    "soap": {
        "bounded_memory": (f"{_HERE}/test_soap_odd.py::test_a_long_list_takes_little_memory",),
        "faults": (f"{_HERE}/test_soap_lists.py::test_answers_that_are_wrong",),
        "benchmark": ("benchmarks/soap.py",),
    },
    "ldap": {
        "faults": (f"{_HERE}/test_ldap_protocol.py::test_a_list_that_breaks_off_is_not_asked_for_again_and_again",),
    },
    "redis_streams": {"bounded_memory": (f"{_HERE}/test_memory.py::test_redis_streams",)},
    "amqp": {
        "bounded_memory": (f"{_HERE}/test_amqp.py::test_large_messages_are_read_in_small_parts",),
        "faults": (f"{_HERE}/test_amqp.py::test_a_broker_that_is_killed_gives_all_again",),
    },
    "mqtt": {"faults": (f"{_HERE}/test_mqtt.py::test_a_broker_that_is_killed",)},
    "kafka": {"faults": (f"{_HERE}/test_kafka.py::test_a_broker_that_is_gone",)},
    "mail": {
        "bounded_memory": (f"{_HERE}/test_mail.py::test_large_mails_take_little_memory",),
        "faults": (f"{_HERE}/test_mail.py::test_each_fault_of_a_server_has_its_sentence",),
    },
    "mail_out": {
        "faults": (
            f"{_HERE}/test_mail_out.py::test_a_lost_answer_repeats_the_same_number",
            f"{_HERE}/test_mail_out.py::test_a_mail_that_is_taken_later_holds_nothing_up",
        ),
    },
    "dav": {
        "bounded_memory": (f"{_HERE}/test_dav.py::test_a_long_list_takes_little_memory",),
        "faults": (
            f"{_HERE}/test_dav.py::test_nobodys_change_is_lost",
            f"{_HERE}/test_dav.py::test_lists_that_end_too_early_are_told",
        ),
    },
    "singer_tap": {
        "bounded_memory": (f"{_HERE}/test_memory.py::test_singer_tap",),
        "faults": (
            f"{_HERE}/test_singer_tap.py::test_a_tap_that_does_not_come_to_its_end_is_no_complete_read",
            f"{_HERE}/test_singer_tap.py::test_a_tap_that_takes_too_long_is_ended",
        ),
    },
}
"""Connector -> criterion -> the tests that show it, or the page of a benchmark."""


WITHOUT: Mapping[str, tuple[str, str]] = {
    "mssql": (f"{_HERE}/test_mssql_oracle.py", "its SQL and its errors"),
    "oracle": (f"{_HERE}/test_mssql_oracle.py", "its SQL and its errors"),
}
"""Connector -> the tests of one that was never tested against a system, and what they test."""


def declared() -> Iterator[tuple[str, str, str]]:
    """Yield (connector, criterion, detail) of what is not shown by a test of its own."""
    for name, (criterion, detail) in SYSTEMS.items():
        yield name, criterion, detail
    text = (ROOT / _CONNECTORS).read_text("utf-8")
    for name in registry.BUILTIN:
        if f"`{name}`" in text:
            yield name, "documented", PAGES.get(name, _CONNECTORS)
    for name, criteria in SHOWN.items():
        for criterion, details in criteria.items():
            yield from ((name, criterion, detail) for detail in details if "::" not in detail)


def tests() -> Iterator[tuple[str, str, str]]:
    """Yield (connector, criterion, test)."""
    for name, criteria in SHOWN.items():
        for criterion, details in criteria.items():
            yield from ((name, criterion, detail) for detail in details if "::" in detail)


def without(test: str) -> Iterator[tuple[str, str, str]]:
    """Yield (connector, criterion, detail) of what a test says of connectors that no system was there for."""
    for name, (module, what) in WITHOUT.items():
        if test.startswith(f"{module}::"):
            yield name, "no_system", what


def exists(test: str) -> bool:
    """Tell whether there is a test of that name."""
    path, _, function = test.partition("::")
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in ast.walk(tree))
