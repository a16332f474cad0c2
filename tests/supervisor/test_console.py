"""How the console's web server reads requests."""

from __future__ import annotations

import pytest
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser

import config
from webapp.supervisor.console import Console

_TWO = "POST / HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{_TWO}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        f"{_TWO}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        f"{_TWO}Content-Length: +4\r\n\r\nabcd",
        f"{_TWO}Content-Length : 4\r\n\r\nabcd",
        f"{_TWO}Transfer-Encoding: xchunked\r\n\r\n",
        f"{_TWO}X: b\r\n Content-Length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\nHost: a\nContent-Length: 4\n\nabcd",
    ],
)
def test_where_a_request_ends_is_beyond_doubt(text: str) -> None:
    """A request whose length a proxy could read otherwise than we do is refused, so nobody hides another one in it."""
    console = Console(config.from_environment({}))
    with pytest.raises(ParseException):
        next(RequestParser(console.cfg, iter([text.encode()]), ("127.0.0.1", 1)))
