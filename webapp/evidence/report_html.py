"""The report of an evidence package as one page of HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from webapp.evidence import report
from webapp.evidence.report import Entry, Head, Words

_STYLE = """
body { font: 14px/1.5 system-ui, "Noto Sans", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; color: #16211f;
  margin: 2rem auto; max-width: 64rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 1rem; } h2 { font-size: 1.1rem; margin: 1.75rem 0 .5rem; }
dl { display: grid; grid-template-columns: 12rem 1fr; gap: .25rem 1rem; margin: 0; }
dt { color: #5c6965; } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; color: #5c6965; font-weight: 500; }
th, td { padding: .35rem .5rem; border-top: 1px solid #dde3e0; vertical-align: top; overflow-wrap: anywhere; }
td.n { white-space: nowrap; font-variant-numeric: tabular-nums; } .about { color: #5c6965; font-size: .85em; }
.change { font-size: .9em; } del { background: #fce5e3; } ins { background: #e2f2e7; text-decoration: none; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .5rem; } }
@media print { tr { break-inside: avoid; } }
"""


def pieces(words: Words, head: Head, entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the page piece by piece."""
    title = escape(words(report.TITLE))
    yield f'<!doctype html>\n<html lang="{words.language}"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1><dl>"
    for name, value in head.facts(words):
        yield f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
    yield f"</dl><h2>{escape(words(report.CHECK))}</h2><p>{escape(words(report.CHECKED))}</p>"
    heads = "".join(f"<th>{escape(words(name))}</th>" for name in report.COLUMNS)
    yield f"<h2>{escape(words(report.LABELS['events']))}</h2><table><thead><tr>{heads}</tr></thead><tbody>\n"
    for entry in entries:
        yield _row(entry)
    yield "</tbody></table></body></html>\n"


def _row(entry: Entry) -> str:
    told = f'{escape(entry.what)}<div class="about">{escape(entry.about)}</div>'
    told += f"<div>{escape(entry.reason)}</div>" if entry.reason else ""
    told += "".join(_change(*change) for change in entry.changes)
    place = f'<td class="n">{entry.place + 1}<div class="about">#{entry.event_id}</div></td>'
    return f'<tr>{place}<td class="n">{entry.at}</td><td>{escape(entry.who)}</td><td>{told}</td></tr>\n'


def _change(name: str, before: str, after: str) -> str:
    old = f"<del>{escape(before)}</del> " if before else ""
    new = f"<ins>{escape(after)}</ins>" if after else ""
    return f'<div class="change">{escape(name)}: {old}{new}</div>'
