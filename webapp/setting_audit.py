"""The settings of the audit log; `config` reads them with all others."""

from __future__ import annotations

from dataclasses import dataclass

from webapp.setting_values import Variable, boolean, integer, targets


@dataclass(frozen=True)
class AuditLog:
    """The part of the settings that says how long the audit log is kept and who is told of it."""

    checkpoints_to: tuple[str, ...]
    checkpoint_minutes: int
    audit_days: int
    package_days: int
    record_reads: bool


AUDIT_LOG: tuple[Variable, ...] = (
    Variable(
        "SYNCLINE_CHECKPOINTS_TO",
        "",
        "Where signed checkpoints of the audit log are sent, separated by blanks: file:/path, syslog://host:514 (UDP), "
        "syslog+tcp://host:601, syslog+tls://host:6514, mailto:name@example.com, https://host/path. "
        "Empty: they stay in the database, where who can change it can change them too.",
        targets,
    ),
    Variable(
        "SYNCLINE_CHECKPOINT_MINUTES",
        "15",
        "Minutes between two checkpoints that are sent, if there are new events.",
        integer(1, 1440),
    ),
    Variable(
        "SYNCLINE_AUDIT_DAYS",
        "0",
        "Days after which audit events are removed, unless a legal hold keeps them; their seals stay. 0: never.",
        integer(0, 36500),
    ),
    Variable(
        "SYNCLINE_PACKAGE_DAYS",
        "90",
        "Days after which evidence packages are removed, unless a legal hold keeps an event that they hold. 0: never.",
        integer(0, 36500),
    ),
    Variable(
        "SYNCLINE_RECORD_READS",
        "yes",
        "Whether the audit log tells who has looked at values of fields that are marked as personal: `yes` or `no`.",
        boolean,
    ),
)
