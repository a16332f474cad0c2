"""The report of an evidence package as PDF. Chinese is set in a font that every reader of PDF brings along."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, LongTable, Paragraph, SimpleDocTemplate, Spacer, Table

from webapp.evidence import report
from webapp.evidence.report import Entry, Head, Words

MOST = 1_000
"""So many events are printed; all of them are in report.html."""
_EAST = "STSong-Light"
_BEYOND = re.compile(r"[^\x00-\xff]+")
_PLAIN = ParagraphStyle("plain", fontName="Helvetica", fontSize=8, leading=11, wordWrap="CJK")
_SOFT = ParagraphStyle("soft", parent=_PLAIN, textColor=colors.HexColor("#5c6965"), fontSize=7, leading=9)
_TITLE = ParagraphStyle("title", parent=_PLAIN, fontName="Helvetica-Bold", fontSize=15, leading=20)
_HEAD = ParagraphStyle("head", parent=_PLAIN, fontName="Helvetica-Bold", fontSize=10, leading=16, spaceBefore=8)
_LINE = ("LINEABOVE", (0, 0), (-1, -1), 0.4, colors.HexColor("#dde3e0"))
_TOP = ("VALIGN", (0, 0), (-1, -1), "TOP")


def made(words: Words, head: Head, entries: Sequence[Entry]) -> bytes:
    """Return the report."""
    if _EAST not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(_EAST))
    sink, title = io.BytesIO(), words(report.TITLE)
    margins: dict[str, Any] = {
        "leftMargin": 16 * mm,
        "rightMargin": 16 * mm,
        "topMargin": 16 * mm,
        "bottomMargin": 18 * mm,
    }
    document = SimpleDocTemplate(sink, pagesize=A4, title=title, author="Syncline", **margins)
    document.build([*_parts(words, head, entries)], onFirstPage=_foot(head), onLaterPages=_foot(head))
    return sink.getvalue()


def _parts(words: Words, head: Head, entries: Sequence[Entry]) -> Iterator[Flowable]:
    yield Paragraph(_text(words(report.TITLE)), _TITLE)
    yield Spacer(1, 3 * mm)
    facts = [[Paragraph(_text(name), _SOFT), Paragraph(_text(value), _PLAIN)] for name, value in head.facts(words)]
    yield Table(facts, colWidths=[38 * mm, 140 * mm], style=[_TOP])
    yield Paragraph(_text(words(report.CHECK)), _HEAD)
    yield Paragraph(_text(words(report.CHECKED)), _PLAIN)
    yield Paragraph(_text(words(report.LABELS["events"])), _HEAD)
    if head.events > len(entries):
        yield Paragraph(_text(words(report.SHORTENED, count=len(entries))), _PLAIN)
    heads = [Paragraph(_text(words(name)), _SOFT) for name in report.COLUMNS]
    rows: list[list[Any]] = [[*heads], *map(_row, entries)]
    yield LongTable(rows, colWidths=[18 * mm, 27 * mm, 33 * mm, 100 * mm], repeatRows=1, style=[_LINE, _TOP])


def _row(entry: Entry) -> list[Any]:
    told: list[Flowable] = [Paragraph(_text(entry.what), _PLAIN), Paragraph(_text(entry.about), _SOFT)]
    told += [Paragraph(_text(entry.reason), _PLAIN)] if entry.reason else []
    for name, before, after in entry.changes:
        old = f"<strike>{_text(before)}</strike> " if before else ""
        told.append(Paragraph(f"{_text(name)}: {old}{_text(after)}", _SOFT))
    place = Paragraph(f"{entry.place + 1}<br/>#{entry.event_id}", _SOFT)
    return [place, Paragraph(entry.at, _PLAIN), Paragraph(_text(entry.who), _PLAIN), told]


def _text(text: str) -> str:
    """Return a text as markup: what the plain font has no letters for is set in the other one."""
    safe = escape("".join(letter if letter >= " " else " " for letter in text))
    return _BEYOND.sub(lambda found: f'<font name="{_EAST}">{found[0]}</font>', safe)


def _foot(head: Head) -> Callable[[Canvas, SimpleDocTemplate], None]:
    def draw(canvas: Canvas, document: SimpleDocTemplate) -> None:
        canvas.setFont("Helvetica", 7)
        canvas.drawString(16 * mm, 10 * mm, f"{head.origin} · {head.top.size} · {head.top.root.hex()[:32]}")
        canvas.drawRightString(A4[0] - 16 * mm, 10 * mm, str(document.page))

    return draw
