"""The connector `kafka`: topics of Apache Kafka and of brokers that speak its protocol."""

from __future__ import annotations

from connectors.builtin.kafka_broker import KafkaBroker, TopicObject
from connectors.builtin.queue import Queue
from connectors.builtin.queue_message import Broker
from connectors.builtin.queue_network import TLS_SETTINGS, server_settings
from connectors.builtin.queue_options import CAPABILITIES, CATEGORY, PAYLOAD_SETTINGS, objects_setting
from connectors.spi import ConnectorSpec, Setting, SettingKind
from rules.text import N_


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
            *PAYLOAD_SETTINGS,
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
        return KafkaBroker(self.settings, self.context, self.named)
