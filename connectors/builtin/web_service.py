"""What connectors to web services have in common: the server's address, fields by a sample."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import httpx

from connectors.builtin.rest_listing import values_of_raws
from connectors.builtin.rest_paging import Batch
from connectors.egress import check_host
from connectors.json_records import sample_of
from connectors.sampling import schema_of
from connectors.spi import Context
from rules.schema import Schema
from rules.text import Message, msg

SAMPLED = 1_000
_ANSWERS = 100


def server_of(url: httpx.URL, context: Context) -> Message:
    """Return what is to say of a server that may be reached; raises `Forbidden` or `Unavailable`."""
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    address = check_host(url.host, port, context.egress_allow)
    return msg("{host} has the address {address}.", host=url.host, address=address)


def sampled(batches: Iterable[Batch], key: str) -> Schema:
    """Return the fields that the first records of a list show."""
    records: list[dict[str, Any]] = []
    complete = False
    for batch in islice(batches, _ANSWERS):
        records += [value for value in values_of_raws(batch.records) if isinstance(value, dict)]
        complete = batch.next is None
        if len(records) >= SAMPLED:
            break
    return schema_of(sample_of(records, complete=complete), (key,) if key else ())
