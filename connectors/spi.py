"""The connector SPI: what a kind of system has to offer so that rules can read and write it.

A connector is a class with a `spec` and the methods of `Connector`. It is built for one connection, used by one thread
and closed. It promises that

- `read` yields batches of at most `page_size` records whose columns have the schema's types, in a stable order, each
  with a position behind which a later `read` can go on; ending without an error means that the scan was complete;
- a value that cannot be represented exactly becomes a `Reject`, never a guess;
- `write` with `capabilities.transactions` is all or nothing for the good records of a call, and records the fence in
  the same transaction, so that a call that is repeated after a crash can be recognised with `applied`;
- with `capabilities.messages`, `read` takes nothing away: messages stay in the system until `acknowledge` says that
  what was read is durable. What is not acknowledged is read again, in its order: it may be met twice, never lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

import polars as pl

from connectors.budgets import Budget
from connectors.calls import Calls
from connectors.changes import ChangeLog
from connectors.errors import RecordRejected
from connectors.lookups import whole
from connectors.ranges import KeyRange
from rules.predicate import Predicate
from rules.schema import Change, Field, Schema
from rules.text import Message

DEFAULT_PAGE = 10_000


class SettingKind(StrEnum):
    """How a setting is entered and checked."""

    TEXT = "text"
    MULTILINE = "multiline"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    SECRET = "secret"  # noqa: S105 - the name of a kind, not a secret
    PATH = "path"
    URL = "url"
    JSON = "json"


@dataclass(frozen=True)
class Setting:
    """One setting, for form, checks and documentation. Texts are marked with `N_`; `when`: `("format", ("csv",))`."""

    name: str
    label: str
    kind: SettingKind = SettingKind.TEXT
    help: str = ""
    required: bool = False
    default: Any = None
    choices: tuple[tuple[str, str], ...] = ()
    advanced: bool = False
    placeholder: str = ""
    minimum: int | None = None
    maximum: int | None = None
    when: tuple[str, tuple[str, ...]] | None = None


@dataclass(frozen=True)
class Capabilities:
    """What a connector can do; rules are checked against it."""

    read: bool = True
    create: bool = False
    update: bool = False
    delete: bool = False
    cursor: bool = False
    """`read` can start at a cursor value and sorts by it."""
    lookup: bool = True
    """`lookup` finds records by key without reading all."""
    transactions: bool = False
    """`write` is atomic and knows fences."""
    generates_keys: bool = False
    """`write` returns keys that the system made for created records."""
    deletions: bool = False
    """`read` by a cursor names the records that were deleted since."""
    concurrent: bool = False
    """Several can work on one system at a time; each sees what the others have committed."""
    filter: bool = False
    """`read` leaves out records by a filter and counts them, so that they need not be sent."""
    capture: bool = False
    """`read` is fed by the system's own log of changes, which names deleted records, too."""
    messages: bool = False
    """Objects hold messages, in their order: each is read until it is acknowledged, and none can be looked up."""
    two_phase: bool = False
    """A write can be kept ready until it is decided about elsewhere (`connectors.two_phase`)."""
    ranges: bool = False
    """`read` reads one range of keys without the others, and it says where those can be cut (`connectors.ranges`)."""


@dataclass(frozen=True)
class ConnectorSpec:
    """A connector as the catalogue shows it."""

    name: str
    label: str
    category: str
    summary: str
    settings: tuple[Setting, ...]
    capabilities: Capabilities

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the names of the settings that are secrets."""
        return tuple(s.name for s in self.settings if s.kind is SettingKind.SECRET)


class Secrets(Protocol):
    """The secrets of a connection, for a system that changes one while it is used (a refresh token)."""

    def get(self, name: str, /) -> str | None:
        """Return the secret setting called `name` as it is stored now."""

    def put(self, name: str, value: str, /) -> None:
        """Store a new value of the secret setting; it is durable when this returns."""


@dataclass(frozen=True)
class Context:
    """What the house allows a connector: folders, networks, time, `programs`; and who is told of its `calls`."""

    file_roots: tuple[Path, ...] = ()
    egress_allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks (CIDR) beside the public ones that may be reached."""
    timeout: float = 30.0
    """Seconds for one connect or one request."""
    programs: Path | None = None
    secrets: Secrets | None = field(default=None, repr=False, compare=False)
    """Where a secret that the system has changed is kept; None where nothing can be kept (a draft)."""
    budget: Budget | None = field(default=None, repr=False, compare=False)
    """What may be asked of the system by all processes together; None: each process counts for itself."""
    calls: Calls | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Step:
    """One step of a connection test, in the order done; `detail` says what was found or what to do."""

    name: str
    ok: bool
    detail: Message


@dataclass(frozen=True)
class ObjectInfo:
    """An object as a list shows it; `records` is a count or a system's own estimate where one is cheap."""

    name: str
    kind: str = "table"
    label: str = ""
    records: int | None = None
    writable: bool = True


@dataclass(frozen=True)
class Cursor:
    """Read records whose `field` is null (first) or at least `since` (None: all), sorted by `field`, then by `tie`."""

    field: str
    tie: str
    since: Any = None


@dataclass(frozen=True)
class Capture:
    """Read what changed by the system's own log: all records whose `key` it names behind `since`, as they are now.

    `name` tells this reader from others. The log is read up to its end as of the first page. With `since` None all
    records are read, and a later read goes on from a place before the first of them.
    """

    name: str
    key: str
    since: Mapping[str, Any] | None = None


DIGEST = "__digest"
"""The name of the field that digests stand in; no object has a field of this name."""


@dataclass(frozen=True)
class Digest(Field):
    """A field that no object has: what the system itself makes of some fields of a record, a number of 64 bits.

    Records with equal values of the fields `of` have equal digests, others most likely not; `how` names the way.
    """

    of: tuple[str, ...] = ()
    how: str = ""


Position = Mapping[str, Any]
"""Where a page ended, as JSON values; made and read by the same connector only."""


@dataclass(frozen=True)
class ReadRequest:
    """What to read: all records of `object`, or those that a cursor selects, behind `after`."""

    object: str
    schema: Schema
    """The object's fields as discovered; only these are read, with these types."""
    cursor: Cursor | None = None
    after: Position | None = None
    page_size: int = DEFAULT_PAGE
    filter: Predicate | None = None
    """Records that do not meet it may be left out; only what `Connector.filterable` returned is asked for."""
    capture: Capture | None = None
    """Instead of a cursor: be fed by the system's log of changes."""
    consume: bool = False
    """Messages: what is read will be acknowledged; without it they are only looked at, and others may take them."""
    within: KeyRange | None = None
    """Only records of a range (`Capabilities.ranges`); the others are as if they were not there."""


@dataclass(frozen=True)
class Reject:
    """A record that could not be read: where it is ("line 17"), how it looks, what is wrong, its key where known."""

    place: str
    raw: str
    message: Message
    field: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class Page:
    """One batch; `position` lets a later read go on behind it. `first` is the 1-based number of its first record.

    `left_out` counts the records that the request's filter left out between the page before and the place behind this.
    `deleted` names records that are gone (`Capabilities.deletions`): rows of the request's schema whose key is there,
    and whose other fields are null where they are not known. What a later page says of a key holds; one page names a
    key either here or among its records. A page of messages holds the last word of each key; others are left out.

    Of a read by capture, `captured` is where a later one goes on once all up to this page is durable (a first read may
    know it only with its last page), and `emptied` says that all records were deleted at once, not which.
    """

    records: pl.DataFrame
    position: Position
    rejects: tuple[Reject, ...] = ()
    first: int | None = None
    left_out: int = 0
    deleted: pl.DataFrame | None = None
    captured: Mapping[str, Any] | None = None
    emptied: bool = False
    notes: tuple[Message, ...] = ()
    """What is odd about the system, for the log of a run, which has each once; counts are of the whole read."""


@dataclass(frozen=True)
class Fence:
    """Who writes: `write` refuses (`Fenced`) where the target has seen a higher token in the scope, else notes it."""

    scope: str
    token: int
    run: int
    chunk: int


@dataclass(frozen=True)
class Failure:
    """One record that the system refused: which change of the call, which row of it, why."""

    change: int
    row: int
    message: Message
    field: str | None = None


@dataclass(frozen=True)
class Warned:
    """One record that is written, and what the system has to say about it; `name` is the check that says so."""

    change: int
    row: int
    name: str
    message: Message
    field: str | None = None


@dataclass(frozen=True)
class WriteResult:
    """What became of a write: `failures` are the refused records, `warnings` tell of written ones.

    `keys` has the keys of each change's created records where the system made them (null where refused), else None.
    """

    failures: tuple[Failure, ...] = ()
    keys: tuple[pl.Series | None, ...] = field(default=())
    warnings: tuple[Warned, ...] = ()


class Connector(ABC):
    """One configured system. Methods raise the errors of `connectors.errors` and nothing else."""

    spec: ClassVar[ConnectorSpec]

    def __init__(self, settings: Mapping[str, Any], context: Context) -> None:
        """Keep the settings (secrets in clear, defaults filled in); connect only when first used."""
        self.settings = dict(settings)
        self.context = context

    @abstractmethod
    def check(self) -> Iterator[Step]:
        """Yield the steps of a connection test and stop behind the first that fails; raises nothing."""

    @abstractmethod
    def objects(self) -> list[ObjectInfo]:
        """Return the objects that can be read or written, sorted by name."""

    @abstractmethod
    def schema(self, name: str) -> Schema:
        """Return the fields of an object; raises `ObjectMissing`."""

    @abstractmethod
    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield pages until the scan is complete; at least one page, even if it is empty."""

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return those with a `key` among `values`, in any order; raises `RecordRejected` where one cannot be read."""
        pages = list(self.read(ReadRequest(name, schema)))
        found = pl.concat([p.records for p in pages]).filter(pl.col(key).is_in(values.implode()))
        bad = next((RecordRejected(r.message, field=r.field, object_name=name) for p in pages for r in p.rejects), None)
        alone = schema.select((key,))
        return whole(found, alone, values, bad, lambda: self.lookup(name, alone, key, values))

    def acknowledge(self, name: str, position: Position) -> None:  # noqa: B027 - only messages are acknowledged
        """Give up the messages of the pages up to this position: what became of them is durable.

        Called behind each page, by the thread that reads; where it gets lost (`Retriable`), they are read once more.
        """

    def filterable(self, request: ReadRequest) -> Predicate | None:  # noqa: ARG002 - for systems that filter
        """Return what of the request's filter the system does itself (a wider one), None for nothing.

        A read with it leaves out only records that surely do not meet it and have a key; it counts each in one page.
        """
        return None

    def left_out(self, request: ReadRequest, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the records that the request's filter leaves out and whose `key` field is among `values`."""
        raise NotImplementedError

    def digest(self, name: str, of: Sequence[str]) -> Digest | None:  # noqa: ARG002 - for systems that make digests
        """Return the field to read and look up for digests of some fields of an object; None: it cannot make them."""
        return None

    def change_log(self, name: str, capture: Capture) -> ChangeLog:
        """Return an object's log of changes (`Capabilities.capture`)."""
        raise NotImplementedError

    def changed(self, names: Sequence[str], pause: float) -> Generator[frozenset[str]]:
        """Yield which of the objects were changed, soon after it was committed, and nothing every `pause` seconds.

        The first is empty: from then on no change is missed. Needs `Capabilities.capture`, and that the log is kept.
        """
        raise NotImplementedError

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        """Write; refused records are returned, all others are durable when this returns."""
        raise NotImplementedError

    def applied(self, fence: Fence) -> bool | None:  # noqa: ARG002 - for connectors that keep fences
        """Tell whether the write of this fence's run and chunk (or a later chunk) is durable; None: cannot tell."""
        return None

    def arrived(self, fence: Fence) -> bool | None:
        """Tell as `applied` does, for who takes over: no lower token has a write under way, or begins one."""
        return self.applied(fence)

    def remembers(self, fence: Fence) -> Collection[Any] | None:  # noqa: ARG002 - for connectors that remember
        """Return the keys of the chunk's new records that it gives back, not creates again, by itself; None: of all."""
        return ()

    def finish(self, name: str) -> None:  # noqa: B027 - most systems need nothing here
        """Called once when a run has written its last chunk (a file is put in place here)."""

    def close(self) -> None:  # noqa: B027 - some hold nothing
        """Give back what the connector holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
