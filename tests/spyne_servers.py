"""Spyne, a SOAP server (1.1 and 1.2) that is not ours, on a free port. It does not run on Python 3.12 and later."""

# ruff: noqa: N802, N805, A002, RUF012, C901 - spyne takes the words of the WSDL from functions and their arguments
from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from tests.soap_servers import SPACE

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it imports modules that Python will drop
    from spyne import (
        Application,
        Array,
        Boolean,
        ByteArray,
        ComplexModel,
        Date,
        DateTime,
        Double,
        Fault,
        Integer64,
        Service,
        Time,
        Unicode,
        const,
        rpc,
    )
    from spyne import Decimal as DecimalNumber
    from spyne.protocol.soap import Soap11, Soap12
    from spyne.server.wsgi import WsgiApplication

sys.meta_path[:] = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]  # its own warns of itself

const.MIN_GC_INTERVAL = float("inf")  # it would go through all that a long test run has made, for each answer

Id = Integer64(min_occurs=1, nillable=False)


class Sample(ComplexModel):
    """A record of the conformance suite."""

    __namespace__ = SPACE
    _type_info = [
        ("id", Integer64(min_occurs=1, nillable=False)),
        ("title", Unicode(40, min_occurs=1, nillable=False)),
        ("version", Integer64),
        ("f_text", Unicode),
        ("f_integer", Integer64),
        ("f_decimal", DecimalNumber(20, 4)),
        ("f_float", Double),
        ("f_boolean", Boolean),
        ("f_date", Date),
        ("f_time", Time),
        ("f_datetime", DateTime),
        ("f_local_datetime", DateTime(timezone=False)),
        ("f_binary", ByteArray),
        ("f_json", Unicode),
    ]


class SamplePage(ComplexModel):
    """One page of records."""

    __namespace__ = SPACE
    total = Integer64
    samples = Array(Sample)


class Store:
    """What the service holds."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.given: list[tuple[str, Any]] = []


def application(store: Store, protocol: type) -> Any:
    """Return the service as a WSGI application."""

    class Samples(Service):
        @rpc(Integer64, Integer64, DateTime, _returns=SamplePage)
        def ListSamples(ctx: Any, page: int, size: int, since: Any) -> Any:
            rows = list(store.rows.values())
            found = [Sample(**row) for row in rows[(page - 1) * size : page * size]]
            return SamplePage(total=len(rows), samples=found)

        @rpc(Id, _returns=Sample)
        def GetSample(ctx: Any, id: int) -> Any:
            return Sample(**store.rows[id]) if id in store.rows else None

        @rpc(Sample, _returns=Integer64)
        def AddSample(ctx: Any, sample: Any) -> Any:
            row = {name: getattr(sample, name) for name in Sample.get_flat_type_info(Sample)}
            if row["id"] in store.rows:
                raise Fault("Client.Taken", "There is such a record already")
            if not row["title"]:
                raise Fault("Server", "The title must not be empty")
            store.rows[row["id"]] = row
            return row["id"]

        @rpc(Id, Sample)
        def ChangeSample(ctx: Any, id: int, sample: Any) -> None:
            if id not in store.rows:
                raise Fault("Client.Gone", "There is no such record")
            if not sample.title:
                raise Fault("Client.Wrong", "The title must not be empty")
            store.rows[id] |= {n: getattr(sample, n) for n in Sample.get_flat_type_info(Sample) if n != "id"}

        @rpc(Id)
        def RemoveSample(ctx: Any, id: int) -> None:
            if store.rows.pop(id, None) is None:
                raise Fault("Client.Gone", "There is no such record")

    spoken = protocol(validator="lxml")
    return WsgiApplication(Application([Samples], tns=SPACE, in_protocol=spoken, out_protocol=protocol()))


class Quiet(WSGIRequestHandler):
    """A handler that writes no log."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def spyne_server(store: Store, *, soap12: bool = False) -> Iterator[str]:
    """Run the service; yields the address of its WSDL."""
    server: WSGIServer = make_server(
        "127.0.0.1", 0, application(store, Soap12 if soap12 else Soap11), handler_class=Quiet
    )
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/?wsdl"
    finally:
        server.shutdown()
        server.server_close()
