"""Blocks of XML records: what is read fast is what looking at each element would have said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin import files_xml, files_xml_blocks
from connectors.errors import ConnectorError
from connectors.spi import ReadRequest
from rules.schema import Field, FieldType, Schema
from tests.connectors.small_blocks import small_blocks
from tests.connectors.test_files_folder import files

VALUES = st.sampled_from(
    ("1", "", " x ", "a&amp;b", "&#13;\r\n", "客户", "]]&gt;", "a = 'b'", '="', "<i>n</i>", "<![CDATA[ c ]]>t",
     "p<!--c-->q", "<?pi?>", "\x0b", "]]>", "&nope;", "<a>inner</a>", "<row>1</row>"),
)  # fmt: skip
PARTS = st.one_of(
    st.tuples(st.sampled_from("abcd"), VALUES).map(lambda p: f"<{p[0]}>{p[1]}</{p[0]}>"),
    st.sampled_from(("<a/>", "<b />", "<c k='1'>x</c>", '<d xmlns:x="y">1</d>', "<!-- c -->", "text", "<x:e>1</x:e>",
                     "\n  ")),
)  # fmt: skip
PLAIN = st.tuples(st.sampled_from("abcd"), st.sampled_from(("1", "x y", "&lt;"))).map(
    lambda p: f"<{p[0]}>{p[1]}</{p[0]}>"
)
ROWS = st.lists(st.lists(PLAIN, max_size=3) | st.lists(PLAIN | PARTS, max_size=4), max_size=8)
STRAY = st.sampled_from(("", "\n", "<other>1</other>", "<!-- c -->", "<more><row><a>deep</a></row></more>"))
SCHEMA = Schema((Field("a"), Field("b"), Field("d", FieldType.JSON), Field("@k")))


def read(folder: Path, path: str, *, fast: bool, size: int) -> list[Any]:
    found: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        if not fast:
            patch.setattr(files_xml, "document", lambda *_: None)
        small_blocks(patch, files_xml_blocks, 200)
        try:
            for page in files(folder, record_path=path).read(ReadRequest("a.xml", SCHEMA, page_size=size)):
                found += page.records.rows()
                assert page.records.height <= size
        except ConnectorError as error:
            found.append(type(error).__name__)
    return found


@given(
    rows=ROWS,
    stray=STRAY,
    path=st.sampled_from(("", "row", "doc/row")),
    size=st.sampled_from((1, 3, 100)),
    ended=st.booleans(),
)
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_ways_say_the_same(
    tmp_path: Path, rows: list[list[str]], stray: str, path: str, *, size: int, ended: bool
) -> None:
    """Values, empty ones and missing ones are the same, whatever else is in the document, and so are mistakes."""
    records = stray.join(f"<row>{''.join(parts)}</row>\n" for parts in rows)
    text = f"<?xml version='1.0'?>\n<doc xmlns:x='y'>{stray}{records}{'</doc>' if ended else ''}"
    (tmp_path / "a.xml").write_text(text, newline="")
    slow, fast = (read(tmp_path, path, fast=which, size=size) for which in (False, True))
    if slow and isinstance(slow[-1], str):  # what is before a mistake may be read or not, but it is told
        assert fast[-1] == slow[-1]
        slow, fast = slow[:-1], fast[:-1]
        assert fast[: len(slow)] == slow[: len(fast)]
    else:
        assert fast == slow


def test_a_read_goes_on_behind_any_page(tmp_path: Path) -> None:
    """Records behind any place are those that would have followed, and are shown as they are."""
    (tmp_path / "a.xml").write_text("<d>" + "".join(f"<row><a>{n}</a><b/></row>" for n in range(50)) + "</d>")
    connector = files(tmp_path)
    schema = Schema((Field("a", FieldType.INTEGER), Field("b")))
    pages = list(connector.read(ReadRequest("a.xml", schema, page_size=7)))
    everything = [row for page in pages for row in page.records.rows()]
    assert everything == [(n, "") for n in range(50)]
    for page in pages:
        rest = connector.read(ReadRequest("a.xml", schema, page_size=7, after=page.position))
        done = page.position["place"]
        assert [row for later in rest for row in later.records.rows()] == everything[done:]
    wrong = Schema((Field("a", FieldType.BOOLEAN),))
    (reject, *_) = next(connector.read(ReadRequest("a.xml", wrong, after=pages[0].position))).rejects
    assert (reject.place, reject.raw) == ("record 8", "<row><a>7</a><b/></row>")
