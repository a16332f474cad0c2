"""Laws of the tree, the notes and the canonical text."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from webapp.audit.canonical import encode
from webapp.audit.merkle import EMPTY, STEP, Frontier, Tree, consistent, included, leaf_hash, node_hash, root_of
from webapp.audit.notes import BadNote, Checkpoint, PublicKey, Signer, checkpoint, opened, sign

LEAVES = [leaf_hash(str(number).encode()) for number in range(1200)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=4), part, max_size=4),
    max_leaves=8,
)
SIGNER = Signer("syncline/test", Ed25519PrivateKey.from_private_bytes(bytes(32)))


def plainly(leaves: list[bytes]) -> bytes:
    """Return the root as the definition of RFC 9162 says it, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = max(1 << n for n in range(20) if 1 << n < len(leaves))
    return node_hash(plainly(leaves[:half]), plainly(leaves[half:]))


def stored(leaves: list[bytes]) -> Tree:
    """Return a tree over what a sealer would store."""
    kept = {(0, number): leaf for number, leaf in enumerate(leaves)}
    frontier = Frontier()
    for leaf in leaves:
        kept |= {(level, number): own for level, number, own in frontier.append(leaf)}
    assert all(level % STEP == 0 for level, _ in kept)
    return Tree(
        lambda level, start, count: [kept[level, start + n] for n in range(count) if (level, start + n) in kept]
    )


TREE = stored(LEAVES)


def test_roots_are_those_of_certificate_transparency():
    """The published example trees of RFC 6962's authors, whose hashes RFC 9162 keeps, have their published roots."""
    entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in entries]
    known = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    assert {size: root_of(leaves[:size]).hex() for size in known} == known


@given(st.integers(0, len(LEAVES)))
def test_roots_are_those_of_the_definition(size: int):
    """The growing edge, the stored tree and the definition give the same root, also after the edge was stored."""
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        frontier.append(leaf)
    again = Frontier.load(size, frontier.dump())
    assert again.root() == frontier.root() == TREE.root(size) == root_of(LEAVES[:size]) == plainly(LEAVES[:size])


@given(st.data())
def test_inclusion_is_proven_and_only_what_is_included(data: st.DataObject):
    """A proof of inclusion verifies; with any other leaf, place, size, step or root it does not."""
    size = data.draw(st.integers(1, len(LEAVES)))
    index = data.draw(st.integers(0, size - 1))
    root, proof = TREE.root(size), TREE.inclusion(index, size)
    assert included(LEAVES[index], index, size, proof, root)
    assert not included(leaf_hash(b"x"), index, size, proof, root)
    assert not included(LEAVES[index], index, size, proof, leaf_hash(b"x"))
    other = data.draw(st.integers(-1, size).filter(lambda n: n != index))
    assert not included(LEAVES[index], other, size, proof, root)
    assert not included(LEAVES[index], index, size, [*proof, root], root)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        assert not included(LEAVES[index], index, size, [*proof[:at], bytes(32), *proof[at + 1 :]], root)
        assert not included(LEAVES[index], index, size, proof[:at], root)


@given(st.data())
def test_growth_is_proven_and_only_growth(data: st.DataObject):
    """A proof of consistency verifies; with any change of a root or a step it does not."""
    second = data.draw(st.integers(0, len(LEAVES)))
    first = data.draw(st.integers(0, second))
    roots = TREE.root(first), TREE.root(second)
    proof = TREE.consistency(first, second)
    assert consistent(first, second, roots, proof)
    assert not consistent(first, second, (bytes(32), roots[1]), proof)
    assert not consistent(first, second, roots, [*proof, bytes(32)])
    if first not in (0, second):
        assert not consistent(first, second, (roots[0], bytes(32)), proof)
        at = data.draw(st.integers(0, len(proof) - 1))
        assert not consistent(first, second, roots, [*proof[:at], bytes(32), *proof[at + 1 :]])
        assert not consistent(first, second, roots, proof[:at])


def test_proofs_refuse_what_is_outside():
    """No proof is made for a leaf or a tree that is not there, nor from hashes that are missing."""
    for ask in (lambda: TREE.inclusion(3, 3), lambda: TREE.consistency(4, 3), lambda: TREE.root(len(LEAVES) + 1)):
        with pytest.raises(ValueError, match="tree"):
            ask()
    with pytest.raises(ValueError, match="edge"):
        Frontier.load(3, bytes(32))
    assert Frontier().root() == EMPTY
    assert not consistent(3, 2, (EMPTY, EMPTY), [])


@given(JSON)
def test_canonical_text_survives_storing(value: object):
    """Reading the text back and writing it again gives the same text, whatever order and form numbers had."""
    text = encode({"v": 1, "after": value})
    assert encode(json.loads(text)) == text


def test_canonical_text_is_fixed():
    """The text of an event never changes between versions: old seals have to verify."""
    event = {"v": 1, "id": 7, "after": {"b": 1.0, "a": [0.5, True, None], "名": "值"}}
    assert encode(event).decode() == '{"after":{"a":[0.5,true,null],"b":1,"名":"值"},"id":7,"v":1}'


@given(
    st.integers(0, 2**63), st.binary(min_size=32, max_size=32), st.datetimes(min_value=datetime(2000, 1, 1)), st.data()
)
def test_any_change_of_a_checkpoint_breaks_it(size: int, root: bytes, at: datetime, data: st.DataObject):
    """A signed checkpoint is read back as it was; with any byte changed nobody takes it for this one."""
    said = Checkpoint("syncline/test", size, root, at.replace(tzinfo=UTC))
    note = sign(said.text, SIGNER)
    assert checkpoint(note, [SIGNER.public]) == said
    raw = bytearray(note.encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(BadNote, UnicodeDecodeError):
        assert checkpoint(raw.decode(), [SIGNER.public]) == said  # base64 has unused bits at its end


def test_signatures_are_ed25519_over_the_text():
    """The format is that of C2SP: anybody's tools can check it."""
    note = sign("a\n1\n", SIGNER)
    text, _, line = note.rpartition("\n\n")
    mark = base64.b64decode(line.split()[2])
    SIGNER.private.public_key().verify(mark[4:], (text + "\n").encode())
    key = PublicKey.parse(str(SIGNER.public))
    assert key == SIGNER.public
    assert opened(note, [key]) == ("a\n1\n", (key,))


def test_a_note_of_others_is_read():
    """The example of the format's authors verifies under their key."""
    key = PublicKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    assert opened(f"{text}\n\u2014 PeterNeumann {signature}\n", [key]) == (text, (key,))


@pytest.mark.parametrize(
    "note",
    [
        "",
        "a\n",
        "a\n\n",
        "a\n\n\u2014 x\n",
        "a\n\n\u2014 syncline/test AAAA\n",
        "a\n\n\u2014 syncline/test %%%=\n",
        "a\n\n\u2014 another AAAAAAAA\n",
    ],
)
def test_what_is_no_note_is_refused(note: str):
    """A note without a readable signature by a known key is no note."""
    with pytest.raises(BadNote):
        opened(note, [SIGNER.public])


@pytest.mark.parametrize(
    "text", ["", "x", "x+y+z", "x+00000000+AQ==", str(SIGNER.public)[:-2], "y" + str(SIGNER.public)]
)
def test_what_is_no_key_is_refused(text: str):
    """A public key that was cut or altered is refused."""
    with pytest.raises(BadNote):
        PublicKey.parse(text)


@pytest.mark.parametrize(
    "text", ["a\n1\n", "a\n1\nAAAA\ntime x\n", "a\n01\n" + "A" * 43 + "=\ntime 2026-03-01T12:00:00.000000Z\n"]
)
def test_what_is_no_checkpoint_is_refused(text: str):
    """A signed text that is not written as a checkpoint is none."""
    with pytest.raises(BadNote):
        checkpoint(sign(text, SIGNER), [SIGNER.public])
