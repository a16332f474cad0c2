"""Settings, read once from environment variables `SYNCLINE_*`; nothing else touches the environment.

docs/configuration.md lists them all; a test compares it with `SETTINGS`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from webapp.setting_audit import AUDIT_LOG, AuditLog
from webapp.setting_sign_in import SIGN_IN, SignIn, lacking
from webapp.setting_traces import TRACES, Traces
from webapp.setting_values import (
    Variable,
    boolean,
    choice,
    integer,
    names,
    networks,
    paths,
    seconds,
    several,
    timezone,
    url,
)

MASTER_KEY = "SYNCLINE_MASTER_KEY"
METRICS_TOKEN = "SYNCLINE_METRICS_TOKEN"  # noqa: S105 - the name of a variable
KEY_LOGIN = "SYNCLINE_KEY_LOGIN"
OIDC_SECRET = "SYNCLINE_OIDC_CLIENT_SECRET"  # noqa: S105 - the name of a variable
LDAP_PASSWORD = "SYNCLINE_LDAP_PASSWORD"  # noqa: S105 - the name of a variable
SMTP_PASSWORD = "SYNCLINE_SMTP_PASSWORD"  # noqa: S105 - the name of a variable
OTLP_HEADERS = "SYNCLINE_OTLP_HEADERS"
LONGEST_SOCKET_PATH = 100  # the kernel takes 107 bytes on Linux, 103 on macOS
LOOPBACK_AND_PRIVATE = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


class SettingError(ValueError):
    """A setting has a value that cannot be used; the text names the setting and says what to do."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name


@dataclass(frozen=True)
class Settings(AuditLog, SignIn, Traces):
    """The settings of one process; `from_environment` builds them."""

    data: Path
    host: str
    port: int
    database_url: str
    database_pool: int
    redis_url: str
    profile: str
    file_roots: tuple[Path, ...]
    egress_allow: tuple[str, ...]
    egress_public: bool
    workers: int
    web_threads: int
    drain_seconds: int
    lease_seconds: float
    language: str
    timezone: str
    log_level: str
    log_format: str
    secure_cookies: bool
    trusted_hosts: tuple[str, ...]
    trusted_proxies: int
    requests_per_minute: int
    key_file: Path
    key_provider: tuple[str, ...]
    key_service: str
    key_name: str
    page_size: int
    smtp_url: str
    mail_from: str
    console_url: str
    event_days: int
    hook_bytes: int
    plan_days: int

    @property
    def embedded_redis(self) -> bool:
        """Tell whether we start a Redis of our own."""
        return not self.redis_url

    @property
    def redis_socket(self) -> Path:
        """Return the socket of the embedded Redis; not in the data folder where that would make its path too long."""
        path = self.data / "run" / "redis.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
            return path
        mark = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"syncline-{os.getuid()}-{mark}" / "redis.sock"

    @property
    def redis(self) -> str:
        """Return the URL of the Redis in use."""
        return self.redis_url or f"unix://{quote(str(self.redis_socket))}"


SETTINGS: tuple[Variable, ...] = (
    Variable(
        "SYNCLINE_DATA",
        "data",
        "Data folder: database, keys, logs, embedded Redis.",
        lambda t: Path(t).expanduser().resolve(),
    ),
    Variable("SYNCLINE_HOST", "127.0.0.1", "Address that the console listens on.", str),
    Variable("SYNCLINE_PORT", "8080", "Port that the console listens on.", integer(1, 65535)),
    Variable(
        "SYNCLINE_DATABASE_URL",
        "",
        "Metadata database: empty for SQLite in the data folder, or postgresql://user:password@host/name.",
        url("sqlite", "postgresql"),
    ),
    Variable(
        "SYNCLINE_DATABASE_POOL",
        "10",
        "Connections to PostgreSQL that a process keeps at the most; it opens as many again while all are at work. "
        "The console needs about as many as it has threads, each other process about four.",
        integer(1, 200),
    ),
    Variable(
        "SYNCLINE_REDIS_URL",
        "",
        "Redis: empty for the embedded one, or its address: redis://user:password@host:6379/0, rediss:// where it is "
        "encrypted, unix://, or redis+sentinel://host1:26379,host2:26379,host3:26379/NAME for the one that Sentinels "
        "call the master.",
        url("redis", "rediss", "unix"),
    ),
    Variable(
        "SYNCLINE_PROFILE",
        "evaluation",
        "`evaluation` or `production`; production allows no private network and no folder by default "
        "and wants secure cookies.",
        choice("evaluation", "production"),
    ),
    Variable(
        "SYNCLINE_FILE_ROOTS",
        "",
        "Folders that connections may touch, separated by colons. Empty: the data folder in evaluation, "
        "none in production.",
        paths,
    ),
    Variable(
        "SYNCLINE_EGRESS_ALLOW",
        "",
        "Networks beside the public ones that connections may reach, separated by commas. "
        "Empty: loopback and private ones in evaluation, none in production.",
        networks,
    ),
    Variable(
        "SYNCLINE_EGRESS_PUBLIC",
        "yes",
        "Whether public addresses may be reached without being on that list: `yes` or `no`. With `no` also those of "
        "identity providers, key services, mail and log servers have to be on it.",
        boolean,
    ),
    Variable("SYNCLINE_WORKERS", "2", "Worker processes that `syncline up` starts.", integer(1, 64)),
    Variable("SYNCLINE_WEB_THREADS", "8", "Threads of the console.", integer(1, 128)),
    Variable(
        "SYNCLINE_DRAIN_SECONDS",
        "0",
        "Seconds that a console which is told to stop serves on while /readyz says that it is not ready, so that load "
        "balancers send nobody there; requests under way may take as long again.",
        integer(0, 300),
    ),
    Variable("SYNCLINE_LEASE_SECONDS", "10", "Seconds after which a silent worker loses its run.", seconds),
    Variable("SYNCLINE_LANGUAGE", "en", "Language before a user has chosen one: `en` or `zh`.", choice("en", "zh")),
    Variable("SYNCLINE_TIMEZONE", "UTC", "Time zone in which the console shows times.", timezone),
    Variable(
        "SYNCLINE_LOG_LEVEL",
        "info",
        "`debug`, `info`, `warning` or `error`.",
        choice("debug", "info", "warning", "error"),
    ),
    Variable("SYNCLINE_LOG_FORMAT", "text", "`text` or `json`.", choice("text", "json")),
    Variable(
        "SYNCLINE_SECURE_COOKIES",
        "",
        "Send cookies over HTTPS only. Empty: no in evaluation, yes in production.",
        lambda t: None if not t else boolean(t),
    ),
    Variable(
        "SYNCLINE_TRUSTED_HOSTS",
        "",
        "Names by which the console may be asked for, separated by commas; other requests are refused. Empty: any in "
        "evaluation; in production that of SYNCLINE_CONSOLE_URL and the machine's own, localhost.",
        names,
    ),
    Variable(
        "SYNCLINE_TRUSTED_PROXIES",
        "0",
        "How many proxies of yours stand before the console: so many entries of X-Forwarded-For are believed. "
        "With 0 all requests through a proxy seem to come from it.",
        integer(0, 5),
    ),
    Variable(
        "SYNCLINE_REQUESTS_PER_MINUTE",
        "1200",
        "Requests a minute that a user, a key, or an address that has not signed in may send; 0: any number.",
        integer(0, 1_000_000),
    ),
    *SIGN_IN,
    Variable(
        "SYNCLINE_KEY_FILE",
        "",
        "File that holds the key-encryption key. Empty: keys/master.key in the data folder.",
        lambda t: Path(t).expanduser().resolve() if t else None,
    ),
    Variable(
        "SYNCLINE_KEY_PROVIDER",
        "file",
        "Where the key-encryption key is: `file`; `environment` for the variable "
        "SYNCLINE_MASTER_KEY (32 bytes in base64; while rotating, the new key, a comma, the old key); `rsa` for a file "
        "with key pairs; `vault`, `aws`, `google` or `azure` for a key service, which the variable SYNCLINE_KEY_LOGIN "
        "signs in to. Two with a comma between, such as vault,file, to move from the second to the first.",
        several(choice("file", "environment", "rsa", "vault", "aws", "google", "azure")),
    ),
    Variable(
        "SYNCLINE_KEY_SERVICE",
        "",
        "Address of the key service, such as https://vault.example.com:8200 or https://NAME.vault.azure.net. Empty for "
        "AWS and Google: their own.",
        url("https", "http"),
    ),
    Variable(
        "SYNCLINE_KEY_NAME",
        "",
        "Name of the key in the key service: transit/NAME, arn:aws:kms:REGION:ACCOUNT:alias/NAME, "
        "projects/P/locations/L/keyRings/R/cryptoKeys/NAME, or the name alone in Azure Key Vault.",
        str,
    ),
    Variable(
        "SYNCLINE_PAGE_SIZE",
        "50000",
        "Records that a run reads, decides and writes at a time, at the most; fewer if they are large.",
        integer(1, 100_000),
    ),
    Variable(
        "SYNCLINE_SMTP_URL",
        "",
        "Mail server for e-mails of event rules and notices to users: smtp://user@host:587 (encrypted where the server "
        "can) or smtps://user@host:465. The password is in the variable SYNCLINE_SMTP_PASSWORD. Empty: no e-mails.",
        url("smtp", "smtps"),
    ),
    Variable("SYNCLINE_MAIL_FROM", "", "Sender of e-mails, such as Syncline <syncline@example.com>.", str),
    Variable(
        "SYNCLINE_CONSOLE_URL",
        "",
        "Address of the console as people reach it, for links in e-mails: https://syncline.example.com. "
        "Empty: SYNCLINE_HOST and SYNCLINE_PORT.",
        url("http", "https"),
    ),
    Variable(
        "SYNCLINE_EVENT_DAYS",
        "90",
        "Days after which events, and what rules made of them, are forgotten.",
        integer(1, 3650),
    ),
    Variable(
        "SYNCLINE_HOOK_BYTES",
        "262144",
        "Bytes that a delivery to an inbound web hook may have; what is longer is refused before it is read.",
        integer(1024, 8 * 1024 * 1024),
    ),
    Variable(
        "SYNCLINE_PLAN_DAYS",
        "7",
        "Days after which the plan of a simulation can no longer be approved and is forgotten.",
        integer(1, 365),
    ),
    *AUDIT_LOG,
    *TRACES,
)


def environment(**changes: str) -> dict[str, str]:
    """Return a copy of this process's environment with `changes`: what a child process is started with."""
    return {**os.environ, **changes}


def is_set(name: str) -> bool:
    """Tell whether a variable of `SETTINGS` is set to something."""
    return bool(os.environ.get(name, "").strip())


def unknown_variables() -> list[str]:
    """Return variables of the environment that look like settings and are none: they are misspelt, or of long ago."""
    known = {v.name for v in SETTINGS} | {
        MASTER_KEY,
        KEY_LOGIN,
        METRICS_TOKEN,
        OIDC_SECRET,
        LDAP_PASSWORD,
        SMTP_PASSWORD,
        OTLP_HEADERS,
    }
    return sorted(name for name in os.environ if name.startswith("SYNCLINE_") and name not in known)


def environment_secret(name: str) -> str | None:
    """Return the variable that a connection's secret refers to as `env:NAME`, or None if it is not set.

    Syncline's own variables hold its keys and addresses, so a connection cannot refer to them.

    Raises:
        SettingError: The name does not begin with a letter, or is one of Syncline's own.
    """
    if not name[:1].isalpha() or not name.isascii():
        raise SettingError(name, "the name of an environment variable begins with a letter.")
    if name.upper().startswith("SYNCLINE_"):
        raise SettingError(name, "variables that begin with SYNCLINE_ are Syncline's own settings.")
    return os.environ.get(name)


def oidc_secret() -> str:
    """Return what the identity provider knows us by; kept out of `Settings`, which is shown and passed on."""
    return os.environ.get(OIDC_SECRET, "")


def ldap_password() -> str:
    """Return the password of the user that looks people up; kept out of `Settings`, which is shown and passed on."""
    return os.environ.get(LDAP_PASSWORD, "")


def smtp_password() -> str:
    """Return the password for the mail server; kept out of `Settings`, which is shown and passed on."""
    return os.environ.get(SMTP_PASSWORD, "")


def otlp_headers() -> str:
    """Return what the receiver of traces wants to know; kept out of `Settings`, which is shown and passed on."""
    return os.environ.get(OTLP_HEADERS, "").strip()


def metrics_token() -> str:
    """Return what who reads the metrics has to know; kept out of `Settings`, which is shown and passed on."""
    return os.environ.get(METRICS_TOKEN, "").strip()


def key_login() -> str:
    """Return what we sign in to the key service with; kept out of `Settings`, which is shown and passed on."""
    return os.environ.get(KEY_LOGIN, "").strip()


def master_key() -> str:
    """Return the key-encryption keys in the environment; kept out of `Settings`, which is shown and passed on."""
    return os.environ.get(MASTER_KEY, "").strip()


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings; raises `SettingError` for the first that cannot be used."""
    environ = os.environ if environ is None else environ
    values = {v.name.removeprefix("SYNCLINE_").lower(): _read(v, environ) for v in SETTINGS}
    evaluation = values["profile"] == "evaluation"
    data: Path = values["data"]
    values["console_url"] = values["console_url"].rstrip("/") or f"http://{values['host']}:{values['port']}"
    values["database_url"] = values["database_url"] or f"sqlite:///{data / 'syncline.db'}"
    values["file_roots"] = values["file_roots"] or ((data,) if evaluation else ())
    values["egress_allow"] = values["egress_allow"] or (LOOPBACK_AND_PRIVATE if evaluation else ())
    if not values["egress_public"]:
        values["egress_allow"] += ("only",)  # `connectors.egress.ONLY`
    for name in ("secure_cookies", "require_second_factor"):
        if values[name] is None:
            values[name] = not evaluation
    if not values["trusted_hosts"] and not evaluation:
        values["trusted_hosts"] = (urlsplit(values["console_url"]).hostname or "localhost", "localhost", "127.0.0.1")
    if problem := lacking(values):
        raise SettingError(*problem)
    pairs = values["key_provider"][0] == "rsa"
    values["key_file"] = values["key_file"] or data / "keys" / ("master.pem" if pairs else "master.key")
    return Settings(**{f.name: values[f.name] for f in fields(Settings)})


def _read(variable: Variable, environ: Mapping[str, str]) -> Any:
    try:
        return variable.parse(environ.get(variable.name, "").strip() or variable.default)
    except ValueError as error:
        raise SettingError(variable.name, str(error)) from None
