"""A small web server on loopback, for what the demonstration plays besides the service itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

_LONGEST = 16_384


class Asked(Struct, frozen=True, kw_only=True):
    """A request: its parameters, of the query or of the form, and its `Authorization`."""

    method: str
    parameters: Mapping[str, str]
    authorization: str = ""


class Answer(Struct, frozen=True, kw_only=True):
    """What is answered; with `location` it leads on."""

    status: int = 200
    type: str = "application/json"
    body: bytes = b""
    location: str = ""

    @classmethod
    def json(cls, content: object, *, status: int = 200) -> Answer:
        """A JSON document."""
        return cls(status=status, body=json.dumps(content).encode())


Page = Callable[[Asked], Answer]


class Pages:
    """The server: `pages` by path, to be filled before it is started. It has its port from the beginning."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self.pages))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.base = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer nothing any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    """Answers for the pages that there are and for nothing else."""

    protocol_version = "HTTP/1.1"

    def __init__(self, pages: Mapping[str, Page], *arguments: Any) -> None:
        self._pages = pages
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._answer("GET", urlsplit(self.path).query)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _LONGEST:
            self._say(Answer(status=413))
            self.close_connection = True
            return
        self._answer("POST", self.rfile.read(int(length)).decode("utf-8", "replace"))

    def _answer(self, method: str, form: str) -> None:
        page = self._pages.get(urlsplit(self.path).path)
        if page is None:
            self._say(Answer(status=404))
            return
        authorization = self.headers.get("Authorization", "")
        asked = Asked(method=method, parameters=dict(parse_qsl(form)), authorization=authorization)
        self._say(page(asked))

    def _say(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        if answer.location:
            self.send_header("Location", answer.location)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        """Nothing: the story is what the terminal is for."""
