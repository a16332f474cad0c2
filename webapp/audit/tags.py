"""What can be audited: `room:subject:deed`. The template of an event is chosen by its tag."""

from __future__ import annotations

from enum import StrEnum


class Tag(StrEnum):
    """All audit tags."""

    SIGNED_IN = "access:session:signed_in"
    SIGN_IN_FAILED = "access:session:sign_in_failed"
    SIGNED_OUT = "access:session:signed_out"
    USER_CREATED = "access:user:created"
    USER_UPDATED = "access:user:updated"
    USER_DELETED = "access:user:deleted"
    PASSWORD_CHANGED = "access:user:password_changed"  # noqa: S105
    ROLE_CREATED = "access:role:created"
    ROLE_UPDATED = "access:role:updated"
    ROLE_DELETED = "access:role:deleted"
    KEY_CREATED = "access:key:created"
    KEY_REVOKED = "access:key:revoked"
    DENIED = "access:request:denied"
    SECRET_SET = "vault:secret:set"  # noqa: S105
    SECRET_DELETED = "vault:secret:deleted"  # noqa: S105
    KEYS_ROTATED = "vault:keys:rotated"
    CONNECTION_CREATED = "connections:connection:created"
    CONNECTION_UPDATED = "connections:connection:updated"
    CONNECTION_DELETED = "connections:connection:deleted"
    CONNECTION_TESTED = "connections:connection:tested"
    ENTITY_CREATED = "entities:entity:created"
    ENTITY_UPDATED = "entities:entity:updated"
    ENTITY_DELETED = "entities:entity:deleted"
    RECORD_CREATED = "entities:record:created"
    RECORD_UPDATED = "entities:record:updated"
    RECORD_DELETED = "entities:record:deleted"
    RECORDS_EXPORTED = "entities:records:exported"
    RECORDS_IMPORTED = "entities:records:imported"
    RULE_CREATED = "rulebook:rule:created"
    RULE_UPDATED = "rulebook:rule:updated"
    RULE_PUBLISHED = "rulebook:rule:published"
    RULE_ROLLED_BACK = "rulebook:rule:rolled_back"
    RULE_PAUSED = "rulebook:rule:paused"
    RULE_RESUMED = "rulebook:rule:resumed"
    RULE_DELETED = "rulebook:rule:deleted"
    RUN_REQUESTED = "runs:run:requested"
    RUN_STARTED = "runs:run:started"
    RUN_RESUMED = "runs:run:resumed"
    RUN_CHUNK = "runs:run:chunk_applied"
    RUN_ENDED = "runs:run:ended"
    RUN_CANCELLED = "runs:run:cancelled"
    RUN_APPROVED = "runs:run:approved"
    RUN_DOWNLOADED = "runs:run:downloaded"
    QUARANTINE_EDITED = "runs:quarantine:edited"
    QUARANTINE_REPLAYED = "runs:quarantine:replayed"
    QUARANTINE_DISCARDED = "runs:quarantine:discarded"
    CONFIGURATION_APPLIED = "configuration:files:applied"
    CONFIGURATION_EXPORTED = "configuration:files:exported"
    AUDIT_EXPORTED = "audit:events:exported"
