"""The connector `mail_out`: mails that leave by a mail server (SMTP), one for each new record.

What was sent is not kept anywhere that could be read. So each mail has a number that is made of its record's key
(Message-ID): one that is sent again, because nobody knows whether it had arrived, has the same number, by which
servers and people recognise it. Within a connection it is known which mails of a chunk were taken.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from email.utils import format_datetime
from functools import cached_property
from typing import Any

from connectors.builtin.mail_compose import Draft, files_of, people_of, single_line
from connectors.builtin.mail_server import LAST_SETTINGS, MailServer, server_settings
from connectors.builtin.mail_smtp import Later, Outbox
from connectors.builtin.rest_lost import Memory, Repeated
from connectors.errors import ConnectorError, Misconfigured, ObjectMissing, RecordRejected
from connectors.spi import (
    Capabilities,
    Connector,
    ConnectorSpec,
    Failure,
    Fence,
    ObjectInfo,
    Page,
    ReadRequest,
    Setting,
    SettingKind,
    Step,
    WriteResult,
)
from connectors.steps import stepwise
from connectors.value_text import PLAIN
from rules.schema import Change, Field, FieldType, Op, Schema
from rules.text import N_, Message, msg

OUTGOING = "outgoing"
_MEGABYTE = 1024 * 1024
SPEC = ConnectorSpec(
    name="mail_out",
    label=N_("Outgoing mail (SMTP)"),
    category=N_("Mail and calendars"),
    summary=N_("Sends a mail for each new record, by a mail server."),
    capabilities=Capabilities(read=False, create=True, lookup=False, messages=True),
    settings=(
        *server_settings("smtp.example.com", 587, encryption="starttls", guest=True),
        Setting("sender", N_("Sender"), required=True, placeholder="Orders <orders@example.com>",
                help=N_("The address that mails come from; a record may name another one.")),
        Setting("largest", N_("Largest mail in MB"), SettingKind.INTEGER, default=25, minimum=1, maximum=500,
                advanced=True),
        *LAST_SETTINGS,
    ),
)  # fmt: skip
SCHEMA = Schema(
    (
        Field("key", nullable=False),
        Field("to", nullable=False),
        *(Field(name) for name in ("cc", "bcc", "from", "reply_to", "subject", "text", "html")),
        Field("attachments", FieldType.JSON),
        Field("in_reply_to"),
    ),
    ("key",),
)


class Outgoing(Connector):
    """One mail server that takes mails."""

    spec = SPEC

    @cached_property
    def server(self) -> MailServer:
        """Return the server that the settings name."""
        return MailServer(self.settings, self.context, "SMTP")

    @cached_property
    def memory(self) -> Memory:
        """Return what is known of mails that were sent."""
        return Memory()

    @property
    def outbox(self) -> Outbox:
        """Return the connection, which is made when it is first needed and anew when it was lost."""
        if "_outbox" not in self.__dict__:
            self.server.check()
            self.__dict__["_outbox"] = Outbox(self.server)
        return self.__dict__["_outbox"]  # type: ignore[no-any-return]

    def check(self) -> Iterator[Step]:
        """Yield the steps of the connection test; no mail is sent."""
        return stepwise(
            (
                (N_("Read the settings"), self._described),
                (N_("Find the server"), self._host),
                (N_("Reach the port"), self._port),
                (N_("Sign in"), self._signed_in),
            )
        )

    def objects(self) -> list[ObjectInfo]:
        """Return the mails that leave."""
        self._described()
        self._signed_in()
        return [ObjectInfo(OUTGOING, "mails")]

    def schema(self, name: str) -> Schema:
        """Return what a mail is made of; `key` makes it one of a kind."""
        self._check_name(name)
        return SCHEMA

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Refuse: mails that were sent are gone."""
        self._check_name(request.object)
        raise Misconfigured(
            msg("Mails that were sent cannot be read."),
            msg("Use a rule that only flows to them."),
            object_name=OUTGOING,
        )

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        """Send a mail for each record; those that the server refuses are returned.

        Raises:
            Later: The server takes some of them later; all others were sent, and are not sent again by this connection.
        """
        del schema  # a mail has always the same parts
        self._check_name(name)
        repeated, scope = self.memory.begin(fence), "" if fence is None else fence.scope
        failures: list[Failure] = []
        later: Later | None = None
        for number, change in enumerate(changes):
            for row, record in enumerate(change.records.iter_rows(named=True)):
                try:
                    self._record(change.op, record, scope, repeated)
                except RecordRejected as error:
                    failures.append(Failure(number, row, error.message, error.field))
                except Later as error:
                    later = error
                except ConnectorError:
                    self.close()
                    raise
        if later is not None:
            raise later
        return WriteResult(tuple(failures))

    def applied(self, fence: Fence) -> bool:
        """Say no: what is sent again has the same number, by which it is recognised."""
        self.memory.asked_about(fence)
        return False

    def close(self) -> None:
        """Close the connection to the server."""
        outbox = self.__dict__.pop("_outbox", None)
        if outbox is not None:
            outbox.close()

    def _record(self, op: Op, record: Mapping[str, Any], scope: str, repeated: Repeated) -> None:
        if op is not Op.CREATE:
            raise RecordRejected(msg("A mail that was sent is neither changed nor taken back."))
        key = PLAIN.text(record.get("key"))
        if not key:
            raise RecordRejected(msg("Field '{field}' is empty, but it must have a value.", field="key"), field="key")
        own = hashlib.sha256(f"{len(scope)}:{scope}{key}".encode()).hexdigest()[:40]
        if repeated.known(own.encode()):
            repeated.note(own.encode(), key)
            return
        sender = self._sender(record.get("from"))
        people = {header: people_of(record.get(name), name) for name, header in _PEOPLE.items()}
        recipients = [address for found in people.values() for _, address in found]
        if not people["To"]:
            raise RecordRejected(msg("Field '{field}' is empty, but it must have a value.", field="to"), field="to")
        raw = self._draft(record, own, sender, people).raw()
        most = min(int(self.settings.get("largest") or 25) * _MEGABYTE, self.outbox.largest or 2**40)
        if len(raw) > most:
            raise RecordRejected(
                msg("The mail has {size} KB, which is more than the {most} KB that are allowed.",
                    size=-(-len(raw) // 1024), most=most // 1024)
            )  # fmt: skip
        self.outbox.send(sender[0][1], list(dict.fromkeys(recipients)), raw)
        repeated.note(own.encode(), key)

    def _draft(
        self, record: Mapping[str, Any], own: str, sender: list[tuple[str, str]], people: dict[str, Any]
    ) -> Draft:
        headers = {"Message-ID": f"<{own}@{sender[0][1].rpartition('@')[2]}>",
                   "Date": format_datetime(dt.datetime.now(dt.UTC))}  # fmt: skip
        for name, header in (("subject", "Subject"), ("in_reply_to", "In-Reply-To")):
            if record.get(name) is not None:
                headers[header] = single_line(record[name], name)
        shown = {"From": sender, **{name: found for name, found in people.items() if name != "Bcc"}}
        shown["Reply-To"] = people_of(record.get("reply_to"), "reply_to")
        files = files_of(record.get("attachments"), "attachments")
        return Draft(headers, shown, record.get("text"), record.get("html"), files)

    def _sender(self, given: str | None) -> list[tuple[str, str]]:
        try:
            return people_of(given, "from")[:1] or people_of(self.settings.get("sender"), "sender")[:1]
        except RecordRejected as error:
            if given:
                raise
            raise Misconfigured(error.message, msg("Correct it in the connection's settings.")) from error

    def _check_name(self, name: str) -> None:
        if name != OUTGOING:
            raise ObjectMissing(
                msg("There is no object '{name}': mails are written to '{known}'.", name=name, known=OUTGOING),
                object_name=name,
            )

    def _described(self) -> Message:
        self.server.check()
        sender = self._sender(None)
        if not sender:
            raise Misconfigured(msg("The sender is empty."), msg("Enter the address that mails come from."))
        return msg("Mails come from {sender}.", sender=sender[0][1])

    def _host(self) -> Message:
        return self.server.place.find()

    def _port(self) -> Message:
        return self.server.place.reach()

    def _signed_in(self) -> Message:
        largest = self.outbox.largest
        if largest is None:
            return msg("The mail server takes mails.")
        return msg("The mail server takes mails of up to {size} MB.", size=largest // _MEGABYTE)


_PEOPLE = {"to": "To", "cc": "Cc", "bcc": "Bcc"}
