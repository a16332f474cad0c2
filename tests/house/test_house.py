"""The house rules that no other tool checks."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    path
    for folder in ("rules", "connectors", "webapp")
    for path in (ROOT / folder).rglob("*.py")
    if "versions" not in path.parts
)
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]
LONGEST = 400


@pytest.mark.parametrize("path", [*MODULES, ROOT / "config.py", ROOT / "wsgi.py"], ids=[*NAMES, "config.py", "wsgi.py"])
def test_modules_are_short(path: Path) -> None:
    """A module has at most 400 lines."""
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST


def test_modules_are_named_by_their_noun() -> None:
    """No module is called utils, helpers, common, misc or manager."""
    assert [name for name in NAMES if re.search(r"(^|_|/)(utils?|helpers?|common|misc|managers?)(_|\.py$)", name)] == []


def test_only_config_reads_the_environment() -> None:
    """Settings are read once, in config.py."""
    pattern = re.compile(r"\bos\.(environ|getenv|putenv)\b|\bfrom os import .*\b(environ|getenv)\b")
    assert [name for name, path in zip(NAMES, MODULES, strict=True) if pattern.search(path.read_text("utf-8"))] == []


def test_every_module_says_what_it_is_for() -> None:
    """A module or package begins with a sentence about itself."""
    without = [
        name
        for name, path in zip(NAMES, MODULES, strict=True)
        if path.stat().st_size and not re.match(r'(#.*\n)*"""\S', path.read_text("utf-8"))
    ]
    assert without == []


def test_the_front_ends_lock_names_no_address() -> None:
    """package-lock.json names packages and their digests, not where they came from."""
    assert "://" not in re.sub(r'"(url|funding|homepage)": "[^"]*"', "", (ROOT / "package-lock.json").read_text())


@functools.cache
def _named(path: Path) -> frozenset[str]:
    """Return the whole names of what a module imports, calls or reads."""
    return frozenset(_names(path))


def _names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield f"{node.func.id}()"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


def _who(pattern: str) -> set[str]:
    """Return the modules that use what the pattern names."""
    wanted = re.compile(pattern)
    return {n for n, p in zip(NAMES, MODULES, strict=True) if any(wanted.fullmatch(used) for used in _named(p))}


def test_no_text_becomes_code() -> None:
    """Nothing executes or unpickles a text, builds a page from one, or hands one to a shell."""
    assert _who(r"(eval|exec|compile|__import__)\(\)|(pickle|marshal|shelve|dill)(\..*)?") == set()
    assert _who(r"os\.(system|popen)|subprocess\.(getoutput|getstatusoutput)|flask\.render_template_string") == set()
    assert _who(r"jinja2\.(Environment|Template)|yaml\.(load_all|unsafe_load|full_load|Loader)") == set()
    for path in MODULES:
        assert not re.search(r"shell\s*=\s*True", path.read_text("utf-8")), path


def test_chance_that_must_not_be_guessed() -> None:
    """What can be foretold spreads load only; all else is of the operating system."""
    used = {name for name in _who(r"random(\..*)?|numpy\.random(\..*)?") if not name.startswith("webapp/demo/")}
    assert used == {"webapp/worker.py", "webapp/runs/pipeline/retry.py"}


def test_weak_hashes_protect_nothing_of_ours() -> None:
    """MD5 and SHA-1 are there for other systems that ask for them; modes of ciphers are chosen in few places."""
    ours = {n for n in _who(r"hashlib\.(md5|sha1|new)|hashes\.(MD5|SHA1)") if not n.startswith("connectors/builtin/")}
    assert ours == {"rules/language/functions/encodings.py"}, "functions of rules, to match values of other systems"
    chosen = _who(r"modes\..*|.*\.(modes|algorithms)\..*|padding\.PKCS1v15")
    assert {name for name in chosen if not name.startswith("connectors/builtin/")} <= {"webapp/access/saml_answer.py"}
    sealed = _who(r"cryptography\.hazmat\.primitives\.ciphers\..*")
    assert sealed - {"connectors/builtin/files_place_sftp.py"} == {
        f"webapp/vault/{name}.py" for name in ("at_rest", "people", "providers", "sealing")
    }
    assert all("AESGCM" in (ROOT / name).read_text("utf-8") for name in sealed if name.startswith("webapp/"))
