"""What the editor of a whole document underlines."""

from __future__ import annotations

from rules.documents import DocumentProblem
from rules.text import Message, msg
from webapp.rulebook.source import marks, read

TEXT = """kind: sync
left: {connection: crm, where: "a == nme"}
fields:
  - {left: 名, to_right: 'x.trim()'}
  - left: >-
      long
      text
"""


def marked(*problems: DocumentProblem) -> list[tuple[int, str]]:
    """Return the line and the text that each problem underlines."""
    located, _syntax = read(TEXT, "yaml")
    assert located is not None
    found = marks(located, TEXT, problems, str)
    lines = TEXT.split("\n")
    return [(m.line, lines[m.line - 1][m.column - 1 : m.end - 1 if m.end > m.column else None]) for m in found]


def said(text: str) -> Message:
    return msg(text)


def test_a_key_is_underlined_to_the_end_of_its_line() -> None:
    """A value that is wrong as a whole is underlined with its key."""
    assert marked(DocumentProblem("kind", said("wrong"))) == [(1, "kind: sync")]


def test_the_place_inside_an_expression_is_underlined() -> None:
    """A mistake in an expression begins at its word, also behind quotes."""
    problems = [
        DocumentProblem("left/where", said("no field"), 1, 6),
        DocumentProblem("fields/0/to_right", said("no field"), 1, 1, length=1),
    ]
    assert [(line, text.split('"')[0].split("'")[0]) for line, text in marked(*problems)] == [
        (2, "nme"),
        (4, "x"),
    ]


def test_what_cannot_be_found_on_its_line_is_underlined_as_a_whole() -> None:
    """An expression over several lines, and a key that is missing, are shown where their key or the document begins."""
    problems = [DocumentProblem("fields/1/left", said("wrong"), 1, 2), DocumentProblem("key/left", said("missing"))]
    assert [line for line, _text in marked(*problems)] == [5, 1]
