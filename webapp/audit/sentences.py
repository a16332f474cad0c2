"""What an event says, as a sentence: the template is chosen by the tag."""

from __future__ import annotations

from typing import Any

from rules.text import N_, Message
from webapp.audit.tags import Tag

SENTENCES: dict[str, str] = {
    Tag.SIGNED_IN: N_("{actor} signed in"),
    Tag.SIGN_IN_FAILED: N_("Somebody failed to sign in as {subject}"),
    Tag.SIGNED_OUT: N_("{actor} signed out"),
    Tag.USER_CREATED: N_("{actor} added the user {subject}"),
    Tag.USER_UPDATED: N_("{actor} changed the user {subject}"),
    Tag.USER_DELETED: N_("{actor} deleted the user {subject}"),
    Tag.PASSWORD_CHANGED: N_("{actor} changed the password of {subject}"),
    Tag.ROLE_CREATED: N_("{actor} added the role {subject}"),
    Tag.ROLE_UPDATED: N_("{actor} changed the role {subject}"),
    Tag.ROLE_DELETED: N_("{actor} deleted the role {subject}"),
    Tag.KEY_CREATED: N_("{actor} made the API key {subject}"),
    Tag.KEY_REVOKED: N_("{actor} revoked the API key {subject}"),
    Tag.DENIED: N_("{actor} was refused {subject}"),
    Tag.SECRET_SET: N_("{actor} set a secret of {subject}"),
    Tag.SECRET_DELETED: N_("{actor} deleted a secret of {subject}"),
    Tag.KEYS_ROTATED: N_("{actor} replaced the encryption key of the secrets"),
    Tag.CONNECTION_CREATED: N_("{actor} added the connection {subject}"),
    Tag.CONNECTION_UPDATED: N_("{actor} changed the connection {subject}"),
    Tag.CONNECTION_DELETED: N_("{actor} deleted the connection {subject}"),
    Tag.CONNECTION_TESTED: N_("{actor} tested the connection {subject}"),
    Tag.FILE_UPLOADED: N_("{actor} uploaded a file to the connection {subject}"),
    Tag.ENTITY_CREATED: N_("{actor} added the entity {subject}"),
    Tag.ENTITY_UPDATED: N_("{actor} changed the entity {subject}"),
    Tag.ENTITY_DELETED: N_("{actor} deleted the entity {subject}"),
    Tag.RECORD_CREATED: N_("{actor} added the record {record} of {subject}"),
    Tag.RECORD_UPDATED: N_("{actor} changed the record {record} of {subject}"),
    Tag.RECORD_DELETED: N_("{actor} deleted the record {record} of {subject}"),
    Tag.RECORDS_CREATED: N_("{actor} added several records of {subject}"),
    Tag.RECORDS_UPDATED: N_("{actor} changed several records of {subject}"),
    Tag.RECORDS_DELETED: N_("{actor} deleted several records of {subject}"),
    Tag.RECORDS_EXPORTED: N_("{actor} exported records of {subject}"),
    Tag.RECORDS_IMPORTED: N_("{actor} imported records into {subject}"),
    Tag.VIEW_SAVED: N_("{actor} shared a view of {subject}"),
    Tag.VIEW_DELETED: N_("{actor} deleted a shared view of {subject}"),
    Tag.RULE_CREATED: N_("{actor} added the rule {subject}"),
    Tag.RULE_UPDATED: N_("{actor} changed the rule {subject}"),
    Tag.RULE_PUBLISHED: N_("{actor} published the rule {subject}"),
    Tag.RULE_ROLLED_BACK: N_("{actor} rolled the rule {subject} back"),
    Tag.RULE_PAUSED: N_("{actor} paused the rule {subject}"),
    Tag.RULE_RESUMED: N_("{actor} resumed the rule {subject}"),
    Tag.RULE_DELETED: N_("{actor} deleted the rule {subject}"),
    Tag.RUN_REQUESTED: N_("{actor} asked for run {run} of {subject}"),
    Tag.RUN_STARTED: N_("Run {run} of {subject} started"),
    Tag.RUN_RESUMED: N_("Run {run} of {subject} went on"),
    Tag.RUN_CHUNK: N_("Run {run} of {subject} wrote a batch of records"),
    Tag.RUN_ENDED: N_("Run {run} of {subject} ended"),
    Tag.RUN_CANCELLED: N_("{actor} cancelled run {run} of {subject}"),
    Tag.RUN_APPROVED: N_("{actor} approved the plan of run {run} of {subject}"),
    Tag.RUN_UNDONE: N_("{actor} asked to undo run {run} of {subject}"),
    Tag.RUN_VERIFIED: N_("Run {run} compared both systems of {subject}"),
    Tag.RUN_DOWNLOADED: N_("{actor} downloaded results of run {run} of {subject}"),
    Tag.QUARANTINE_EDITED: N_("{actor} corrected the record {record} of {subject} in quarantine"),
    Tag.QUARANTINE_REPLAYED: N_("{actor} sent records of {subject} from quarantine again"),
    Tag.QUARANTINE_DISCARDED: N_("{actor} discarded the record {record} of {subject} from quarantine"),
    Tag.CASE_OPENED: N_("{actor} opened case {subject}"),
    Tag.CASE_ASSIGNED: N_("{actor} assigned case {subject}"),
    Tag.CASE_COMMENTED: N_("{actor} commented on case {subject}"),
    Tag.CASE_CLOSED: N_("{actor} closed case {subject}"),
    Tag.CASE_REOPENED: N_("{actor} opened case {subject} again"),
    Tag.CASE_ANSWERED: N_("{actor} decided about the record {record} of {subject}"),
    Tag.CASE_GENERALISED: N_("{actor} turned the decision on case {subject} into a draft of its rule"),
    Tag.CASES_OPENED: N_("Run {run} of {subject} left records to a person to decide"),
    Tag.CASES_SETTLED: N_("Run {run} of {subject} settled records that had waited for a person"),
    Tag.EVENTS_POSTED: N_("{actor} sent events"),
    Tag.EVENT_RULE_ACTED: N_("What the rule {subject} waits for happened for {record}"),
    Tag.EVENT_RULE_STOPPED: N_("The rule {subject} was stopped because it cannot work"),
    Tag.EVENT_ACTION_DONE: N_("An action of the rule {subject} was done for {record}"),
    Tag.EVENT_ACTION_FAILED: N_("An action of the rule {subject} failed for {record}"),
    Tag.EVENT_ACTION_RETRIED: N_("{actor} let an action of the rule {subject} be tried again for {record}"),
    Tag.CONFIGURATION_APPLIED: N_("{actor} applied configuration files"),
    Tag.CONFIGURATION_EXPORTED: N_("{actor} exported the configuration"),
    Tag.AUDIT_EXPORTED: N_("{actor} exported the audit log"),
}

AREAS: tuple[tuple[str, str], ...] = (
    ("access:session", N_("Sign-in")),
    ("access", N_("Users, roles and keys")),
    ("vault", N_("Secrets")),
    ("connections", N_("Connections")),
    ("entities:entity", N_("Entities")),
    ("entities", N_("Entities and records")),
    ("rulebook", N_("Rules")),
    ("runs", N_("Runs and quarantine")),
    ("runs:quarantine", N_("Quarantine")),
    ("cases", N_("Cases")),
    ("events", N_("Events and event rules")),
    ("configuration", N_("Configuration files")),
    ("audit", N_("Audit log")),
)


def sentence(event: Any) -> Message:
    """Return what the event says."""
    template = SENTENCES.get(event.tag) or N_("{actor}: {deed} {subject}")
    values = {
        "actor": event.actor_name,
        "subject": event.subject,
        "record": event.record_key or "",
        "run": event.run_id or "",
        "deed": event.tag.rpartition(":")[2].replace("_", " "),
    }
    return Message(template, values)
