"""What a directory tells of the changes of one object: by RFC 4533 (OpenLDAP's syncprov) or by DirSync.

Entries are named by the identifier that the directory gives them, so that has to be the key of a rule.
"""

from __future__ import annotations

from connectors.builtin import ldap_filter, ldap_wire
from connectors.builtin.delta_links import LinkLog, Part
from connectors.builtin.ldap_ber import BrokenBerError
from connectors.builtin.ldap_columns import Column
from connectors.builtin.ldap_directory import Directory
from connectors.builtin.ldap_names import below
from connectors.builtin.ldap_options import filter_of
from connectors.builtin.ldap_problems import problem, said
from connectors.builtin.ldap_read import NOTHING
from connectors.builtin.ldap_session import Session
from connectors.builtin.ldap_sync import Synced, dirsync_control, dirsync_of, sync_control, synced
from connectors.builtin.ldap_wire import Code, Control, Entry, Query, Result
from connectors.changes import Mark
from connectors.errors import ConnectorError, Fatal, Forbidden, Misconfigured
from connectors.spi import Capture
from connectors.told_changes import ToldLog
from rules.text import Message, msg

_BY_IDENTIFIER = {"entryuuid", "objectguid"}
_REFRESH = 4096
"""The directory does not know a cookie any more (e-syncRefreshRequired)."""


class DirectoryLog(LinkLog, ToldLog):
    """What a directory tells of the changes of one object; places are its cookies."""

    def __init__(self, directory: Directory, name: str, capture: Capture) -> None:
        self.directory, self.described = directory, directory.described(name)
        super().__init__(name, capture, directory.columns.key(self.described))

    def refused(self) -> Message | None:
        """Return why the directory does not tell what was changed, None if it does."""
        wanted = ldap_wire.DIRSYNC if self.directory.active else ldap_wire.SYNC
        if self._column.attribute.lower() not in _BY_IDENTIFIER:
            return msg(
                "The directory names entries that are gone by its own identifier only. Use '{key}' as the key of"
                " '{object}'.",
                key="objectGUID" if self.directory.active else "entryUUID", object=self.name,
            )  # fmt: skip
        if wanted not in self.directory.root.get("supportedcontrol", ()):
            return msg(
                "The directory does not tell what was changed ({control}). With OpenLDAP, the overlay syncprov does;"
                " else let the rule read what is new by a field, or compare all records.",
                control=wanted,
            )
        return None

    def start(self) -> Mark:
        """Return a place such that all that is changed later is behind it."""
        part = self._told(b"")
        while not part.last:
            part = self.part(part.link)
        return self.mark(part.link)

    def part(self, link: str) -> Part:
        """Return what was changed since a cookie was given out."""
        return self._told(bytes.fromhex(link))

    @property
    def _column(self) -> Column:
        return self.directory.column(self.described, self._key)

    def _told(self, cookie: bytes) -> Part:
        session = self.directory.opened()
        try:
            return self._by_dirsync(session, cookie) if self.directory.active else self._by_sync(session, cookie)
        except (BrokenBerError, KeyError, ValueError, IndexError) as error:
            raise Misconfigured(
                msg("What the directory on {host} tells of its changes cannot be read.", **self.directory.place.names),
                msg("Let the rule read what is new by a field, or compare all records."),
                object_name=self.name,
            ) from error
        finally:
            session.close()

    def _by_sync(self, session: Session, cookie: bytes) -> Part:
        query = Query(self.described.base, filter_of(self.described), (NOTHING,), self.described.depth)
        seen, end = synced(session.answers(query, [sync_control(cookie)], what=self.name), cookie)
        if end.code == _REFRESH or (cookie and end.code == Code.SUCCESS and not seen.told):
            raise self._forgotten()
        self._ended(end, query)
        return Part(self._keys(seen), seen.cookie.hex(), last=True)

    def _keys(self, seen: Synced) -> dict[str, bool]:
        """Return identifiers as the key's field holds them: the standard's order of bytes, as text."""
        found = {identifier.hex(): gone for identifier, gone in seen.found.items()}
        return {f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}": gone for h, gone in found.items()}

    def _by_dirsync(self, session: Session, cookie: bytes) -> Part:
        query = Query(self._context, self._wide, (), 2)
        controls = [dirsync_control(cookie), Control(ldap_wire.SHOW_DELETED)]
        keys: dict[str, bool] = {}
        for item in session.search(query, controls, what=self.name):
            if isinstance(item, Entry):
                keys[self._identifier(item)] = b"TRUE" in item.values.get("isDeleted", ())
            else:
                self._ended(item, query)
                behind, more = dirsync_of(item)
        return Part(self._sorted_out(keys), behind.hex(), last=not more)

    def _identifier(self, entry: Entry) -> str:
        values = {name.lower(): given for name, given in entry.values.items()}
        return str(self._column.codec.read(values[self._column.attribute.lower()][0]))

    def _sorted_out(self, keys: dict[str, bool]) -> dict[str, bool]:
        """Take what does not belong to the object (any more) for gone."""
        column, alive = self._column, [key for key, gone in keys.items() if not gone]
        there = {
            self._identifier(entry)
            for entry in self.directory.with_key(self.described, column, alive, [column.attribute])
        }
        return {key: key not in there for key in keys}

    @property
    def _wide(self) -> bytes:
        """Return the filter for all that may belong to the object or may have: what is gone has few attributes."""
        named = self.described.class_
        return ldap_filter.equal("objectClass", named.encode()) if named else ldap_filter.present("objectClass")

    @property
    def _context(self) -> str:
        """Return the part of the directory that holds the object: DirSync knows only whole ones."""
        base = self.described.base
        around = [name for name in self.directory.root.get("namingcontexts", ()) if below(base, name)]
        return max(around, key=len, default=base)

    def _ended(self, end: Result, query: Query) -> None:
        if end.code == Code.SUCCESS:
            return
        if end.code == Code.NO_ACCESS:
            raise Forbidden(
                msg("The directory does not tell the user '{user}' what was changed: {said}.",
                    user=self.directory.options.user or "-", said=said(end)),
                msg("With Active Directory, give the user the right 'Replicating Directory Changes'."),
                object_name=self.name,
            )  # fmt: skip
        raise problem(end, query.base, self.name)

    def _forgotten(self) -> ConnectorError:
        return Fatal(
            msg("The directory does not know any more what was deleted since then."),
            msg("With OpenLDAP, let the overlay syncprov keep a longer log (syncprov-sessionlog)."),
            object_name=self.name,
        )
