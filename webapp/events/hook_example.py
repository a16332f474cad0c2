"""What to type to send a delivery to a web hook: with curl and openssl, so that any machine can try it."""

from __future__ import annotations

from webapp.events.hook_schemes import SCHEMES
from webapp.events.hooks import Wanted

BODY = '{"order_no": "A-1", "amount": 120}'
_HEX = """openssl dgst -sha256 -hmac "$KEY" -r | cut -d ' ' -f 1"""
_BASE64 = 'openssl dgst -sha256 -hmac "$KEY" -binary | base64'
_SIGNED = {"syncline": "$TIME.$BODY", "stripe": "$TIME.$BODY", "slack": "v0:$TIME:$BODY"}
_WRITTEN = {"syncline": "v1=$SIGNATURE", "github": "sha256=$SIGNATURE", "slack": "v0=$SIGNATURE"}


def example(hook: Wanted, address: str) -> str:
    """Return lines for a shell that send one delivery; the key has to be put in."""
    scheme = SCHEMES[hook.scheme]
    time = hook.time_header or scheme.time
    written = _WRITTEN.get(hook.scheme, "$SIGNATURE")
    if hook.scheme == "stripe":
        written = "v1=$SIGNATURE" if time else "t=$TIME,v1=$SIGNATURE"
    lines = ["KEY='...'", f"BODY='{BODY}'"]
    if scheme.timed:
        lines.append("TIME=$(date +%s)")
    signed = _SIGNED.get(hook.scheme, "$BODY")
    way = _BASE64 if hook.scheme == "shopify" else _HEX
    lines.append(f"SIGNATURE=$(printf '%s' \"{signed}\" | {way})")
    headers = ["Content-Type: application/json", f"{hook.signature_header or scheme.signature}: {written}"]
    if time and scheme.timed:
        headers.append(f"{time}: $TIME")
    shown = "".join(f' \\\n  -H "{header}"' for header in headers)
    return "\n".join([*lines, f'curl "{address}"{shown} \\\n  --data-binary "$BODY"'])
