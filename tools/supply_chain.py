"""What the product is made of: `make audit` writes build/sbom.json (CycloneDX 1.6) and build/licences.md.

Both tell of the packages that `requirements.lock` and `package-lock.json` name, those of tests and builds left out. A
package whose licence does not fit a product that anybody may use makes it fail, as does one whose licence is not known.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
FITS = frozenset({
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "MIT-CMU", "MPL-2.0",
    "OFL-1.1",
    "PSF-2.0", "Unlicense", "UPL-1.0", "Zlib",
    "LGPL-2.1", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later",
})  # fmt: skip
"""Licences that fit; those of the LGPL because the packages are used as libraries that anybody can replace."""
WORDS = {
    "Apache Software License": "Apache-2.0", "BSD License": "BSD-3-Clause", "MIT License": "MIT",
    "ISC License (ISCL)": "ISC", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0", "The Unlicense (Unlicense)": "Unlicense",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.1-or-later",
    "Apache 2": "Apache-2.0", "Apache 2.0": "Apache-2.0", "Apache License 2.0": "Apache-2.0", "MIT license": "MIT",
    "3-Clause BSD License": "BSD-3-Clause",
}  # fmt: skip
"""How packages without an expression of SPDX call their licences."""
READ = {"pyrage": "MIT"}
"""Licences of packages that bring the text of theirs and do not name it; read by a person."""


@dataclass(frozen=True)
class Part:
    """One package: where it comes from ("pypi" or "npm"), its licence as SPDX says it, and its digests."""

    kind: str
    name: str
    version: str
    licence: str
    digests: tuple[tuple[HashAlgorithm, str], ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """Return its package URL."""
        space, _, name = self.name.rpartition("/")
        return PackageURL(self.kind, space or None, name, self.version).to_string()

    @property
    def fits(self) -> bool:
        """Tell whether one of the licences that it is offered under fits, all of them where all count at once."""
        offers = re.sub(r"[()]", "", self.licence).split(" OR ")
        return any(all(one.strip() in FITS for one in offer.split(" AND ")) for offer in offers)


def python_parts(lock: str) -> Iterator[Part]:
    """Yield the Python packages of a lock, which have to be installed."""
    locked = {}
    for block in re.split(r"(?m)^(?=\S)", lock):
        if found := re.match(r"(\S+)==(\S+)", block):
            locked[canonicalize_name(found[1])] = (found[2], re.findall(r"--hash=sha256:(\w+)", block))
    for name, (version, digests) in locked.items():
        told = metadata.metadata(name)
        wanted = (Requirement(text) for text in metadata.requires(name) or ())
        needs = {canonicalize_name(one.name) for one in wanted if not one.marker or one.marker.evaluate({"extra": ""})}
        yield Part(
            "pypi", name, version, licence_of(told), tuple((HashAlgorithm.SHA_256, one) for one in digests),
            tuple(sorted(needs & locked.keys())),
        )  # fmt: skip


def licence_of(told: Any) -> str:
    """Return the licence of a package from what it says of itself; empty where that is not known."""
    if told.get("License-Expression"):
        return str(told["License-Expression"])
    words = [text.rpartition(" :: ")[2] for text in told.get_all("Classifier") or () if text.startswith("License ::")]
    said = (told.get("License") or "").strip()
    if said in FITS:
        return said
    known = [WORDS[word] for word in (*words, said) if word in WORDS]
    return " OR ".join(dict.fromkeys(known)) or READ.get(str(told["Name"]), "")


def front_end_parts(lock: Mapping[str, Any]) -> Iterator[Part]:
    """Yield what the front end is built of, but for what only builds it."""
    for place, told in lock["packages"].items():
        if not place or told.get("dev"):
            continue
        kind, _, digest = told.get("integrity", "").partition("-")
        digests = ((HashAlgorithm.SHA_512, base64.b64decode(digest).hex()),) if kind == "sha512" else ()
        needs = tuple(sorted(told.get("dependencies", {})))
        name = place.rpartition("node_modules/")[2]
        yield Part("npm", name, told["version"], told.get("license", ""), digests, needs)


def bill(parts: list[Part], version: str) -> str:
    """Return the bill of materials as CycloneDX JSON."""
    product = Component(name="syncline", version=version, type=ComponentType.APPLICATION, bom_ref="syncline")
    bom = Bom()
    bom.metadata.component = product
    made = {(part.kind, part.name): _component(part) for part in parts}
    for part in parts:
        needed = [made[part.kind, name] for name in part.needs if (part.kind, name) in made]
        bom.components.add(made[part.kind, part.name])
        bom.register_dependency(made[part.kind, part.name], needed)
    bom.register_dependency(product, made.values())
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)


def _component(part: Part) -> Component:
    return Component(
        name=part.name, version=part.version, type=ComponentType.LIBRARY, bom_ref=part.reference,
        purl=PackageURL.from_string(part.reference), licenses=[LicenseExpression(part.licence)] if part.licence else [],
        hashes=[HashType(alg=algorithm, content=digest) for algorithm, digest in part.digests],
    )  # fmt: skip


def report(parts: list[Part]) -> str:
    """Return the licences of all parts as a table."""
    rows = [f"| {part.name} | {part.version} | {part.kind} | {part.licence or 'not known'} |" for part in parts]
    return "\n".join(["| Package | Version | From | Licence |", "|---|---|---|---|", *rows, ""])


def main() -> None:
    """Write both, and say what does not fit."""
    python = python_parts((ROOT / "requirements.lock").read_text("utf-8"))
    front_end = front_end_parts(json.loads((ROOT / "package-lock.json").read_text("utf-8")))
    parts = [*python, *front_end]
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    (build / "sbom.json").write_text(bill(parts, metadata.version("syncline")), "utf-8")
    (build / "licences.md").write_text(report(parts), "utf-8")
    print(f"{len(parts)} packages: build/sbom.json, build/licences.md")
    misfits = [f"{part.name} {part.version}: {part.licence or 'licence not known'}" for part in parts if not part.fits]
    if misfits:
        sys.exit("Licences that do not fit, or are not known:\n" + "\n".join(misfits))


if __name__ == "__main__":
    main()
