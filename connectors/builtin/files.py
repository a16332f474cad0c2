"""The connector `files`: CSV, JSON, JSON lines, XML, Excel and Parquet files, in a folder of this server or elsewhere.

A file is an object; so is the pattern of the connection, which stands for all matching files. Files can only be
rewritten as a whole, so changes are kept in a journal beside the file (`files_journal`), are seen by every read and
lookup, and are put in place by `finish`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import polars as pl

from connectors.builtin.files_folder import Folder, reason
from connectors.builtin.files_object import FileObject
from connectors.builtin.files_options import ARCHIVE, LOCAL, SPEC, Options
from connectors.builtin.files_parquet import ParquetFile
from connectors.builtin.files_read import Reading, matching
from connectors.builtin.files_remote import RemoteFolder, place_of
from connectors.casting import SHOWN, short
from connectors.errors import Forbidden, Misconfigured, ObjectMissing, Unavailable
from connectors.lookups import whole
from connectors.sampling import schema_of, together
from connectors.spi import Connector, Context, Fence, ObjectInfo, Page, ReadRequest, Step, WriteResult
from connectors.steps import stepwise
from rules.schema import Change, Field, Schema
from rules.text import N_, Message, msg


class Files(Connector):
    """A folder of files."""

    spec = SPEC

    def __init__(self, settings: Mapping[str, Any], context: Context) -> None:
        super().__init__(settings, context)
        self.options = Options.of(settings)
        self._objects: dict[str, FileObject] = {}

    @cached_property
    def folder(self) -> Folder | RemoteFolder:
        """Return the folder; raises `Forbidden` or `Misconfigured`."""
        if self.options.place == LOCAL:
            return Folder.of(self.options, self.context.file_roots)
        return RemoteFolder(place_of(self.options, self.context), self.options)

    def check(self) -> Iterator[Step]:
        """Yield the steps of the connection test."""
        steps = (
            (N_("Find the folder"), self._found),
            (N_("List the files"), self._listed),
            (N_("Open a file"), self._opened),
            (N_("Write"), self._writable),
        )
        return stepwise((name, told()(do)) for name, do in steps)

    def objects(self) -> list[ObjectInfo]:
        """Return the files, and the pattern if there is one."""
        with told():
            names = [name for name in self.folder.names() if self.options.format_of(name)]
            found = [ObjectInfo(name, "file", writable=self._is_writable(name)) for name in names]
            patterns = [ObjectInfo(p, "pattern", writable=False) for p in self.folder.patterns if self._several(p)]
            return sorted([*found, *patterns], key=lambda info: info.name)

    def schema(self, name: str) -> Schema:
        """Return the fields of a file, judged by a sample of its records."""
        with told(name):
            return opened_schema(self._files(name), self.options, name)

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the records of a file, or of all files that match the pattern."""
        with told(request.object):
            if request.cursor is not None:
                raise Misconfigured(
                    msg("Changes in files cannot be found by a field."), msg("Detect changes by a full comparison.")
                )
            files = self._files(request.object)
            pattern = self._several(request.object)
            yield from Reading(files, request, self.options.settle, pattern=pattern).pages()

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Return the records whose key is among the values, from an index that is kept in memory."""
        with told(name):
            files, alone = list(self._files(name)), schema.select((key,))
            found = pl.concat([schema.empty(), *(matching(file, schema, key, values) for file in files)])
            bad = next((file.unread[schema.fields] for file in files if schema.fields in file.unread), None)
            return whole(found, alone, values, bad, lambda: self.lookup(name, alone, key, values))

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        """Make the changes durable in the journal of the file."""
        with told(name):
            if self._several(name):
                raise Misconfigured(
                    msg("'{name}' stands for several files and cannot be written.", name=name),
                    msg("Choose one of the files."),
                )
            return self._file(name).write(schema, changes, fence)

    def applied(self, fence: Fence) -> bool:
        """Tell whether the write of this fence's run and chunk, or a later chunk, is durable in any file."""
        with told():
            for name in self.folder.written():
                last = self._file(name).fences().get(fence.scope)
                if last and last.run == fence.run and last.chunk >= fence.chunk:
                    return True
            return False

    def finish(self, name: str) -> None:
        """Put what was written into the file, in one step."""
        with told(name):
            self._file(name).place()

    def close(self) -> None:
        """Forget what is in memory, and give up the connection."""
        self._objects.clear()
        if "folder" in self.__dict__:
            self.folder.close()
            del self.__dict__["folder"]

    def _file(self, name: str) -> FileObject:
        stored = self.folder.stored(name)
        if name not in self._objects:
            self._objects[name] = FileObject(stored, self.options)
        return self._objects[name]

    def _files(self, name: str) -> list[FileObject]:
        names = self.folder.names(name) if self._several(name) else [name]
        return [self._file(found) for found in names]

    def _is_writable(self, name: str) -> bool:
        return self.options.format_of(name) != ARCHIVE and self.folder.is_writable(name)

    def _several(self, name: str) -> bool:
        return bool(self.options.pattern) and self.folder.is_pattern(name)

    def _found(self) -> Message:
        return msg("The folder {path} is there.", path=self.folder.shown)

    def _listed(self) -> Message:
        count = len([info for info in self.objects() if info.kind == "file"])
        if not count:
            patterns = ", ".join(self.folder.patterns)
            return msg("No file matches {patterns} yet. Put one into the folder.", patterns=patterns)
        return msg("Files found: {count}.", count=count)

    def _opened(self) -> Message:
        first = next((info.name for info in self.objects() if info.kind == "file"), None)
        if first is None:
            return msg("There is no file to open yet.")
        return msg("'{name}' can be read. Its fields: {fields}.", name=first, fields=_fields(self.schema(first)))

    def _writable(self) -> Message:
        if self.folder.probe():
            return msg("Files in the folder can be changed.")
        return msg("Files can be read. To change them, give Syncline's account the right to write into the folder.")


def opened_schema(files: Sequence[FileObject], options: Options, name: str) -> Schema:
    """Return the fields of some files together, judged by samples; raises `Misconfigured` if the key is not there."""
    samples = [found.source().sample() for found in files]
    judged = schema_of(together(samples), options.key, detect=options.detect)
    own = {f.name: f for found in files if isinstance(source := found.source(), ParquetFile) for f in source.fields}
    schema = Schema(tuple(_declared(field, own) for field in judged.fields), judged.key)
    for key in options.key:
        if key not in schema and schema.fields:
            raise Misconfigured(
                msg("The key field '{field}' is not in '{name}'.", field=key, name=name),
                msg("Correct the key field in the connection's settings."),
                object_name=name,
            )
    return schema


def _declared(judged: Field, own: Mapping[str, Field]) -> Field:
    """Return a field as its file declares it, if it does; that a key is never empty was seen."""
    declared = own.get(judged.name, judged)
    return replace(declared, nullable=declared.nullable and judged.nullable)


@contextmanager
def told(name: str | None = None) -> Iterator[None]:
    """Turn errors of the operating system into ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectMissing(
            msg("The file '{name}' is not there any more.", name=name or str(error.filename)),
            msg("Check whether it was moved or renamed."),
            object_name=name,
        ) from error
    except PermissionError as error:
        raise Forbidden(
            msg("'{path}' may not be read or written.", path=str(error.filename)),
            msg("Give the account that Syncline runs under the right to do it."),
            object_name=name,
        ) from error
    except OSError as error:
        raise Unavailable(
            msg("The file system refuses: {problem}.", problem=reason(error)),
            msg("Check that the disk is there and not full."),
            object_name=name,
        ) from error


def _fields(schema: Schema) -> str:
    return short(", ".join(schema.names), 2 * SHOWN) or "-"
