"""The documentation is complete, current, and its links lead somewhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

import config
from connectors import registry
from tests.docs import reference
from webapp.configuration import files, schemas, services
from webapp.configuration.kinds import KINDS
from webapp.demo.systems import CONFIGURATION

ROOT = reference.ROOT
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
STALE = "run `make docs`"


@cache
def made() -> dict[Path, str]:
    return reference.pages()


@pytest.mark.parametrize("name", ["cli.md", "api.md", "configuration.md", "configuration-files.md"])
def test_pages_made_from_code_are_current(name: str) -> None:
    """Commands, operations, settings and kinds are documented as they are."""
    path = ROOT / "docs" / name
    assert path.read_text("utf-8") == made()[path], STALE


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_current(kind: str) -> None:
    """Each kind of document has a published JSON Schema, which is valid and current."""
    path = ROOT / "docs" / "schemas" / f"{kind}.json"
    assert path.read_text("utf-8") == made()[path], STALE
    Draft202012Validator.check_schema(schemas.SCHEMAS[kind]())


def test_every_setting_is_documented() -> None:
    """docs/configuration.md names every setting with its default."""
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    assert [v.name for v in config.SETTINGS if f"| `{v.name}` |" not in text] == []


def test_no_setting_is_invented() -> None:
    """Documentation speaks of no setting that does not exist."""
    known = {v.name for v in config.SETTINGS} | {
        "SYNCLINE_MASTER_KEY",
        "SYNCLINE_KEY_LOGIN",
        "SYNCLINE_SMTP_PASSWORD",
        "SYNCLINE_OIDC_CLIENT_SECRET",
        "SYNCLINE_LDAP_PASSWORD",
        "SYNCLINE_METRICS_TOKEN",
        "SYNCLINE_OTLP_HEADERS",
    }
    for page in PAGES:
        named = set(re.findall(r"SYNCLINE_[A-Z_]+[A-Z]", page.read_text("utf-8")))
        assert named <= known, page


def test_every_command_is_documented() -> None:
    """docs/cli.md has a heading for every command."""
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    missing = [name for name, _ in reference.commands() if f"# `{name.removeprefix('syncline ')}`" not in text]
    assert missing == []


@pytest.mark.parametrize("name", registry.BUILTIN)
def test_every_connector_is_documented(name: str) -> None:
    """docs/connectors.md names every built-in connector and each of its settings."""
    text = (ROOT / "docs" / "connectors.md").read_text("utf-8")
    assert f"`{name}`" in text
    missing = [setting.name for setting in registry.get(name).spec.settings if f"`{setting.name}`" not in text]
    assert missing == []


@pytest.mark.parametrize("path", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_links_lead_somewhere(path: Path) -> None:
    """A link between pages names a file that exists, and a heading that it has."""
    for target in re.findall(r"\]\(([^)\s]+)\)", _without_code(path.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), f"{target} in {path.name}"
        if anchor:
            assert anchor in _anchors(found), f"{target} in {path.name}"


def _without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ +(.+)$", path.read_text("utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_example_of_configuration_files_is_right() -> None:
    """The documents that docs/configuration-files.md shows are accepted."""
    text = (ROOT / "docs" / "configuration-files.md").read_text("utf-8")
    example = re.search(r"```yaml\n(.*?)```", text, flags=re.S)
    assert example
    stated = files.read_text(example[1], "example.yaml", ROOT)
    assert {one.kind for one in stated} == set(KINDS)
    services._check(stated)


def test_the_demos_configuration_is_right() -> None:
    """The demo's files are accepted, and hold what the README promises."""
    stated = files.read([CONFIGURATION])
    services._check(stated)
    assert [one.kind for one in stated].count("sync") == 4


def test_the_readme_names_the_two_commands() -> None:
    """A newcomer finds `make run` and `make demo`."""
    text = (ROOT / "README.md").read_text("utf-8")
    assert "make run" in text
    assert "make demo" in text


def test_yaml_examples_can_be_read() -> None:
    """Every YAML example in the documentation is YAML."""
    for page in PAGES:
        for example in re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), flags=re.S):
            assert list(yaml.safe_load_all(example)), page
