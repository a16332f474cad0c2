"""What runs in the process of a Singer program before the program does: it shuts itself in, and then becomes it.

It is started as a file of its own with what to do as JSON, and uses nothing but the standard library. Each step that
the kernel does not know is left out; `connectors.builtin.singer_apart` says which these are. In this order: limits, no
capabilities (of root), nothing of files but what is named (Landlock), no calls to the kernel that lead around it
(seccomp), and the end together with Syncline.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import resource
import struct
import sys
from typing import Any

_DEATH, _NO_NEW, _SECCOMP, _FILTER, _DROP = 1, 38, 22, 2, 24
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_READ = 1 << 2 | 1 << 3
_RUN = _READ | 1 << 0
_FILE = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
_KNOWN = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Kinds of access to files by the version of Landlock; no more in later ones."""
_NUMBERS: dict[str, tuple[int, int, tuple[int, ...], dict[int, int]]] = {
    # the machine: its name for seccomp; socket; ptrace, process_vm_readv and _writev, setsid, setpgid, io_uring_setup;
    # sendto, sendmsg and sendmmsg, each with the place of its flags
    "x86_64": (0xC000003E, 41, (101, 310, 311, 112, 109, 425), {44: 40, 46: 32, 307: 40}),
    "aarch64": (0xC00000B7, 198, (117, 270, 271, 157, 154, 425), {206: 40, 211: 32, 269: 40}),
}
_LOAD, _SAME, _LESS, _ANY, _AND, _END = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_REFUSE, _ALLOW = (_END, 0, 0, 0x00050000 | errno.EPERM), (_END, 0, 0, 0x7FFF0000)
_UNIX, _INET, _INET6, _NETLINK, _STREAM, _TCP, _FASTOPEN = 1, 2, 10, 16, 1, 6, 0x20000000

libc = ctypes.CDLL(None, use_errno=True)


def landlock() -> int:
    """Return the version of Landlock that the kernel has, 0 for none."""
    return max(int(libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))), 0)


def filters() -> bool:
    """Tell whether calls to the kernel can be filtered on this kind of machine."""
    return platform.machine() in _NUMBERS and os.path.exists("/proc/sys/kernel/seccomp")


def limit(wanted: dict[str, Any]) -> None:  # pragma: no cover - as all below, in the process of the program
    """Bound memory, time of the processor, files, and processes; leave no core behind."""
    bounds = {
        resource.RLIMIT_AS: wanted["memory"] * 1024 * 1024,
        resource.RLIMIT_CPU: wanted["cpu"],
        resource.RLIMIT_NOFILE: wanted["files"],
        resource.RLIMIT_FSIZE: wanted["size"],
        resource.RLIMIT_CORE: 0,
    }
    if os.getuid():
        bounds[resource.RLIMIT_NPROC] = tasks(os.getuid()) + wanted["processes"]
    for kind, most in bounds.items():
        hard = resource.getrlimit(kind)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))


def tasks(user: int) -> int:  # pragma: no cover
    """Return how many tasks a user has now: the kernel counts them all together."""
    count = 0
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == user:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return count


def prctl(option: int, value: int, more: Any = 0) -> int:  # pragma: no cover
    """Ask the kernel for something about this process."""
    return int(libc.prctl(option, ctypes.c_ulong(value), more, 0, 0))


def drop_capabilities() -> None:  # pragma: no cover
    """Take from root all that an ordinary user has not."""
    if os.getuid():
        return
    number = 0
    while prctl(_DROP, number) == 0:
        number += 1
    header, none = struct.pack("Ii", 0x20080522, 0), bytes(24)
    libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(none))


def shut_in(wanted: dict[str, Any]) -> None:  # pragma: no cover
    """Leave only the named folders and files, and only one port to connect to."""
    version = landlock()
    if not version:
        return
    every = (1 << _KNOWN.get(version, 16)) - 1
    net = 3 if version >= 4 and wanted["port"] is not None else 0
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("QQQ", every, net, 3)[:size]  # the last: no signals and no abstract sockets to others
    ruleset = libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "Landlock")
    for names, allowed in ((wanted["read"], _READ), (wanted["run"], _RUN), (wanted["write"], every)):
        for name in names:
            permit(ruleset, name, allowed & every)
    if net:
        rule = struct.pack("QQ", 2, wanted["port"])
        libc.syscall(_ADD, ruleset, 2, rule, 0)
    if libc.syscall(_RESTRICT, ruleset, 0):
        raise OSError(ctypes.get_errno(), "Landlock")
    os.close(ruleset)


def permit(ruleset: int, name: str, allowed: int) -> None:  # pragma: no cover
    """Add a folder or a file that is there."""
    try:
        place = os.open(name, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(name):
        allowed &= _FILE
    libc.syscall(_ADD, ruleset, 1, struct.pack("=Qi", allowed, place), 0)
    os.close(place)


def refuse_calls(wanted: dict[str, Any]) -> None:  # pragma: no cover
    """Refuse what reaches into other processes, and sockets that lead elsewhere than to the one port."""
    if not filters():
        return
    code = steps(alone=wanted["port"] is not None)
    raw = b"".join(struct.pack("HBBI", *step) for step in code)
    kept = ctypes.create_string_buffer(raw, len(raw))
    program = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(kept))
    if prctl(_SECCOMP, _FILTER, ctypes.c_char_p(program)):
        raise OSError(ctypes.get_errno(), "seccomp")


def steps(*, alone: bool) -> list[tuple[int, int, int, int]]:  # pragma: no cover
    """Return the filter for calls to the kernel; `alone` leaves no network but streams, by `connect`."""
    arch, socket, others, sends = _NUMBERS[platform.machine()]
    code = [(_LOAD, 0, 0, 4), (_SAME, 1, 0, arch), _REFUSE, (_LOAD, 0, 0, 0)]
    code += [(_LESS, 0, 1, 0x40000000), _REFUSE]  # another way to call on x86_64
    for number in others:
        code += [(_SAME, 0, 1, number), _REFUSE]
    if alone:
        for number, flags in sends.items():  # these can connect by themselves
            code += [(_SAME, 0, 4, number), (_LOAD, 0, 0, flags), (_ANY, 0, 1, _FASTOPEN), _REFUSE, _ALLOW]
    code += [(_SAME, 1, 0, socket), _ALLOW, (_LOAD, 0, 0, 16), (_SAME, 0, 1, _UNIX), _REFUSE]
    if alone:
        code += [(_SAME, 4, 0, _INET), (_SAME, 3, 0, _INET6), (_SAME, 0, 1, _NETLINK), _ALLOW, _REFUSE]
        code += [(_LOAD, 0, 0, 24), (_AND, 0, 0, 0xF), (_SAME, 1, 0, _STREAM), _REFUSE]
        code += [(_LOAD, 0, 0, 32), (_SAME, 2, 0, 0), (_SAME, 1, 0, _TCP), _REFUSE]
    return [*code, _ALLOW]


def main() -> None:  # pragma: no cover
    """Shut this process in, and become the program."""
    wanted = json.loads(sys.argv[1])
    limit(wanted)
    prctl(_NO_NEW, 1)
    drop_capabilities()
    shut_in(wanted)
    refuse_calls(wanted)
    prctl(_DEATH, 9)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - an operator has installed the program


if __name__ == "__main__":  # pragma: no cover
    main()
