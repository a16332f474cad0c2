"""The connector `kafka`: topics of Apache Kafka and of brokers that speak its protocol."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from connectors.builtin.kafka_avro import REGISTRY_SETTINGS, Avro
from connectors.builtin.kafka_broker import KafkaBroker, TopicObject
from connectors.builtin.queue import Queue
from connectors.builtin.queue_message import Broker
from connectors.builtin.queue_network import TLS_SETTINGS, server_settings
from connectors.builtin.queue_options import CAPABILITIES, CATEGORY, PAYLOAD_SETTINGS, PayloadOptions, objects_setting
from connectors.spi import ConnectorSpec, Setting, SettingKind
from rules.text import N_

FORMAT = PAYLOAD_SETTINGS[0]


class Kafka(Queue[TopicObject]):
    """Topics of one cluster."""

    spec = ConnectorSpec(
        name="kafka",
        label="Kafka",
        category=CATEGORY,
        summary=N_("Reads topics of Kafka as a consumer group, and writes to topics, each message once."),
        capabilities=CAPABILITIES,
        settings=(
            *server_settings(9092),
            Setting("mechanism", N_("Way to sign in"), SettingKind.CHOICE, default="PLAIN", advanced=True,
                    choices=(("PLAIN", "PLAIN"), ("SCRAM-SHA-256", "SCRAM-SHA-256"),
                             ("SCRAM-SHA-512", "SCRAM-SHA-512"))),
            Setting("group", N_("Consumer group"), default="syncline",
                    help=N_("What this group has acknowledged is not read again. Each connection that shall read all"
                            " messages needs a group of its own.")),
            replace(FORMAT, choices=(*FORMAT.choices, ("avro", N_("Avro with a schema registry")))),
            *REGISTRY_SETTINGS,
            *PAYLOAD_SETTINGS[1:],
            objects_setting(
                '[{"name": "customers", "fields": [{"name": "id", "type": "integer"}]}]',
                N_("Descriptions of topics: their key and fields."),
                required=False,
            ),
            *TLS_SETTINGS,
        ),
    )  # fmt: skip
    described = TopicObject

    def connected(self) -> Broker[TopicObject]:
        """Return the cluster that the settings name."""
        return KafkaBroker(self.settings, self.context, self.named, self._avro)

    @cached_property
    def options(self) -> PayloadOptions:
        """Return how messages are read and written; Avro is read by way of JSON."""
        if self._avro is None:
            return super().options
        found = PayloadOptions.of({**self.settings, "format": "json"})
        return replace(found, as_json=self._avro.as_json)

    @cached_property
    def _avro(self) -> Avro | None:
        if self.settings.get("format") != "avro":
            return None
        return Avro(self.settings, self.context, self.named)

    def close(self) -> None:
        """Close all connections."""
        super().close()
        if self._avro is not None:
            self._avro.close()
