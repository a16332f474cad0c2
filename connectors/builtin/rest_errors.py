"""The error map of a connection: what an answer means, where its status does not say.

```json
[{"status": 500, "member": "error.kind", "equals": ["validation"], "then": "quarantine", "message": "error.text"},
 {"member": "errcode", "equals": [40001, 42001], "then": "renew"},
 {"member": "errcode", "unless": [0], "then": "quarantine", "message": "errmsg"}]
```

The first entry that fits counts. `then`:

- `retry`: as if the service had an error of its own; sent again where that is safe.
- `wait`: as if it had asked to wait (429).
- `renew`: the token has expired; it is renewed once and the call repeated.
- `quarantine`: the record is refused and put aside (in a read: an error that stops).
- `stop`: a person has to act.
- `missing`: there is no such record.
- `already_there`: a creation found its record there; it is looked for by `find` and takes its key.
- `fine`: it is a success, whatever the status.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from connectors.builtin.described import Described
from connectors.errors import Misconfigured
from connectors.json_records import member
from rules.text import msg

Then = Literal["retry", "wait", "renew", "quarantine", "stop", "missing", "already_there", "fine"]


class Meaning(Described, frozen=True):
    """What answers mean that have a `status` (or any), a `member` with one of the values `equals` or none of `unless`.

    `method` is that of the call (or any). `contains` looks for a text in the whole answer. `message` leads to the words
    for people, in the answer or in a header (`header:X-Error`).
    """

    then: Then
    status: list[int] | int | None = None
    method: str = ""
    member: str = ""
    equals: list[Any] | None = None
    unless: list[Any] | None = None
    contains: str = ""
    message: str = ""

    def fits(self, status: int, value: Any, text: str, method: str = "") -> bool:
        """Tell whether an answer is meant: its status, its JSON value (None if it has none), its text, the method."""
        if self.method and self.method != method:
            return False
        wanted = [self.status] if isinstance(self.status, int) else self.status
        if wanted is not None and status not in wanted:
            return False
        return self.contains.casefold() in text.casefold() and self._has_member(value)

    def _has_member(self, value: Any) -> bool:
        if not self.member:
            return True
        try:
            found = member(value, self.member)
        except KeyError:
            return False
        if self.equals is not None and not _among(found, self.equals):
            return False
        return self.unless is None or not _among(found, self.unless)


def meanings_of(document: Any) -> tuple[Meaning, ...]:
    """Return the error map of a document or its JSON text; raises `Misconfigured`."""
    try:
        if isinstance(document, (str, bytes)):
            document = msgspec.json.decode(document or "[]")
        return tuple(msgspec.convert(document or [], list[Meaning]))
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise Misconfigured(
            msg("The setting '{setting}' is wrong: {problem}.",
                setting=msg("What answers mean"), problem=str(error).replace("$", "errors")),
            msg("Correct it in the connection's settings."),
        ) from error  # fmt: skip


def _among(found: Any, values: list[Any]) -> bool:
    """Tell whether a value is one of others; services write one number as 40001 and as "40001"."""
    return any(found == value or str(found) == str(value) for value in values)
