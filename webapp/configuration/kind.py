"""What a kind of document has to offer so that files can state it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from rules.documents import DocumentProblem
from webapp.extensions import Actor, House

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Writing:
    """What storing a document takes: the house, the transaction, who acts; `lossy` allows values to be lost."""

    house: House
    tx: sa.Connection
    actor: Actor
    lossy: bool = False


class Kind(Protocol):
    """One kind of document."""

    def problems(self, document: Document) -> list[DocumentProblem]:
        """Return what is wrong with the document by itself."""

    def placed(self, document: Document, folder: Path) -> dict[str, Any]:
        """Return the document with relative paths resolved against the folder of its file."""

    def names(self, tx: sa.Connection) -> list[str]:
        """Return the names of what can be exported."""

    def read(self, tx: sa.Connection, name: str) -> dict[str, Any] | None:
        """Return the document of what is stored, None if there is nothing of that name."""

    def write(self, writing: Writing, document: Document, folder: Path) -> bool:
        """Store the document; False when it has to be written once more behind the others of its kind."""

    def delete(self, writing: Writing, name: str) -> None:
        """Delete what is called `name`."""
