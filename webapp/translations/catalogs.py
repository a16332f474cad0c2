"""Finding texts in code and templates, merging them into the catalogs, compiling, and telling what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LANGUAGES = ("zh",)
SOURCES = ("webapp", "rules", "connectors", "templates")
KEYWORDS: dict[str, Any] = {
    "_": None,
    "gettext": None,
    "lazy_gettext": None,
    "N_": None,
    "msg": None,
    "ngettext": (1, 2),
}
METHODS = [("**.py", "python"), ("**.html", "jinja2")]
OPTIONS = {"**.html": {"encoding": "utf-8", "silent": "false"}}
_PLACES = re.compile(r"%\(\w+\)[sd]|\{\w*\}")


def path_of(language: str) -> Path:
    """Return where a language's catalog is."""
    return HERE / language / "LC_MESSAGES" / "messages.po"


def extract() -> Catalog:
    """Return all texts that code and templates mark for translation."""
    catalog = Catalog(project="Syncline", charset="utf-8")
    for source in SOURCES:
        found = extract_from_dir(ROOT / source, METHODS, OPTIONS, keywords=KEYWORDS, directory_filter=_wanted)
        for name, line, text, comments, context in found:
            if text and text not in ("", ("", "")):
                catalog.add(text, None, [(f"{source}/{name}", line)], auto_comments=comments, context=context)
    return catalog


def _wanted(folder: str) -> bool:
    return Path(folder).name not in {"static", "translations", "versions", "__pycache__"}


def read(language: str) -> Catalog:
    """Return a language's catalog; empty where there is none yet."""
    path = path_of(language)
    if not path.exists():
        return Catalog(locale=language, project="Syncline")
    with path.open("rb") as file:
        return read_po(file, locale=language)


def update(language: str) -> Path:
    """Bring a language's catalog to the texts of today: new ones come empty, gone ones go; nothing is guessed."""
    catalog, path = read(language), path_of(language)
    catalog.update(extract(), no_fuzzy_matching=True, update_header_comment=False)
    catalog.obsolete.clear()
    catalog.fuzzy = False
    catalog.header_comment = "# Texts of Syncline's console."
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(
            file, catalog, width=120, sort_by_file=False, sort_output=True, include_lineno=False, omit_header=False
        )
    _drop_dates(path)
    return path


def _drop_dates(path: Path) -> None:
    """Take the dates out of the header, so that an update without a change changes nothing."""
    lines = path.read_text("utf-8").splitlines(keepends=True)
    gone = (
        '"POT-Creation-Date',
        '"PO-Revision-Date',
        '"Last-Translator',
        '"Language-Team',
        '"Report-Msgid-Bugs-To',
        '"Generated-By',
    )
    path.write_text("".join(line for line in lines if not line.startswith(gone)), "utf-8")


def compile_catalog(language: str) -> Path:
    """Write what the console reads."""
    path = path_of(language).with_suffix(".mo")
    with path.open("wb") as file:
        write_mo(file, read(language))
    return path


def problems(language: str) -> Iterator[str]:
    """Tell which texts have no translation, and which translations have other places than their text."""
    catalog = read(language)
    for text in extract():
        if not text.id:
            continue
        mine = catalog.get(text.id, text.context)
        if mine is None or not _complete(mine):
            yield f"not translated: {_first(text)!r}"
        else:
            yield from _other_places(mine)


def _complete(message: Message) -> bool:
    strings = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
    return all(strings) and not message.fuzzy


def _other_places(message: Message) -> Iterator[str]:
    sources = message.id if isinstance(message.id, (tuple, list)) else (message.id,)
    strings = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
    if sources == ("{in_english}",):
        return  # what an administrator wrote in both languages: each catalog takes its own
    allowed = {place for source in sources for place in _PLACES.findall(source)}
    needed = set(_PLACES.findall(sources[-1]))
    for string in strings:
        found = set(_PLACES.findall(string or ""))
        if found - allowed or needed - found:
            yield f"other places than the text: {_first(message)!r} -> {string!r}"


def _first(message: Message) -> str:
    return str(message.id[0] if isinstance(message.id, (tuple, list)) else message.id)
