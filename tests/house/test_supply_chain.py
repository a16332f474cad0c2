"""What is installed is what was locked, and everybody may use it."""

from __future__ import annotations

import json
import re
from importlib import metadata, resources
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from tools import lock, supply_chain
from tools.supply_chain import Part

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-test.lock", "requirements-build.lock", "requirements-node.lock")


def locked(file: str) -> dict[str, str]:
    return dict(re.findall(r"(?m)^(\S+)==(\S+) \\$", (ROOT / file).read_text("utf-8")))


def cyclonedx() -> Draft7Validator:
    """Return what checks a bill of materials against the schema that its standard publishes."""
    folder = resources.files("cyclonedx.schema") / "_res"
    told = {
        name: json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text("utf-8"))
        for name in ("bom-1.6", "spdx", "jsf-0.82")
    }
    known = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in told.values())
    return Draft7Validator(told["bom-1.6"], registry=known)


@pytest.mark.parametrize("file", LOCKS)
def test_a_lock_names_versions_and_digests_and_no_address(file):
    """Each package has its exact version and digests of its files; where they come from is not said."""
    one = r"[a-z0-9.-]+==[A-Za-z0-9_.+!-]+( \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    assert re.fullmatch(f"({one})+", (ROOT / file).read_text("utf-8"))


def test_all_that_is_needed_is_locked():
    """The locks hold what the product and its tests need, in the versions that are installed, and nothing else."""
    product, tests = lock.needed(), lock.needed(("test", "check"))
    assert locked("requirements.lock").keys() == product - lock.BUILD
    assert locked("requirements-test.lock").keys() == tests - product - lock.BUILD
    found = locked("requirements.lock") | locked("requirements-test.lock")
    assert found == {name: metadata.version(name) for name in found}


def test_the_bill_of_materials():
    """It is valid CycloneDX and names each package of the locks, with its licence and digests; all licences fit."""
    parts = list(supply_chain.python_parts((ROOT / "requirements.lock").read_text("utf-8")))
    parts += supply_chain.front_end_parts(json.loads((ROOT / "package-lock.json").read_text("utf-8")))
    assert [part.name for part in parts if not part.fits] == []
    text = supply_chain.bill(parts, "1.0")
    assert [error.message for error in cyclonedx().iter_errors(json.loads(text))] == []
    told = {one["name"]: one for one in json.loads(text)["components"]}
    assert told.keys() == {part.name for part in parts}
    assert told["flask"]["purl"].startswith("pkg:pypi/flask@")
    assert "esbuild" not in told


@pytest.mark.parametrize(
    ("licence", "fits"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-2.0-only OR MIT", True),
        ("MIT AND GPL-2.0-only", False),
        ("", False),
    ],
)
def test_licences_that_do_not_fit_are_told(licence, fits):
    """One licence that fits is enough where there is a choice; all have to where they count together."""
    assert Part("pypi", "a", "1", licence).fits is fits
