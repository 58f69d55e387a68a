"""The load balancer of the demonstration: ends TLS on loopback, and tells which certificate was shown (RFC 9440)."""

from __future__ import annotations

import base64
import http.client
import ssl
import threading
from collections.abc import Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from mintwarden.app.demo.certificates import Credential
from mintwarden.authn.certificates import chain_of

CERTIFICATE_HEADER: Final = "Client-Cert"
"""In which it says its clients' certificates (RFC 9440)."""
CHAIN_HEADER: Final = "Client-Cert-Chain"
"""And in which what came beside them."""

_LONGEST = 1024 * 1024
_HEAD_SECONDS, _SERVER_SECONDS = 10.0, 30.0
_ONE_HOP = frozenset(
    "connection keep-alive te trailer transfer-encoding upgrade proxy-authorization proxy-authenticate".split()
)
"""What is between two neighbours (RFC 9110 section 7.6.1)."""
_OWN = frozenset({CERTIFICATE_HEADER.lower(), CHAIN_HEADER.lower(), "x-forwarded-for", "content-length"})
"""What it says itself: whatever its clients send by these names is dropped."""


class Front:
    """Takes requests over TLS and hands them on to the server at `to`, until it is closed."""

    def __init__(self) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._to: list[str] = [""]
        self._server = _TlsServer(self._context, partial(_Handler, self._to))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.base = f"https://127.0.0.1:{self._server.server_port}"

    def start(self, to: str, *, shows: tuple[Path, Path], trusts: Sequence[Credential]) -> None:
        """Begin to answer, with the files `shows`; who may come are `trusts`, and whoever has a certificate by one."""
        self._to[0] = urlsplit(to).netloc
        self._context.load_cert_chain(*shows)
        self._context.load_verify_locations(cadata="".join(one.pem for one in trusts))
        self._thread.start()

    def close(self) -> None:
        """Answer nothing any more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _TlsServer(ThreadingHTTPServer):
    """One thread for each connection, in which its handshake is made, too: nobody waits for somebody else's."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext, handler: Any) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(_HEAD_SECONDS)
        try:
            with self._context.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, client_address)
        except OSError:  # a certificate that nobody here knows, or somebody who went away
            return


class _Handler(BaseHTTPRequestHandler):
    """Hands one request on, and its answer back."""

    protocol_version = "HTTP/1.1"
    timeout = _HEAD_SECONDS

    def __init__(self, to: Sequence[str], *arguments: Any) -> None:
        self._to = to
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._pass()

    def do_POST(self) -> None:
        self._pass()

    def do_PUT(self) -> None:
        self._pass()

    def do_PATCH(self) -> None:
        self._pass()

    def do_DELETE(self) -> None:
        self._pass()

    def _pass(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _LONGEST or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self.send_error(413)
            return
        onward = http.client.HTTPConnection(self._to[0], timeout=_SERVER_SECONDS)
        try:
            onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self._onward(length):
                onward.putheader(name, value)
            onward.endheaders(self.rfile.read(int(length)))
            self._answer(onward.getresponse())
        except (OSError, http.client.HTTPException):
            self.close_connection = True
            self.send_error(502)
        finally:
            onward.close()

    def _onward(self, length: str) -> list[tuple[str, str]]:
        kept = [(name, value) for name, value in self.headers.items() if name.lower() not in _ONE_HOP | _OWN]
        shown = self.connection.getpeercert(binary_form=True)
        if shown:
            kept.append((CERTIFICATE_HEADER, _sequence(shown)))
            beside = [_sequence(one) for one in chain_of(self.connection)]
            kept += [(CHAIN_HEADER, ", ".join(beside))] if beside else []
        return [*kept, ("X-Forwarded-For", str(self.client_address[0])), ("Content-Length", length)]

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        body = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _ONE_HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        """Nothing: the story is what the terminal is for."""


def _sequence(der: bytes) -> str:
    """A byte sequence of RFC 8941."""
    return f":{base64.b64encode(der).decode('ascii')}:"
