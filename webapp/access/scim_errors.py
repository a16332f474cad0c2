"""Why a SCIM request is refused (RFC 7644, section 3.12)."""

from __future__ import annotations


class ScimError(Exception):
    """A refusal; `kind` is SCIM's word for it, such as invalidFilter, or empty."""

    def __init__(self, status: int, detail: str, kind: str = "") -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind = status, detail, kind
