"""Reading configuration files: YAML or JSON, several documents a file."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rules.documents import DocumentError, Format, Located, load_documents
from rules.text import Message, msg
from webapp.configuration.errors import ConfigurationRefused, Mistake

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Stated:
    """A document as a file states it; `folder` is what its relative paths are relative to."""

    file: str
    folder: Path
    located: Located

    @property
    def document(self) -> dict[str, Any]:
        """Return the document."""
        return self.located.document

    @property
    def kind(self) -> str:
        """Return what it says it is."""
        return str(self.document.get("kind", ""))

    @property
    def name(self) -> str:
        """Return the name that it gives."""
        return str(self.document.get("name", ""))

    def mistake(self, path: str, message: Message) -> Mistake:
        """Return a mistake at a path of the document."""
        return Mistake(self.file, *self.located.place(path), message)


def read(paths: Iterable[Path]) -> list[Stated]:
    """Return the documents of files and of the files in folders; raises `ConfigurationRefused`."""
    mistakes: list[Mistake] = []
    found: list[Stated] = []
    for path in itertools.chain.from_iterable(map(_files, paths)):
        try:
            found += read_text(path.read_text("utf-8"), str(path), path.resolve().parent)
        except ConfigurationRefused as error:
            mistakes += error.mistakes
        except UnicodeDecodeError:
            mistakes.append(Mistake(str(path), 1, 1, msg("The file is not UTF-8 text. Save it as UTF-8.")))
        except OSError as error:
            text = msg("The file cannot be read: {reason}.", reason=error.strerror or type(error).__name__)
            mistakes.append(Mistake(str(path), 1, 1, text))
    if mistakes:
        raise ConfigurationRefused(mistakes)
    return found


def read_text(text: str, file: str, folder: Path) -> list[Stated]:
    """Return the documents of a text; raises `ConfigurationRefused`."""
    form = Format.JSON if file.endswith(".json") else Format.YAML
    try:
        return [Stated(file, folder, located) for located in load_documents(text, form)]
    except DocumentError as error:
        raise ConfigurationRefused(
            [Mistake(file, p.line or 1, p.column or 1, p.message) for p in error.problems]
        ) from None


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and not p.name.startswith("."))
    else:
        yield path
