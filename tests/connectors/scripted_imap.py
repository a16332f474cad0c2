"""Rebuilt mail servers for what real ones do not do: they answer each command as a test says, over a real socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping

CUT = "<cut>"
"""An answer that ends with this hangs up behind it."""
USUAL: Mapping[str, str] = {
    "CAPABILITY": "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{tag} OK done",
    "AUTHENTICATE": "{tag} OK in",
    "LOGIN": "{tag} OK in",
    "LIST": '* LIST () "/" INBOX\r\n{tag} OK done',
    "STATUS": "* STATUS INBOX (MESSAGES 1)\r\n{tag} OK done",
    "EXAMINE": "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] fine\r\n{tag} OK done",
    "SELECT": "* 1 EXISTS\r\n* OK [UIDVALIDITY 7] fine\r\n{tag} OK done",
    "UID SEARCH": "* SEARCH 1\r\n{tag} OK done",
    "UID FETCH": '* 1 FETCH (UID 1 FLAGS () INTERNALDATE "never" RFC822.SIZE 10 BODY[] "")\r\n{tag} OK done',
    "LOGOUT": "* BYE bye",
}
"""Answers by how a command begins; an empty one hangs up."""


def _answer(script: Mapping[str, str], line: str) -> str:
    _, _, command = line.partition(" ")
    known = max((name for name in script if command.startswith(name)), key=len, default="")
    return script.get(known, "{tag} BAD what") if known else "{tag} BAD what"


def _smtp(peer: socket.socket, script: Mapping[str, str], asked: list[str]) -> None:
    with contextlib.suppress(OSError, ValueError), peer, peer.makefile("rb") as stream:
        peer.sendall(f"{script.get('GREETING', '220 hello')}\r\n".encode())
        while raw := stream.readline():
            asked.append(raw.decode().strip())
            peer.sendall(f"{script.get(asked[-1].partition(' ')[0].upper(), '250 OK')}\r\n".encode())


def _serve(peer: socket.socket, script: Mapping[str, str], asked: list[str]) -> None:
    with contextlib.suppress(OSError, ValueError), peer, peer.makefile("rb") as stream:
        peer.sendall(script.get("", "* OK hello").encode("latin-1") + b"\r\n")
        while raw := stream.readline():
            line = raw.decode("latin-1").strip()
            tag = line.partition(" ")[0]
            asked.append(line.partition(" ")[2])
            if line.endswith("}") and "literal" in script:
                peer.sendall(f"* 1 EXISTS\r\n{tag} {script['literal']}\r\n".encode())
                continue
            while line.endswith("}"):
                peer.sendall(b"+ go on\r\n")
                stream.read(int(line.rpartition("{")[2][:-1]))
                line = stream.readline().decode("latin-1").strip()
                asked[-1] += line
            if "AUTHENTICATE" in raw.decode():
                peer.sendall(b"+ go on\r\n")
                stream.readline()
            said = _answer(script, f"{tag} {asked[-1]}")
            if not said:
                return
            peer.sendall(said.replace("{tag}", tag).removesuffix(CUT).encode("latin-1") + b"\r\n")
            if said.endswith(CUT):
                return


@contextlib.contextmanager
def scripted(**answers: str) -> Iterator[tuple[int, list[str]]]:
    """Run a server; yield its port and the commands it was given. Of names, `_` stands for a blank."""
    script = {**USUAL, **{name.replace("_", " "): said for name, said in answers.items()}}
    if "greeting" in script:
        script[""] = script.pop("greeting")
    with _running(_serve, script) as found:
        yield found


@contextlib.contextmanager
def scripted_smtp(answers: Mapping[str, str]) -> Iterator[tuple[int, list[str]]]:
    """Run a mail server that answers commands as given, GREETING being the first; all others are fine."""
    with _running(_smtp, answers) as found:
        yield found


@contextlib.contextmanager
def _running(
    serve: Callable[[socket.socket, Mapping[str, str], list[str]], None], script: Mapping[str, str]
) -> Iterator[tuple[int, list[str]]]:
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listening.accept()
                    threading.Thread(target=serve, args=(peer, script, asked), daemon=True).start()

        threading.Thread(target=run, daemon=True).start()
        yield listening.getsockname()[1], asked
        listening.shutdown(socket.SHUT_RDWR)
