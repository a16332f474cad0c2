"""What connectors can do and cannot, in words, and other words under which people look for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.spi import Capabilities
from rules.text import N_, Message, msg


@dataclass(frozen=True)
class Ability:
    """A capability: what a chip says, and what it means."""

    name: str
    label: str
    meaning: str

    def held(self, able: Capabilities) -> bool:
        """Tell whether a connector has it."""
        return bool(getattr(able, self.name))


ABILITIES: tuple[Ability, ...] = (
    Ability("read", N_("reads"), N_("Records are read page by page.")),
    Ability("create", N_("creates"), N_("New records are written.")),
    Ability("update", N_("changes"), N_("Records that are there are changed.")),
    Ability("delete", N_("deletes"), N_("Records are deleted where a rule says so.")),
    Ability(
        "cursor", N_("finds what changed"), N_("A run reads only records whose time or number of change has grown.")
    ),
    Ability(
        "capture", N_("follows the log of changes"), N_("A run is fed by the system's own log, deletions included.")
    ),
    Ability(
        "messages",
        N_("sends and receives messages"),
        N_("A message is taken away only when what became of it is safe."),
    ),
    Ability("deletions", N_("tells of deletions"), N_("The system names the records that were deleted.")),
    Ability("lookup", N_("finds by key"), N_("Single records are found by their keys.")),
    Ability("filter", N_("filters in the system"), N_("Records that a rule does not want are not sent at all.")),
    Ability("transactions", N_("writes all or nothing"), N_("A part of a run is written as a whole, and never twice.")),
    Ability("generates_keys", N_("makes keys"), N_("The system gives new records their keys, which rules learn.")),
    Ability("concurrent", N_("works in parallel"), N_("Several workers can use the system at a time.")),
)

EVIDENCE: tuple[str, ...] = (
    N_("CSV, JSON, JSON lines, XML, Excel and Parquet files"),
    N_("SAP CAP, OData 2 and 4"),
    N_("Tansu, an independent broker of Kafka's protocol"),
    N_("a tap of the tests that has every fault"),
    N_("a target of the tests that has every fault"),
    N_("a web server of the tests that refuses what it does not know"),
    N_("declarative manifests"),
    N_("files in a folder"),
    N_("its SQL and its errors"),
    N_("scim2-server, an independent one"),
    N_("tap-jsonl 0.3.1, built with Meltano's SDK"),
    N_("target-csv 0.5.0 of Meltano"),
)
"""What built-in connectors were tested against, where it is not just a name: words of the results in quality.json."""

_LIMITS: tuple[tuple[str, Message], ...] = (
    ("create", msg("No records are created in it.")),
    ("update", msg("No records are changed in it.")),
    ("delete", msg("No records are deleted in it.")),
    ("lookup", msg("No record can be looked up by its key, so it cannot be one side of a two-way rule.")),
)


def limits(able: Capabilities) -> list[Message]:
    """Return what a connector cannot do, as sentences."""
    if not (able.create or able.update or able.delete):
        found = [msg("It is read only."), *(text for name, text in _LIMITS[3:] if not getattr(able, name))]
    else:
        shown = _LIMITS[3:] if able.messages else _LIMITS
        found = [] if able.read else [msg("Nothing is read from it.")]
        found += [text for name, text in shown if not getattr(able, name)]
    if not (able.cursor or able.capture or able.messages):
        found.append(msg("Every run reads all records: it has no way to tell what changed."))
    if not (able.deletions or able.capture or able.messages):
        found.append(msg("Deleted records are noticed only by a complete read."))
    if (able.create or able.update) and not able.transactions:
        found.append(msg("Records are written one by one: after a crash, some of a part may be there and some not."))
    return found


ALIASES: Mapping[str, str] = {
    "postgresql": "postgres pg timescale 数据库 sql",
    "mysql": "mariadb 数据库 sql",
    "sqlite": "数据库 sql file",
    "mssql": "sql server microsoft 数据库",
    "oracle": "数据库 sql 甲骨文",
    "files": "csv json xml excel xlsx parquet zip spreadsheet 表格 文件 sftp ftp s3 webdav",
    "file_drop": "csv json xml excel inbox outbox hot folder 文件 收件 sftp ftp s3 webdav",
    "rest": "http api json openapi swagger graphql web 接口",
    "soap": "wsdl xml web service 接口",
    "odata": "sap dynamics 接口",
    "scim": "users groups people 用户",
    "salesforce": "crm sfdc bulk 客户",
    "ldap": "active directory ad 目录 用户",
    "amqp": "rabbitmq queue 消息 队列",
    "redis_streams": "valkey stream 消息 队列",
    "mqtt": "mosquitto iot 消息 物联网",
    "kafka": "redpanda stream 消息 队列",
    "singer_tap": "meltano tap extractor etl",
    "singer_target": "meltano target loader etl",
}
"""Other words for a connector, beside its own label and summary."""
