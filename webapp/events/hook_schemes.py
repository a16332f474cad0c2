"""How other systems sign the web hooks that they send: each way is a scheme. Pure: no input, no output, no clock.

All of them are an HMAC with SHA-256 over the raw body. Those that sign the time as well let old deliveries be refused;
for the others only what was seen lately can be known again.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rules.text import N_

SLOTS = 2
"""How many keys are tried, always: an answer takes as long for a hook with one key as for one with two."""
_MOST = 4
"""How many signatures of one delivery are looked at: a sender that changes its key sends two."""
_TIME = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class Proof:
    """What a delivery says for itself: its time as it was sent, and its signatures."""

    time: str
    signatures: tuple[str, ...]

    @property
    def seconds(self) -> int | None:
        """Return the time in seconds since 1970, None where there is none."""
        return int(self.time) if _TIME.fullmatch(self.time) else None


@dataclass(frozen=True)
class Scheme:
    """A way to sign: the names of the headers, how they are read, what is signed and how it is written down."""

    name: str
    label: str
    about: str
    signature: str
    read: Callable[[str], Sequence[tuple[str, str]]]
    part: str
    signed: Callable[[bytes, bytes], bytes] = lambda _time, body: body
    written: Callable[[bytes], str] = bytes.hex
    time: str = ""
    delivery: str = ""

    @property
    def timed(self) -> bool:
        """Tell whether the time is signed."""
        return bool(self.time) or self.name == "stripe"

    def proof(self, headers: Mapping[str, str], signature: str = "", time: str = "") -> Proof:
        """Return what the headers of a delivery say, by their names in small letters; other names can be given."""
        found = self.read(headers.get((signature or self.signature).lower(), "")[:2000])
        moment = headers.get((time or self.time).lower(), "")
        return Proof(
            (moment or next((value for key, value in found if key == "t"), "")).strip() if self.timed else "",
            tuple(value for key, value in found if key == self.part)[:_MOST],
        )

    def message(self, proof: Proof, body: bytes) -> bytes:
        """Return what is signed."""
        return self.signed(proof.time.encode(), body)

    def sign(self, key: str, proof: Proof, body: bytes) -> str:
        """Return the signature with a key."""
        return self.written(hmac.new(key.encode(), self.message(proof, body), hashlib.sha256).digest())

    def signer(self, keys: Sequence[str], proof: Proof, body: bytes) -> int | None:
        """Return the position of the key that a delivery is signed with; takes as long for each."""
        found = None
        for position, key in enumerate(keys):
            wanted = self.sign(key, proof, body).encode()
            for number in range(_MOST):
                given = proof.signatures[number] if number < len(proof.signatures) else ""
                if hmac.compare_digest(wanted, given.encode("utf-8", "replace")) and found is None:
                    found = position
        return found


def _parts(text: str) -> list[tuple[str, str]]:
    """Read `t=1,v1=abc`."""
    pairs = (part.strip().partition("=") for part in text.split(","))
    return [(name, value) for name, _, value in pairs]


def _alone(text: str) -> list[tuple[str, str]]:
    return [("", text.strip())]


def _base64(digest: bytes) -> str:
    return b64encode(digest).decode()


SCHEMES: Mapping[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            "syncline",
            "Syncline",
            N_("Signs the time and the body. Take this for a sender of your own, or for another Syncline."),
            "X-Syncline-Signature",
            _parts,
            "v1",
            lambda time, body: time + b"." + body,
            time="X-Syncline-Time",
            delivery="Idempotency-Key",
        ),
        Scheme(
            "github",
            "GitHub",
            N_("Signs the body only, as GitHub and Gitea do. A delivery that was seen in the last day is known again."),
            "X-Hub-Signature-256",
            _parts,
            "sha256",
            delivery="X-GitHub-Delivery",
        ),
        Scheme(
            "stripe",
            "Stripe",
            N_("Signs the time and the body in one header, as Stripe does. Enter the signing secret that it shows."),
            "Stripe-Signature",
            _parts,
            "v1",
            lambda time, body: time + b"." + body,
        ),
        Scheme(
            "shopify",
            "Shopify",
            N_("Signs the body only, as Shopify and WooCommerce do. Enter the secret that the shop shows."),
            "X-Shopify-Hmac-Sha256",
            _alone,
            "",
            written=_base64,
            delivery="X-Shopify-Webhook-Id",
        ),
        Scheme(
            "slack",
            "Slack",
            N_("Signs the time and the body, as Slack does. Enter the signing secret of the Slack app."),
            "X-Slack-Signature",
            _parts,
            "v0",
            lambda time, body: b"v0:" + time + b":" + body,
            time="X-Slack-Request-Timestamp",
        ),
    )
}
