"""The connector `amqp`: queues of RabbitMQ and other brokers that speak AMQP 0-9-1."""

from __future__ import annotations

from connectors.builtin.amqp_broker import AmqpBroker, AmqpObject
from connectors.builtin.queue import Queue
from connectors.builtin.queue_message import Broker
from connectors.builtin.queue_network import TLS_SETTINGS, server_settings
from connectors.builtin.queue_options import CAPABILITIES, CATEGORY, PAYLOAD_SETTINGS, objects_setting
from connectors.spi import ConnectorSpec, Setting
from rules.text import N_


class Amqp(Queue[AmqpObject]):
    """Queues of one virtual host."""

    spec = ConnectorSpec(
        name="amqp",
        label=N_("RabbitMQ (AMQP)"),
        category=CATEGORY,
        summary=N_("Reads queues of RabbitMQ and sends messages to exchanges; nothing is taken before it is durable."),
        capabilities=CAPABILITIES,
        settings=(
            *server_settings(5672),
            Setting("virtual_host", N_("Virtual host"), default="/"),
            objects_setting(
                '["orders", {"name": "customers", "exchange": "crm", "routing_key": "customers"}]',
                N_("The queues: names, or descriptions that also say which exchange to write to, and the fields."),
                required=True,
            ),
            *PAYLOAD_SETTINGS,
            Setting("key_header", N_("Header with the key"), default="key", advanced=True,
                    help=N_("The header of a message that holds the key of its record.")),
            *TLS_SETTINGS,
        ),
    )  # fmt: skip
    described = AmqpObject

    def connected(self) -> Broker[AmqpObject]:
        """Return the broker that the settings name."""
        return AmqpBroker(self.settings, self.context, self.named)
