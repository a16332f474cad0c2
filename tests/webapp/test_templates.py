"""What holds for all templates, styles and scripts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SOURCES = sorted(path for path in (ROOT / "webapp/static/src").rglob("*") if path.suffix in {".js", ".css"})
NAMES = [str(path.relative_to(ROOT / "templates")) for path in TEMPLATES]


def test_templates_parse(app):
    """Each template can be compiled."""
    for name in NAMES:
        app.jinja_env.get_template(name)


@pytest.mark.parametrize("path", TEMPLATES, ids=NAMES)
def test_template_has_nothing_inline(path):
    """No template has an inline style, an inline script, an event attribute or an address of another host."""
    text = re.sub(r"\{#.*?#\}", "", path.read_text("utf-8"), flags=re.S)
    assert not re.search(r"<[^>]*\sstyle\s*=", text), "style attribute"
    assert "<style" not in text
    assert not re.search(r"<[^>{]*\son[a-z]+\s*=", text), "event attribute"
    for script in re.findall(r"<script\b([^>]*)>(.*?)</script>", text, flags=re.S):
        assert "src=" in script[0], "a script without src"
        assert not script[1].strip(), "an inline script"
    assert not re.search(r"""(?:src|href|action)\s*=\s*["'](?:https?:)?//""", text), "an address of another host"
    assert "|safe" not in text.replace(" ", ""), "unescaped output"


@pytest.mark.parametrize("path", TEMPLATES, ids=NAMES)
def test_post_forms_carry_the_token(path):
    """Each form that posts carries the token against forged requests."""
    text = path.read_text("utf-8")
    macros = [name for name, body in re.findall(r"\{%-? macro (\w+)(.*?)endmacro", text, flags=re.S) if "csrf" in body]
    for form in re.findall(r"<form\b[^>]*method=\"post\".*?</form>", text, flags=re.S | re.I):
        assert "csrf" in form or any(f"{name}()" in form for name in macros), form[:200]


@pytest.mark.parametrize("path", TEMPLATES, ids=NAMES)
def test_texts_are_marked_for_translation(path):
    """No template holds a sentence that is not marked for translation."""
    text = re.sub(r"\{#.*?#\}|<(script|code|pre|kbd)\b.*?</\1>", "", path.read_text("utf-8"), flags=re.S)
    text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "\0", text, flags=re.S)
    for piece in re.findall(r">([^<>]*)<", text):
        words = re.sub(r"&\w+;|\0", " ", piece).split()
        left = [
            word
            for word in words
            if re.fullmatch(r"[A-Za-z]{3,}[.,:]?", word) and word != "Syncline" and not word.isupper()
        ]
        assert not left, piece.strip()


@pytest.mark.parametrize("path", SOURCES, ids=[path.name for path in SOURCES])
def test_scripts_need_no_exception_from_the_policy(path):
    """Scripts build no code or markup from text, and nothing asks another host."""
    text = path.read_text("utf-8")
    assert not re.search(
        r"\beval\(|new Function|document\.write|\.innerHTML\s*=|insertAdjacentHTML|setAttribute\(\s*[\"']style", text
    )
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)


def test_browsers_keep_tastes_only():
    """What scripts keep in the browser is the choice of colours and of an editor; nothing else is kept anywhere."""
    kept = set()
    for path in SOURCES:
        text = path.read_text("utf-8")
        assert not re.search(r"sessionStorage|indexedDB|document\.cookie|caches\.open|postMessage", text), path
        kept |= set(re.findall(r"localStorage\.\w+\(([^,)]+)", text))
    assert kept == {'"syncline-theme"', "CHOICE"}
    assert 'CHOICE = "syncline-' in (ROOT / "webapp/static/src/expression/controller.js").read_text("utf-8")


def test_front_end_packages_are_pinned_and_free():
    """Every package has a fixed version and a permissive licence, and the lock file names no registry."""
    direct = json.loads((ROOT / "package.json").read_text())
    versions = {**direct["dependencies"], **direct["devDependencies"]}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions.values())
    lock = json.loads((ROOT / "package-lock.json").read_text())
    assert "resolved" not in (ROOT / "package-lock.json").read_text()
    for name, package in lock["packages"].items():
        fit = {"MIT", "Apache-2.0", "BSD-3-Clause", "BSD-2-Clause", "0BSD", "ISC"}
        fit |= {"MPL-2.0"} if package.get("dev") else set()  # what only builds and tests is handed to nobody
        assert not name or package["license"] in fit, name


def test_icons_exist():
    """Each icon that a template names is in the sprite."""
    known = set((ROOT / "webapp/static/src/icons.txt").read_text().split())
    for path in TEMPLATES:
        used = re.findall(r"""\b(?:ui\.)?(?:icon|icon_name)\s*[(=]\s*["']([a-z0-9-]+)["']""", path.read_text("utf-8"))
        used += re.findall(r"""ui\.empty\(\s*["']([a-z0-9-]+)["']""", path.read_text("utf-8"))
        assert set(used) <= known, f"{path.name}: {set(used) - known}"
