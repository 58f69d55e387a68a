"""The server as an operator runs it: a process, its signals, its workers."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import signal
import ssl
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.flow.process import made, run, serving


async def token(base, given, verify=True):
    async with httpx2.AsyncClient(base_url=base, verify=verify) as http:
        answer = await http.post("/token", data={"grant_type": "client_credentials"}, auth=("batch", given["batch"]))
        return answer.status_code


async def test_serve_until_sigterm(tmp_path):
    config, given = await made(tmp_path, "port = 0")
    async with serving(config) as server:
        assert await token(server.base, given) == 200
        code, err = await server.end()
    assert code == 0
    assert '"event":"stopping"' in err
    assert "Traceback" not in err
    async with serving(config) as server:  # and again, over the same store
        assert await token(server.base, given) == 200
        assert (await server.end(signal.SIGINT))[0] == 0


async def arriving(base):
    """Return once a request has begun to arrive."""
    async with httpx2.AsyncClient(base_url=base) as http:
        for _ in range(200):
            if "mintwarden_requests_arriving 1.0" in (await http.get("/metrics")).text:
                return
            await asyncio.sleep(0.05)
    raise AssertionError("the request never arrived")


async def refuses(host, port):
    """Return once nobody listens any more."""
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            return
        await hang_up(writer)
        await asyncio.sleep(0.05)
    raise AssertionError("it still takes connections")


async def hang_up(writer):
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_a_request_in_flight_is_finished(tmp_path):
    config, given = await made(tmp_path, "port = 0")
    async with serving(config) as server:
        host, _, port = server.base.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = f"grant_type=client_credentials&client_id=batch&client_secret={given['batch']}".encode()
        head = b"POST /token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        writer.write(head + b"content-length: %d\r\n\r\n" % len(body))
        await arriving(server.base)
        server.process.send_signal(signal.SIGTERM)
        await refuses(host, int(port))
        writer.write(body)
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.startswith(b"HTTP/1.1 401 ")  # `batch` takes the header alone: answered, and by the line
        assert b"connection: close" in answer
        await hang_up(writer)
        assert (await asyncio.wait_for(server.process.wait(), 20)) == 0


async def test_several_workers_share_socket_store_and_metrics(tmp_path):
    config, given = await made(tmp_path, "port = 0\nworkers = 2")
    async with serving(config) as server:
        async with httpx2.AsyncClient(base_url=server.base, timeout=30) as http:
            for _ in range(300):
                with contextlib.suppress(httpx2.HTTPError):
                    if (await http.get("/readyz")).status_code == 200:
                        break
                await asyncio.sleep(0.1)
        assert {await token(server.base, given) for _ in range(12)} == {200}
        async with httpx2.AsyncClient(base_url=server.base) as http:
            name = 'mintwarden_decisions_total{audience="payments",grant="client_credentials",outcome="granted"}'
            for _ in range(100):
                if f"{name} 12.0" in (metrics := (await http.get("/metrics")).text):
                    break
                await asyncio.sleep(0.1)
            assert f"{name} 12.0" in metrics
            keys = [(await http.get("/jwks.json", headers={"connection": "close"})).text for _ in range(8)]
            assert len(set(keys)) == 1
        code, err = await server.end()
        assert code == 0, err


def certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "c.pem", folder / "k.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))
    files[1].chmod(0o600)
    return files


async def test_tls_by_files(tmp_path):
    cert, _ = certificate(tmp_path)
    config, given = await made(tmp_path, 'port = 0\ntls_certificate = "c.pem"\ntls_key = "k.pem"')
    async with serving(config) as server:
        assert server.base.startswith("https://")
        trust = ssl.create_default_context(cafile=str(cert))
        assert await token(server.base.replace("127.0.0.1", "localhost"), given, verify=trust) == 200
        assert (await server.end())[0] == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_keeps_it_from_starting_is_said_in_words(tmp_path, workers):
    config, _ = await made(tmp_path, f"port = 0\nworkers = {workers}")
    rules = tmp_path / "bundle" / "rules" / "all.cedar"
    good = rules.read_text()
    rules.write_text("permit (")
    code, out, err = await run("serve", "--config", str(config))
    assert (code, out) == (2, "")
    assert "all.cedar" in err
    assert "Traceback" not in err
    rules.write_text(good)
    (tmp_path / "mintwarden.db").write_bytes(b"this is no database" * 100)
    code, _, err = await run("serve", "--config", str(config))
    assert code == 3
    assert "mintwarden: " in err
    assert "Traceback" not in err


async def test_a_port_that_is_taken(tmp_path):
    listening = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    config, _ = await made(tmp_path, f"port = {port}")
    code, _, err = await run("serve", "--config", str(config))
    listening.close()
    assert code == 3
    assert f"cannot listen on `127.0.0.1:{port}`: address already in use" in err


async def test_another_master_key_does_not_open_the_store(tmp_path):
    config, _ = await made(tmp_path, "port = 0")
    async with serving(config) as server:
        assert (await server.end())[0] == 0
    (tmp_path / "master.key").write_text("A" * 43)
    code, _, err = await run("serve", "--config", str(config))
    assert code == 2
    assert "master key" in err
