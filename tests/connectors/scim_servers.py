"""A real SCIM server for tests: scim2-server with its memory, on loopback, and a kind of resource of our own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

if TYPE_CHECKING:
    from scim2_models import ScimProvider
    from scim2_server.memory import InMemoryStorage

TOKEN = "good-token"
SAMPLE = "urn:example:scim:schemas:1.0:Sample"


@dataclass
class ScimServer:
    """A running server; `storage` holds its resources."""

    url: str
    storage: InMemoryStorage
    provider: ScimProvider

    def seed(self, name: str, resources: Sequence[Mapping[str, Any]]) -> None:
        """Let the server have these resources of a kind, and no others."""
        model = self.provider.model_for(name)
        self.storage.resources = []
        kind = next(kind for kind in self.provider.resource_types if kind.name == name)
        for given in resources:
            self.storage.create(kind, model.model_validate(given))


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        pass


@contextlib.contextmanager
def scim_server(attributes: Sequence[Mapping[str, Any]]) -> Iterator[ScimServer]:
    """Run a server with the standard's users and groups, and `Samples` with these attributes."""
    # loading them takes seconds, in every process of a suite that only looks for its tests
    from scim2_models import ResourceType, Schema, ScimProvider  # noqa: PLC0415
    from scim2_server.memory import InMemoryStorage  # noqa: PLC0415
    from scim2_server.testserver.application import BearerTokenApplication  # noqa: PLC0415
    from scim2_server.utils import (  # noqa: PLC0415
        load_default_resource_types,
        load_default_schemas,
        load_default_service_provider_config,
    )

    sample = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": SAMPLE, "name": "Sample",
              "attributes": list(attributes)}  # fmt: skip
    kind = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"], "id": "Sample", "name": "Sample",
            "endpoint": "/Samples", "schema": SAMPLE}  # fmt: skip
    provider = ScimProvider.from_discovery(
        [*load_default_schemas().values(), Schema.model_validate(sample)],
        [*load_default_resource_types().values(), ResourceType.model_validate(kind)],
        load_default_service_provider_config(),
    )
    storage = InMemoryStorage()
    application = BearerTokenApplication(storage, provider, bearer_tokens=[TOKEN])
    server = make_server("127.0.0.1", 0, application, _Server, _Quiet)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield ScimServer(f"http://127.0.0.1:{server.server_port}", storage, provider)
    finally:
        server.shutdown()
        server.server_close()
