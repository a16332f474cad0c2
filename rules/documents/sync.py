"""The sync rule as data: which two objects agree, how records are found, matched, mapped and written.

The keys, their defaults and their meaning are the published contract (docs/rules.md, docs/schemas/sync.json). Every key
is read and checked here, also those that this version does not execute yet (`rules.documents.support`).
"""

# ruff: noqa: RUF009 - `entry` declares a key, as `dataclasses.field` would
from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from rules.documents.decision import Decision
from rules.documents.example import RuleTest
from rules.documents.policies import (
    DURATION,
    Deactivations,
    DriftPolicy,
    ErrorPolicy,
    Execute,
    Guard,
    Priority,
    Schedule,
    ServiceLevel,
    Split,
    duration,
)
from rules.documents.saga import Saga
from rules.documents.shape import NAME, entry
from rules.documents.validation import Validation


class Direction(StrEnum):
    """Which way values flow."""

    TWO_WAY = "two_way"
    LEFT_TO_RIGHT = "left_to_right"
    RIGHT_TO_LEFT = "right_to_left"


class FieldDirection(StrEnum):
    """Which way one field's values flow, within the rule's direction."""

    BOTH = "both"
    LEFT_TO_RIGHT = "left_to_right"
    RIGHT_TO_LEFT = "right_to_left"


class DetectBy(StrEnum):
    """How changed records are found on a side."""

    FULL = "full"
    CURSOR = "cursor"
    CDC = "cdc"
    WEBHOOK = "webhook"


class MatchHow(StrEnum):
    """How two values are compared to find partners."""

    EXACT = "exact"
    NORMALISED = "normalised"
    SIMILARITY = "similarity"


class MatchKind(StrEnum):
    """What compared values are, which says how they are brought into one form and how alike they are."""

    TEXT = "text"
    NAME = "name"
    COMPANY = "company"
    CODE = "code"
    PHONE = "phone"
    EMAIL = "email"
    DATE = "date"
    NUMBER = "number"


class Strength(StrEnum):
    """When a mapped value is written to the target."""

    STRONG = "strong"
    NORMAL = "normal"
    WEAK = "weak"


class On(StrEnum):
    """Which kind of write sets a field."""

    CREATE = "create"
    UPDATE = "update"


class ConflictPolicy(StrEnum):
    """Which value wins when both sides changed a field."""

    LEFT = "left"
    RIGHT = "right"
    NEWER = "newer"
    MAX = "max"
    MIN = "min"
    UNION = "union"
    FIRST_NON_EMPTY = "first_non_empty"
    EXPRESSION = "expression"
    MANUAL = "manual"


class SideName(StrEnum):
    """One of the two sides."""

    LEFT = "left"
    RIGHT = "right"


class Action(StrEnum):
    """What to do about a situation."""

    IGNORE = "ignore"
    UPDATE = "update"
    MERGE = "merge"
    LINK = "link"
    LINK_UPDATE = "link_update"
    CREATE = "create"
    DELETE = "delete"
    DEACTIVATE = "deactivate"
    UNLINK = "unlink"
    RECREATE = "recreate"
    CASE = "case"


class DeleteDetect(StrEnum):
    """How deleted records are noticed."""

    NONE = "none"
    EVENT = "event"
    TOMBSTONE = "tombstone"
    FULL_SCAN = "full_scan"


class Transaction(StrEnum):
    """How a write is kept together over systems."""

    NONE = "none"
    OUTBOX = "outbox"
    SAGA = "saga"
    TWO_PHASE = "two_phase"


class OnError(StrEnum):
    """What to do where a field's value cannot be worked out for a record."""

    QUARANTINE = "quarantine"
    NULL = "null"
    DEFAULT = "default"
    STOP = "stop"


@dataclass(frozen=True)
class Side:
    """One side of the rule."""

    connection: str = entry("The name of the connection.", minLength=1)
    object: str = entry("The object: a table, file, resource or entity of that connection.", minLength=1)
    where: str | None = entry("A condition; records for which it is false are out of scope.", None, minLength=1)


@dataclass(frozen=True)
class KeyPair:
    """The field that identifies a record, on each side."""

    left: str = entry("The key field of the left object.", minLength=1)
    right: str = entry("The key field of the right object.", minLength=1)


@dataclass(frozen=True)
class Detect:
    """How changed records are found on one side."""

    by: DetectBy = entry(
        "full: read everything; cursor: read what is newer; cdc: follow the system's log of changes; webhook: be told.",
        DetectBy.FULL,
    )
    field: str | None = entry(
        "cursor: the field that grows with every change; conflict: newer compares it, however changes are found.",
        None,
        minLength=1,
    )
    tie: str | None = entry("cursor: the field that orders records with equal cursors; the key if left out.", None)
    overlap: str = entry("cursor: how far to read back, for changes that became visible late.", "5m", pattern=DURATION)

    @property
    def overlap_time(self) -> timedelta:
        """Return the overlap as a time span."""
        return duration(self.overlap)


@dataclass(frozen=True)
class Detection:
    """How changed records are found, per side."""

    left: Detect = entry("The left side.", Detect())
    right: Detect = entry("The right side.", Detect())


@dataclass(frozen=True)
class Match:
    """One comparison of a tier."""

    left: str = entry("The left field.", minLength=1)
    right: str = entry("The right field.", minLength=1)
    how: MatchHow = entry(
        "exact: equal values; normalised: equal but for case, width, accents, spaces, punctuation and the like; "
        "similarity: alike from the threshold on.",
        MatchHow.EXACT,
    )
    kind: MatchKind | None = entry(
        "normalised, similarity: what the values are; date and number fields are known as such, others are text.", None
    )
    threshold: float = entry("similarity: how alike at least, from 0 to 1.", 0.9, minimum=0, maximum=1)
    weight: float = entry(
        "similarity: how much it counts among the similarities of its tier.", 1.0, minimum=0.01, maximum=1000
    )


@dataclass(frozen=True)
class Tier:
    """One way to find the partner of an unlinked record; all its comparisons have to hold."""

    match: tuple[Match, ...] = entry("The comparisons; all have to hold.", minItems=1, maxItems=20)
    confidence: float = entry("How sure a match of this tier is, from 0 to 1.", 1.0, minimum=0, maximum=1)
    confidence_from: float | None = entry(
        "How sure a match is that is only just alike enough; grows to `confidence` for values that are the same.",
        None,
        minimum=0,
        maximum=1,
    )
    threshold: float = entry(
        "How alike records are at least on the whole: the mean of the similarities by weight.",
        0.0,
        minimum=0,
        maximum=1,
    )
    margin: float = entry(
        "How much more alike the best partner has to be than the next one.", 0.02, minimum=0, maximum=1
    )


@dataclass(frozen=True)
class FieldMap:
    """One pair of fields."""

    left: str | None = entry("The left field; may be left out when values only flow right.", None, minLength=1)
    right: str | None = entry("The right field; may be left out when values only flow left.", None, minLength=1)
    direction: FieldDirection = entry("Which way this field flows, within the rule's direction.", FieldDirection.BOTH)
    to_right: str | None = entry(
        "The value of the right field; the left field as it is if left out.", None, minLength=1
    )
    to_left: str | None = entry("The value of the left field; the right field as it is if left out.", None, minLength=1)
    strength: Strength = entry(
        "strong: always enforced; normal: when it changed; weak: only into an empty target.", Strength.NORMAL
    )
    on: tuple[On, ...] = entry(
        "Which writes set the field.", (On.CREATE, On.UPDATE), minItems=1, maxItems=2, uniqueItems=True
    )
    when: str | None = entry(
        "A condition on the record that gives the value; where it is false, the target field is left alone.",
        None,
        minLength=1,
    )
    when_left: str | None = entry("The condition for values that flow left; `when` if left out.", None, minLength=1)
    conflict: ConflictPolicy | None = entry(
        "Who wins when both sides changed the field; the rule's default if left out.", None
    )
    resolve: str | None = entry(
        "conflict: expression: the value for both sides, in the left field's type, from `left`, `right` and `base`.",
        None,
        minLength=1,
    )
    on_error: OnError = entry(
        "A record without a value: quarantine: park it; null: leave the field empty; default: write `default`; "
        "stop: stop the run.",
        OnError.QUARANTINE,
    )
    default: str | int | float | bool | None = entry(
        "on_error: default: the value; of the target's type, dates and times as text.", None
    )
    reference: str | None = entry(
        "The sync rule whose records both fields refer to: each gets the key of the record that the rule has linked.",
        None,
        pattern=NAME,
    )


@dataclass(frozen=True)
class Conflict:
    """How conflicts are settled where a field does not say so itself."""

    default: ConflictPolicy = entry("Who wins.", ConflictPolicy.MANUAL)
    skew: str = entry("newer: clocks closer than this count as equal.", "2s", pattern=DURATION)
    tie: SideName = entry("newer: which side wins when both are equally new.", SideName.LEFT)


@dataclass(frozen=True)
class Situations:
    """Situation -> action; what is left out comes from the rule's direction."""

    linked_unchanged: Action | None = entry("A linked pair, nothing changed.", None, enum=["ignore", "update"])
    linked_changed: Action | None = entry(
        "A linked pair, changed on one side.", None, enum=["update", "ignore", "case"]
    )
    linked_conflict: Action | None = entry(
        "A linked pair, changed on both sides.", None, enum=["merge", "update", "ignore", "case"]
    )
    unlinked: Action | None = entry(
        "A record whose partner was found.", None, enum=["link_update", "link", "ignore", "case"]
    )
    disputed: Action | None = entry("A record with several possible partners.", None, enum=["case", "ignore"])
    unmatched_left: Action | None = entry(
        "A left record without a partner.", None, enum=["create", "delete", "deactivate", "ignore", "case"]
    )
    unmatched_right: Action | None = entry(
        "A right record without a partner.", None, enum=["create", "delete", "deactivate", "ignore", "case"]
    )
    deleted_left: Action | None = entry(
        "A linked record is gone from the left side.",
        None,
        enum=["delete", "deactivate", "unlink", "recreate", "case", "ignore"],
    )
    deleted_right: Action | None = entry(
        "A linked record is gone from the right side.",
        None,
        enum=["delete", "deactivate", "unlink", "recreate", "case", "ignore"],
    )
    edit_vs_delete: Action | None = entry(
        "Changed on one side, deleted on the other.",
        None,
        enum=["case", "delete", "deactivate", "recreate", "unlink", "ignore"],
    )
    out_of_scope: Action | None = entry(
        "A linked record no longer meets `where`.", None, enum=["unlink", "ignore", "delete", "deactivate", "case"]
    )


@dataclass(frozen=True)
class Deletes:
    """How deletions are noticed, and what is written instead of deleting."""

    detect: DeleteDetect = entry("none: not at all; event, tombstone, full_scan: how.", DeleteDetect.NONE)
    when: str | None = entry(
        "tombstone: a condition that holds for deleted records of the source, or of the left side in a two-way rule.",
        None,
        minLength=1,
    )
    when_right: str | None = entry(
        "tombstone: the same, asked of the right side's records of a two-way rule.", None, minLength=1
    )
    require_complete_scan: bool = entry("full_scan: only after a scan proven complete.", True)
    deactivate: Deactivations = entry("deactivate: what is written.", Deactivations())


@dataclass(frozen=True, kw_only=True)
class SyncRule:
    """A whole sync rule."""

    name: str = entry("The name of the rule: small letters, digits and underscores.", pattern=NAME)
    label: str = entry("What people call the rule; its name if left out.", "", maxLength=200)
    left: Side = entry("The left side.")
    right: Side = entry("The right side.")
    direction: Direction = entry("Which way values flow.", Direction.LEFT_TO_RIGHT)
    key: KeyPair = entry("The identity of a record on each side.")
    detect: Detection = entry("How changed records are found.", Detection())
    correlate: tuple[Tier, ...] = entry("How unlinked records find each other, best tier first.", ())
    auto_link: float = entry("Matches from this confidence on are linked.", 0.95, minimum=0, maximum=1)
    review: float = entry("Matches from this confidence on become a case.", 0.60, minimum=0, maximum=1)
    fields: tuple[FieldMap, ...] = entry("The pairs of fields.", minItems=1)
    conflict: Conflict = entry("How conflicts are settled.", Conflict())
    decisions: tuple[Decision, ...] = entry("Decision tables that are asked for every record that is read.", ())
    validations: tuple[Validation, ...] = entry("What the records that are read have to meet.", ())
    situations: Situations = entry("What to do in each situation.", Situations())
    deletes: Deletes = entry("How deletions are noticed.", Deletes())
    guards: tuple[Guard, ...] = entry("Limits that stop a run.", ())
    drift: DriftPolicy = entry("What to do when fields have changed.", DriftPolicy())
    errors: ErrorPolicy = entry("What to do about errors.", ErrorPolicy())
    transaction: Transaction = entry("How a write is kept together over systems.", Transaction.NONE)
    execute: Execute = entry("worker: Syncline carries it out; pushdown: the database of both sides.", Execute.WORKER)
    saga: Saga | None = entry("transaction: saga: what is done for each record behind its write.", None)
    after: tuple[str, ...] = entry(
        "Sync rules that run before this one, those that fields refer to besides.", (), maxItems=50, uniqueItems=True
    )
    schedule: Schedule | None = entry("When the rule runs by itself; only by hand if left out.", None)
    priority: Priority = entry(
        "How soon its runs get a worker while others wait; whoever waits for long goes first in the end.",
        Priority.NORMAL,
    )
    split: Split | None = entry("When runs are split, to be worked on by many workers; never if left out.", None)
    service: ServiceLevel | None = entry("What people may expect of the rule; nobody is told if left out.", None)
    explain: bool = entry("Keep the values that each run has read, so that every record can be explained later.", True)
    tests: tuple[RuleTest, ...] = entry("Examples that have to come out as stated before the rule is published.", ())
