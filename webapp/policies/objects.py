"""What permissions are about: data objects, what can be done with their records, and their fields. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rules.schema import FieldType
from rules.text import N_
from webapp.access import roles

READ, CREATE, UPDATE, DELETE, EXPORT, IMPORT = (
    roles.READ, roles.CREATE, roles.UPDATE, roles.DELETE, roles.EXPORT, roles.IMPORT,
)  # fmt: skip
ACTIONS: tuple[str, ...] = (READ, CREATE, UPDATE, DELETE, EXPORT, IMPORT)
WRITING = frozenset({CREATE, UPDATE, IMPORT})
ACTION_LABELS: dict[str, str] = {
    READ: N_("see records"),
    CREATE: N_("create records"),
    UPDATE: N_("change records"),
    DELETE: N_("delete records"),
    EXPORT: N_("export records"),
    IMPORT: N_("import records"),
}
ENTITY, CONNECTION = "entity", "connection"
EVERYTHING = "*"


@dataclass(frozen=True)
class DataObject:
    """What records belong to: an entity, or an object of a connection (`name` is then `connection/object`)."""

    kind: str
    name: str

    @classmethod
    def entity(cls, name: str) -> DataObject:
        """Return an entity's records."""
        return cls(ENTITY, name)

    @classmethod
    def external(cls, connection: str, name: str) -> DataObject:
        """Return the records of an object of a connection."""
        return cls(CONNECTION, f"{connection}/{name}")

    @classmethod
    def of(cls, text: str) -> DataObject:
        """Return the object that `text` names: `entity/customer`, `connection/crm/contacts`."""
        kind, _, name = text.partition("/")
        return cls(kind, name)

    @property
    def text(self) -> str:
        """Return how policies write it."""
        return f"{self.kind}/{self.name}"

    @property
    def patterns(self) -> tuple[str, ...]:
        """Return what a line may say to mean this object, the narrowest first."""
        wide = [f"{self.kind}/{EVERYTHING}", EVERYTHING]
        if self.kind == CONNECTION:
            wide.insert(0, f"{CONNECTION}/{self.name.partition('/')[0]}/{EVERYTHING}")
        return (self.text, *wide)


@dataclass(frozen=True)
class PolicyField:
    """A field as permissions see it; `key`: it tells which record it is, and is read unless a line names it.

    Of an encrypted field a condition of rows can ask whether it has a value, and where it can be found by its exact
    value, which one.
    """

    name: str
    type: FieldType = FieldType.TEXT
    personal: bool = False
    key: bool = False
    encrypted: bool = False
    exact: bool = False
