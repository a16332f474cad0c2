"""The settings that connections to databases share."""

from __future__ import annotations

from connectors.spi import Capabilities, Setting, SettingKind
from rules.text import N_

CATEGORY = N_("Databases")

CAPABILITIES = Capabilities(
    create=True,
    update=True,
    delete=True,
    cursor=True,
    lookup=True,
    transactions=True,
    generates_keys=True,
    concurrent=True,
    filter=True,
    ranges=True,
)

OWN_TABLE_SETTING = Setting(
    "own_table",
    N_("Syncline may keep a small table there"),
    SettingKind.BOOLEAN,
    N_("One row per rule, which prevents double writing after a crash. Without it, a record may be written twice."),
    default=True,
    advanced=True,
)


def server_settings(port: int) -> tuple[Setting, ...]:
    """Return the settings of a database that is reached over the network."""
    return (
        Setting(
            "host", N_("Host"), help=N_("Name or address of the server."), required=True, placeholder="db.example.com"
        ),
        Setting("port", N_("Port"), SettingKind.INTEGER, default=port, minimum=1, maximum=65535),
        Setting("database", N_("Database"), required=True),
        Setting("user", N_("User"), help=N_("A user with no more rights than the rules need."), required=True),
        Setting("password", N_("Password"), SettingKind.SECRET),
    )


CA_SETTING = Setting(
    "tls_ca",
    N_("Certificate authority"),
    SettingKind.MULTILINE,
    N_("The PEM text of the authority that signed the server's certificate; empty for the well-known ones."),
    advanced=True,
    when=("tls", ("verify",)),
    placeholder="-----BEGIN CERTIFICATE-----",
)

TLS_SETTINGS = (
    Setting(
        "tls",
        N_("Encryption"),
        SettingKind.CHOICE,
        default="prefer",
        choices=(
            ("prefer", N_("If the server can")),
            ("require", N_("Always")),
            ("verify", N_("Always, and check the server's certificate")),
            ("disable", N_("Never")),
        ),
        advanced=True,
    ),
    CA_SETTING,
)

VERIFIED_TLS_SETTING = Setting(
    "tls",
    N_("Encryption"),
    SettingKind.CHOICE,
    N_("Without it, the password can be read on the way."),
    default="verify",
    choices=(("verify", N_("Always, and check the server's certificate")), ("disable", N_("Never"))),
    advanced=True,
)
"""For drivers that look at the certificate whenever they encrypt."""

OPTIONS_SETTING = Setting(
    "options",
    N_("Session settings"),
    SettingKind.JSON,
    N_("Settings of the database session, by name."),
    advanced=True,
    placeholder='{"statement_timeout": "60s"}',
)
