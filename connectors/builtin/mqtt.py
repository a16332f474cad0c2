"""The connector `mqtt`: topics of MQTT 5 brokers such as Mosquitto, EMQX and HiveMQ."""

from __future__ import annotations

from connectors.builtin.mqtt_broker import MqttBroker, TopicObject
from connectors.builtin.queue import Queue
from connectors.builtin.queue_message import Broker
from connectors.builtin.queue_network import TLS_SETTINGS, server_settings
from connectors.builtin.queue_options import CAPABILITIES, CATEGORY, PAYLOAD_SETTINGS, objects_setting
from connectors.spi import ConnectorSpec, Setting, SettingKind
from rules.text import N_


class Mqtt(Queue[TopicObject]):
    """Topics of one broker."""

    spec = ConnectorSpec(
        name="mqtt",
        label="MQTT",
        category=CATEGORY,
        summary=N_("Reads topics of an MQTT 5 broker that keeps messages for Syncline, and publishes to topics."),
        capabilities=CAPABILITIES,
        settings=(
            *server_settings(1883),
            Setting("client_id", N_("Name of the session"), required=True, placeholder="syncline-crm",
                    help=N_("The broker keeps messages under this name while nobody reads them. No other connection may"
                            " have the same.")),
            objects_setting(
                '["people/+", {"name": "orders", "topic": "shop/orders/#", "send_to": "shop/orders/{key}"}]',
                N_("The topics: names, or descriptions that also say where to publish, and the fields."),
                required=True,
            ),
            *PAYLOAD_SETTINGS,
            Setting("keep", N_("Days that the broker keeps messages"), SettingKind.INTEGER, default=7, minimum=1,
                    maximum=3650, advanced=True,
                    help=N_("If nobody reads for so long, the session ends, and messages are lost until it is opened"
                            " again.")),
            Setting("quiet", N_("Seconds without a message"), SettingKind.INTEGER, default=2, minimum=1, maximum=60,
                    advanced=True,
                    help=N_("A run ends behind them where the broker does not tell where its messages end.")),
            *TLS_SETTINGS,
        ),
    )  # fmt: skip
    described = TopicObject

    def connected(self) -> Broker[TopicObject]:
        """Return the broker that the settings name."""
        return MqttBroker(self.settings, self.context, self.named)
