"""One connection to a directory: requests in turn, their answers, and errors that say what to do."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable, Iterator, Mapping, Sequence

from connectors.builtin import ldap_filter
from connectors.builtin import ldap_wire as wire
from connectors.builtin.ldap_ber import BrokenBerError, header
from connectors.builtin.ldap_options import LdapOptions
from connectors.builtin.ldap_problems import problem, refused_sign_in
from connectors.builtin.ldap_wire import Answer, Code, Control, Entry, Query, Result
from connectors.builtin.queue_network import Place
from connectors.builtin.scram import HASHES, BrokenScramError, Scram
from connectors.errors import AuthFailed, ConnectorError, Misconfigured
from rules.text import msg

_LARGEST = 64 * 1024 * 1024


class Session:
    """A connection that is signed in."""

    def __init__(self, options: LdapOptions, place: Place) -> None:
        self.options, self.place = options, place
        self._number = 0
        self._buffer = bytearray()
        try:
            self._socket = place.plain() if options.start_tls else place.open()
        except OSError as error:
            raise place.lost(error) from error
        try:
            self._socket.settimeout(place.context.timeout)
            if options.start_tls:
                self._encrypt()
            self._sign_in()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Say good-bye and close the connection."""
        with contextlib.suppress(OSError):
            self._socket.sendall(wire.message(self._number + 1, bytes((wire.UNBIND, 0))))
        self._socket.close()

    @property
    def alive(self) -> bool:
        """Tell whether the server has not hung up since the last answer: it says nothing without being asked."""
        try:
            readable, _, _ = select.select([self._socket], [], [], 0)
        except (OSError, ValueError):
            return False
        return not readable and not self._buffer

    def call(self, operation: bytes, controls: Sequence[Control] = ()) -> Result:
        """Return how an operation ended; a refusal is no error here."""
        return wire.result(self._exchange(operation, controls))

    def search(self, query: Query, controls: Sequence[Control] = (), *, what: str = "") -> Iterator[Entry | Result]:
        """Yield the entries that are found, and at last how the search ended.

        Args:
            query: What is looked for.
            controls: Additions to the request.
            what: The object that is read, for messages.

        Raises:
            Misconfigured: A part of the tree lies on another server, so that what was found is not complete.
        """
        for answer in self.answers(query, controls, what=what):
            yield self.entry(answer) if answer.tag == wire.ENTRY else wire.result(answer)

    def answers(self, query: Query, controls: Sequence[Control] = (), *, what: str = "") -> Iterator[Answer]:
        """Yield the answers of a search as they come, at last the one that ends it; see `search`."""
        self._send(wire.search(query), controls)
        while True:
            answer = self._receive()
            if answer.tag == wire.REFERENCE and self.options.skip_references:
                continue
            if answer.tag == wire.REFERENCE:
                raise self._elsewhere(query, what)
            yield answer
            if answer.tag not in (wire.ENTRY, wire.BETWEEN):
                return

    def found(self, query: Query, *, what: str = "", missing_ok: bool = False) -> list[Entry]:
        """Return the entries of a search that has to be complete.

        Args:
            query: What is looked for.
            what: The object that is read, for messages.
            missing_ok: A base that does not exist means that there is nothing.
        """
        entries = []
        for item in self.search(query, what=what):
            if isinstance(item, Entry):
                entries.append(item)
            elif item.code != Code.SUCCESS and not (missing_ok and item.code == Code.NO_OBJECT):
                raise problem(item, query.base, what)
        return entries

    def _exchange(self, operation: bytes, controls: Sequence[Control] = ()) -> Answer:
        self._send(operation, controls)
        return self._receive()

    def _send(self, operation: bytes, controls: Sequence[Control]) -> None:
        self._number += 1
        try:
            self._socket.sendall(wire.message(self._number, operation, controls))
        except OSError as error:
            raise self.place.lost(error) from error

    def _receive(self) -> Answer:
        while True:
            try:
                answer = wire.answer(self._element())
            except (BrokenBerError, IndexError, ValueError) as error:
                raise self._strange() from error
            if answer.number == 0:  # a notice of disconnection
                raise problem(wire.result(answer), "", "")
            if answer.number == self._number:
                return answer

    def _element(self) -> bytes:
        """Return the bytes of one whole message."""
        while True:
            head = header(self._buffer)
            if head is not None and head[2] > _LARGEST:
                raise BrokenBerError("a message is too large")
            if head is not None and len(self._buffer) >= head[2]:
                data = bytes(self._buffer[: head[2]])
                del self._buffer[: head[2]]
                return data
            try:
                more = self._socket.recv(262_144)
            except OSError as error:
                raise self.place.lost(error) from error
            if not more:
                raise self.place.lost(msg("the server hangs up"))
            self._buffer += more

    def entry(self, answer: Answer) -> Entry:
        """Return the entry that an answer holds."""
        try:
            return wire.entry(answer.content)
        except (BrokenBerError, IndexError, ValueError) as error:
            raise self._strange() from error

    def _encrypt(self) -> None:
        done = self.call(wire.extended(wire.START_TLS))
        if done.code != Code.SUCCESS:
            raise Misconfigured(
                msg("The directory on {host} does not encrypt port {port} (StartTLS): {said}.",
                    said=done.text.rstrip(".") or done.code, **self.place.names),
                msg("Choose LDAPS and its port, or ask the operator of the directory for a certificate."),
            )  # fmt: skip
        context = self.place.encryption()
        if context is None:  # pragma: no cover - StartTLS always has a context
            raise AssertionError
        if self._buffer:  # what came before the encryption cannot be trusted
            raise self._strange()
        self._socket = self.place.encrypted(self._socket, context)

    def _sign_in(self) -> None:
        done = self._signed_in[self.options.sign_in]()
        if done.code != Code.SUCCESS:
            raise refused_sign_in(done, self.options.user, self.place.host)

    @property
    def _signed_in(self) -> Mapping[str, Callable[[], Result]]:
        return {
            "simple": lambda: self.call(wire.bind(self.options.user, self.options.password)),
            "external": lambda: self.call(wire.sasl_bind("EXTERNAL", b"")),
            "scram": self._by_scram,
        }

    def _by_scram(self) -> Result:
        """Sign in by the strongest hash that the server offers."""
        wanted = Query("", ldap_filter.present("objectClass"), ("supportedSASLMechanisms",), 0)
        offered = {value.decode() for entry in self.found(wanted) for given in entry.values.values() for value in given}
        mechanism = next((name for name in HASHES if name in offered), None)
        if mechanism is None:
            raise Misconfigured(
                msg("The directory on {host} does not let users sign in by SCRAM.", **self.place.names),
                msg("Choose another way to sign in."),
            )
        talk = Scram(mechanism, self.options.user, self.options.password)
        try:
            answer = self._exchange(wire.sasl_bind(mechanism, talk.first()))
            for respond in (talk.proof, talk.verified):  # a server may say its last word before the end, or with it
                if wire.result(answer).code == Code.GOES_ON:
                    answer = self._exchange(wire.sasl_bind(mechanism, respond(wire.sasl_answer(answer))))
            if wire.result(answer).code == Code.SUCCESS and not talk.proven:
                talk.verified(wire.sasl_answer(answer))
        except BrokenScramError as error:
            raise AuthFailed(
                msg("The directory on {host} does not prove that it knows the password of '{user}'.",
                    host=self.place.host, user=self.options.user),
                msg("Check that the address is that of your directory."),
            ) from error  # fmt: skip
        return wire.result(answer)

    def _strange(self) -> ConnectorError:
        return Misconfigured(
            msg("{host} does not speak LDAP on port {port}.", **self.place.names),
            msg("Check the port and the encryption; LDAPS has a port of its own, usually 636."),
        )

    def _elsewhere(self, query: Query, what: str) -> ConnectorError:
        return Misconfigured(
            msg("A part of '{base}' lies on another server, so '{name}' would not be complete.",
                base=query.base, name=what or "-"),
            msg("Connect to the server that has all of it, choose another base, or let such parts be left out."),
            object_name=what or None,
        )  # fmt: skip
