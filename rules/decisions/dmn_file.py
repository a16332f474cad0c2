"""The XML of DMN files, of all versions: opened safely, and taken apart by the names of its elements."""

from __future__ import annotations

from dataclasses import dataclass

from lxml import etree

from rules.decisions.dmn_write import OURS
from rules.documents.problems import DocumentError, DocumentProblem
from rules.text import Message, msg

Element = etree._Element  # noqa: SLF001 - lxml has no public name for its elements
MAX_BYTES = 20_000_000


@dataclass(frozen=True)
class DecisionName:
    """A decision table of a file: its id, its name and how many rows it has."""

    id: str
    name: str
    rows: int


def list_decisions(data: bytes) -> list[DecisionName]:
    """Return the decision tables of a DMN file; raises `DocumentError`."""
    return [
        DecisionName(decision.get("id", ""), decision.get("name", ""), len(children(whole, "rule")))
        for decision, whole in decision_tables(open_dmn(data))
    ]


def refused(message: Message) -> DocumentError:
    """Return the refusal of a file."""
    return DocumentError([DocumentProblem("", message)])


def open_dmn(data: bytes) -> Element:
    """Return the top of a DMN file; entities, networks and document types are off. Raises `DocumentError`."""
    if len(data) > MAX_BYTES:
        raise refused(msg("The file is larger than {limit} bytes.", limit=MAX_BYTES))
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise refused(msg("The file is no XML: {reason}.", reason=str(error).partition("\n")[0])) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise refused(msg("The file has a document type declaration, which is not allowed."))
    if tag_of(root) != "definitions":
        raise refused(msg("The file is no DMN: it begins with '{tag}', not with 'definitions'.", tag=tag_of(root)))
    return root


def tag_of(element: Element) -> str:
    """Return the name of an element without its namespace, which differs from version to version."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def children(parent: Element, tag: str) -> list[Element]:
    """Return the elements of a name right below another."""
    return [child for child in parent if tag_of(child) == tag]


def child(parent: Element, tag: str) -> Element | None:
    """Return the first of them, None if there is none."""
    return next(iter(children(parent, tag)), None)


def decision_tables(root: Element) -> list[tuple[Element, Element]]:
    """Return the decisions that are tables, and the tables."""
    found = []
    for decision in children(root, "decision"):
        whole = child(decision, "decisionTable")
        if whole is not None:
            found.append((decision, whole))
    return found


def text_of(parent: Element | None) -> str:
    """Return the text of an expression element."""
    if parent is None:
        return ""
    inside = child(parent, "text")
    return "" if inside is None else (inside.text or "").strip()


def raw(element: Element | None) -> str:
    """Return the text right inside an element."""
    return "" if element is None else element.text or ""


def own(element: Element, name: str) -> str:
    """Return an attribute of our own namespace."""
    return element.get(f"{{{OURS}}}{name}", "")
