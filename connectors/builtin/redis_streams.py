"""The connector `redis_streams`: streams of Redis and Valkey, read by a consumer group."""

from __future__ import annotations

from connectors.builtin.queue import Queue
from connectors.builtin.queue_message import Broker
from connectors.builtin.queue_network import TLS_SETTINGS, server_settings
from connectors.builtin.queue_options import CAPABILITIES, CATEGORY, PAYLOAD_SETTINGS, objects_setting
from connectors.builtin.redis_streams_broker import StreamBroker, StreamObject
from connectors.spi import ConnectorSpec, Setting, SettingKind
from rules.text import N_


class RedisStreams(Queue[StreamObject]):
    """Streams of one database."""

    spec = ConnectorSpec(
        name="redis_streams",
        label=N_("Redis Streams, Valkey"),
        category=CATEGORY,
        summary=N_("Reads streams of Redis or Valkey as a consumer group, and adds entries to them."),
        capabilities=CAPABILITIES,
        settings=(
            *server_settings(6379),
            Setting("database", N_("Number of the database"), SettingKind.INTEGER, default=0, minimum=0, maximum=1000),
            Setting("group", N_("Consumer group"), default="syncline",
                    help=N_("What this group has acknowledged is not read again. Each connection that shall read all"
                            " messages needs a group of its own.")),
            *PAYLOAD_SETTINGS,
            Setting("payload_field", N_("Field with the message"), default="payload", advanced=True,
                    help=N_("The field of an entry that holds the message. Of an entry without it, the fields"
                            " themselves are the record.")),
            Setting("key_field", N_("Field with the key"), default="key", advanced=True,
                    help=N_("The field of an entry that holds the key of its record.")),
            Setting("claim_after", N_("Seconds until messages of others are taken over"), SettingKind.INTEGER,
                    default=600, minimum=1, maximum=1_000_000, advanced=True,
                    help=N_("Entries that another consumer of the group took and has not acknowledged for so long.")),
            objects_setting(
                '[{"name": "customers", "max_length": 100000}]',
                N_("Further streams, and descriptions of streams: their fields, how long they may get."),
                required=False,
            ),
            *TLS_SETTINGS,
        ),
    )  # fmt: skip
    described = StreamObject

    def connected(self) -> Broker[StreamObject]:
        """Return the server that the settings name."""
        return StreamBroker(self.settings, self.context, self.named)
