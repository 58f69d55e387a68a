"""The load balancer of the demonstration: what it tells of who comes, and who does not get in."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from mintwarden.app.demo.certificates import Credential, new_authority, self_signed
from mintwarden.app.demo.front import Front

HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
SERVERS, CLIENTS = new_authority("servers"), new_authority("clients")
OWN = self_signed("own", ec.generate_private_key(ec.SECP256R1()))
FORGED = {"Client-Cert": ":AAAA:", "client-cert-chain": ":AAAA:", "X-Forwarded-For": "203.0.113.7"}


class Told(BaseHTTPRequestHandler):
    """Answers with the headers and the body that it got, each header by all of its values."""

    def do_POST(self) -> None:
        names = {name.lower() for name in self.headers}
        said = {name: self.headers.get_all(name) for name in names}
        length = int(self.headers["Content-Length"])
        answer = json.dumps({"headers": said, "body": self.rfile.read(length).decode(), "path": self.path}).encode()
        self.send_response(418)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        pass


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Told)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        with contextlib.closing(Front()) as made:
            shows = SERVERS.issue("127.0.0.1", also=HERE).write(tmp_path, "front")
            made.start(f"http://127.0.0.1:{server.server_port}", shows=shows, trusts=[CLIENTS, OWN])
            yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(front: Front, folder: Path, shown: Credential | None = None, *beside: Credential) -> httpx2.Response:
    context = ssl.create_default_context(cadata=SERVERS.pem)
    if shown is not None:
        certificate, key = folder / "shown.pem", folder / "shown.key"
        certificate.write_text("".join(one.pem for one in (shown, *beside)))
        key.write_text(shown.key_pem)
        context.load_cert_chain(certificate, key)
    with httpx2.Client(verify=context, timeout=20.0) as http:
        return http.post(f"{front.base}/token?a=b", content=b"c=d", headers=FORGED)


def sequence(one: Credential) -> str:
    return f":{base64.b64encode(base64.b64decode(one.base64)).decode()}:"


def test_who_shows_nothing_is_told_to_have_shown_nothing_whatever_they_say(front: Front, tmp_path: Path) -> None:
    answer = ask(front, tmp_path)
    assert answer.status_code == 418, "the server's own answer"
    told = answer.json()
    assert (told["path"], told["body"]) == ("/token?a=b", "c=d")
    assert not {"client-cert", "client-cert-chain"} & told["headers"].keys()
    assert told["headers"]["x-forwarded-for"] == ["127.0.0.1"]


def test_what_is_shown_is_told_with_what_comes_beside_it(front: Front, tmp_path: Path) -> None:
    between = CLIENTS.issue("between", also=x509.DNSName("between.example"), authority=True)
    leaf = between.issue("leaf", also=x509.DNSName("leaf.example"))
    told = ask(front, tmp_path, leaf, between).json()["headers"]
    assert told["client-cert"] == [sequence(leaf)]
    assert told["client-cert-chain"][0].startswith(sequence(between))
    alone = CLIENTS.issue("alone", also=x509.DNSName("alone.example"))
    assert ask(front, tmp_path, alone).json()["headers"]["client-cert"] == [sequence(alone)]


def test_a_certificate_that_is_known_itself_comes_in(front: Front, tmp_path: Path) -> None:
    assert ask(front, tmp_path, OWN).json()["headers"]["client-cert"] == [sequence(OWN)]


def test_nobody_else_s_certificate_comes_in(front: Front, tmp_path: Path) -> None:
    other = new_authority("clients")
    for shown in (other.issue("leaf", also=x509.DNSName("leaf.example")), self_signed("leaf", other.key)):
        with pytest.raises(httpx2.TransportError):
            ask(front, tmp_path, shown)
    assert ask(front, tmp_path).status_code == 418, "and others are served on"


def test_a_key_is_for_its_owner_s_eyes(tmp_path: Path) -> None:
    _, key = SERVERS.issue("127.0.0.1", also=HERE).write(tmp_path, "own")
    assert key.stat().st_mode & 0o777 == 0o600
