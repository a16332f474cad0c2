"""Write down the passwords that are known to everybody and that the judge of passwords lets through.

From a list of well-known passwords, one a line, the most common first: those that are long enough and that zxcvbn does
not see through, each as the first five bytes of the SHA-256 of its small letters, sorted. It reads the list that is
named, such as that of the ten million passwords that Mark Burnett has put into the public domain, and writes
webapp/access/breached.bin.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from webapp.access import breached, passwords

_AT_ONCE = 500


def main(source: Path) -> None:
    """Read a list, and write what is shipped of it."""
    lines = source.read_text("utf-8", "replace").splitlines()
    long = sorted({line for line in lines if passwords.SHORTEST <= len(line) <= passwords.LONGEST})
    with ProcessPoolExecutor() as pool:
        passed = pool.map(passwords.seems_safe, long, chunksize=_AT_ONCE)
        kept = [text for text, safe in zip(long, passed, strict=True) if safe]
    breached.FILE.write_bytes(b"".join(sorted({breached.mark(text) for text in kept})))
    sys.stdout.write(f"{len(kept)} of {len(long)} of {len(lines)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
