"""Connectors of other packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from connectors import registry
from connectors.errors import Misconfigured
from connectors.spi import Connector

PLUGIN = Path(__file__).parents[1] / "plugin"
USE = """
import json
from connectors import registry
from connectors.spi import Context, ReadRequest
numbers = registry.get("numbers")({"count": 5}, Context())
schema = numbers.schema("numbers")
pages = list(numbers.read(ReadRequest("numbers", schema, page_size=2)))
rest = list(numbers.read(ReadRequest("numbers", schema.select(("square",)), after=pages[0].position)))
print(json.dumps({
    "names": registry.names(),
    "steps": [step.ok for step in numbers.check()],
    "label": numbers.spec.label,
    "rows": [row for page in pages for row in page.records.rows()],
    "rest": [row for page in rest for row in page.records.rows()],
}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the sample plugin as its users do, into a folder of its own."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PLUGIN, folder / "source")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, "--target", folder / "site", folder / "source"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def test_an_installed_plugin_is_found(site: Path) -> None:
    """After `pip install` the connector is in the catalogue and works, without any further step."""
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{PLUGIN.parents[1]}"}
    done = subprocess.run([sys.executable, "-c", USE], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"numbers", "files", "rest", "postgresql"} <= set(found["names"])
    assert found["steps"] == [True]
    assert found["rows"] == [[n, n * n, n % 2 == 0] for n in range(1, 6)]
    assert found["rest"] == [[9], [16], [25]]


def test_an_unknown_connector_is_told() -> None:
    """The message names the connectors that there are."""
    with pytest.raises(Misconfigured, match=r"'numberz'.*files.*rest"):
        registry.get("numberz")
    assert list(registry.names()) == sorted(registry.names())


def test_a_registered_connector_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the house registers counts before the built-in ones."""
    monkeypatch.setattr(registry, "_registered", {})

    class Mine(registry.get("files")):  # type: ignore[misc]
        pass

    registry.register(Mine)
    assert registry.get("files") is Mine


@pytest.mark.parametrize("target", ["no_such_module:X", "json:no_such_name", "json:JSONDecoder"])
def test_a_broken_plugin_is_told_and_harms_nothing(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that cannot be loaded, or is no connector, is an error that names it; the others still work."""

    def points(**wanted: Any) -> Any:
        return EntryPoints([EntryPoint("broken", target, registry.GROUP)]).select(**wanted)

    monkeypatch.setattr(registry, "entry_points", points)
    with pytest.raises(Misconfigured, match="'broken'"):
        registry.get("broken")
    assert "broken" in registry.names()
    assert issubclass(registry.get("files"), Connector)


def test_an_entry_point_leads_to_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an entry point names is loaded when it is asked for."""
    found = EntryPoints([EntryPoint("folders", "connectors.builtin.files:Files", registry.GROUP)])
    monkeypatch.setattr(registry, "entry_points", found.select)
    assert registry.get("folders") is registry.get("files")
