from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec.structs import replace

from mintwarden.app.config import (
    BundleConfig,
    Config,
    ConnectionConfig,
    KeysConfig,
    LedgerConfig,
    NoticesConfig,
    PagesConfig,
    ServerConfig,
    TelemetryConfig,
    TransmitterConfig,
    TrustedIssuerConfig,
    UpstreamConfig,
    Witness,
)
from mintwarden.app.dangers import is_loopback, refuse_dangers
from mintwarden.app.problem import ConfigError
from mintwarden.ledger.note import COSIGNATURE, verifier_key


def pair(folder, name):
    """A certificate and its key, as files."""
    key, called = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder(called, called, key.public_key(), 1, day, day + datetime.timedelta(days=1))
    certificate, private = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    private.chmod(0o600)
    return certificate, private


@pytest.fixture
def good(tmp_path):
    key = tmp_path / "master.key"
    key.write_text("x")
    key.chmod(0o600)
    return Config(keys=KeysConfig(master_key_file=str(key)))


def dangers(config, environ=None):
    try:
        refuse_dangers(config, environ=environ or {})
    except ConfigError as error:
        return " / ".join(problem.what for problem in error.problems)
    return ""


def server(good, **changes):
    return replace(good, server=ServerConfig(**changes))


def test_the_defaults_are_safe(good):
    assert dangers(good) == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "tokens.example"])
def test_plain_http_beyond_loopback_is_refused(good, host):
    assert "plain HTTP" in dangers(server(good, host=host))
    assert dangers(server(good, host=host, dev=True)) == ""
    assert dangers(server(good, host=host, proxies=("10.0.0.0/8",))) == ""


def test_tls_needs_both_files_and_a_private_key_that_is_private(good, tmp_path):
    certificate, key = pair(tmp_path, "c")
    assert "go together" in dangers(server(good, tls_certificate=str(certificate)))
    assert "cannot be read" in dangers(server(good, tls_certificate="/nowhere", tls_key=str(key)))
    key.chmod(0o644)
    assert "readable by others" in dangers(server(good, tls_certificate=str(certificate), tls_key=str(key)))
    key.chmod(0o600)
    assert dangers(server(good, host="0.0.0.0", tls_certificate=str(certificate), tls_key=str(key))) == ""


def test_what_is_served_with_is_a_certificate_and_its_own_key(good, tmp_path):
    certificate, key = pair(tmp_path, "own")
    _, another = pair(tmp_path, "other")

    def told(certificate, key):
        return dangers(server(good, tls_certificate=str(certificate), tls_key=str(key)))

    assert told(certificate, key) == ""
    assert "holds no certificate" in told(key, key)
    assert "not the private key of the certificate" in told(certificate, another)
    locked = tmp_path / "locked.key"
    secret = serialization.load_pem_private_key(key.read_bytes(), None)
    locking = serialization.BestAvailableEncryption(b"x")
    locked.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locking))
    locked.chmod(0o600)
    assert "locked by a password" in told(certificate, locked)
    assert "cannot be read" in told(tmp_path, key)


def test_what_makes_no_sense_together_is_refused(good, tmp_path):
    keys = replace(good.keys, rotation_interval=3600.0, publish_before=7200.0)
    assert "`publish_before` is longer" in dangers(replace(good, keys=keys))
    slow = {"hr": ConnectionConfig(kind="sql", url="sqlite:///hr.db", timeout=30.0)}
    origins = {"connections.hr.timeout": "mintwarden.toml:7"}
    assert "than a request may take" in dangers(replace(good, connections=slow, origins=origins))
    assert dangers(replace(good, connections=slow)) == ""
    authorities = tmp_path / "ca.pem"
    authorities.write_text("x")
    assert "no certificate of a client gets here" in dangers(server(good, client_ca=str(authorities)))
    header = {"client_certificate_header": "Client-Cert", "proxies": ("10.0.0.0/8",)}
    assert "holds no certificates" in dangers(server(good, client_ca=str(authorities), **header))
    assert "no meaning without" in dangers(server(good, client_certificate_format="escaped-pem"))
    assert dangers(replace(good, bundle=BundleConfig(path=str(authorities)))) == f"`{authorities}` is a file"


@pytest.mark.parametrize(
    ("kind", "url", "what"),
    [
        ("sql", "https://hr.example/facts", "names no database"),
        ("sql", "postgresql://hunter2@hr", "names no database"),
        ("sql", "mysql://u:hunter2@hr/d", "names no database"),
        ("http", "postgresql://u:hunter2@hr/d", "none of the web"),
        ("http", "hunter2", "none of the web"),
        ("http", "https://", "none of the web"),
    ],
)
def test_a_connections_address_is_of_its_kind(good, kind, url, what):
    told = dangers(replace(good, connections={"hr": ConnectionConfig(kind=kind, url=url)}))
    assert what in told
    assert "hunter2" not in told


def test_witnesses_are_who_they_say(good):
    key = verifier_key("w.example", Ed25519PrivateKey.generate().public_key().public_bytes_raw(), COSIGNATURE)

    def told(*witnesses):
        return dangers(replace(good, ledger=LedgerConfig(witnesses=witnesses)))

    one = Witness(name="w.example", vkey=str(key), url="https://w.example")
    assert told(one) == ""
    assert "there twice" in told(one, one)
    assert "is written `<name>+<key id>+<base64>`" in told(replace(one, vkey="x"))
    assert "names `w.example`" in told(replace(one, name="v.example"))
    assert "not an https URL" in told(replace(one, url="http://w.example"))


def test_traces_go_to_a_whole_url(good):
    def told(endpoint):
        return dangers(replace(good, telemetry=TelemetryConfig(otlp_endpoint=endpoint)))

    assert "has no path" in told("http://collector:4318")
    assert told("http://collector:4318/v1/traces") == told("https://collector/") == ""


def test_an_issuer_that_is_configured_is_an_issuer(good):
    issuers = {"up.example": TrustedIssuerConfig(jwks_uri="https://up.example/keys")}
    assert dangers(replace(good, trusted_issuers=issuers)) == "`up.example` is not an issuer"


def test_a_client_certificate_is_only_believed_of_somebody_named(good, tmp_path):
    header, proxies = {"client_certificate_header": "Client-Cert"}, ("10.0.0.0/8",)
    assert "nobody could be believed" in dangers(server(good, **header))
    assert dangers(server(good, **header, proxies=proxies)) == ""
    for taken in ("Authorization", "dpop", "X-Forwarded-For", "a b", "Client-Cert\r\nX"):
        assert "cannot be the header" in dangers(server(good, client_certificate_header=taken, proxies=proxies))
    beside = {"client_certificate_chain_header": "Client-Cert-Chain"}
    assert dangers(server(good, **header, **beside, proxies=proxies)) == ""
    assert "no meaning without" in dangers(server(good, **beside, proxies=proxies))
    for taken in ("client-cert", "Cookie", "a b"):
        wrong = server(good, **header, client_certificate_chain_header=taken, proxies=proxies)
        assert "cannot be the header" in dangers(wrong)
    known = tmp_path / "known.pem"
    known.write_text("x")
    assert "no meaning without" in dangers(server(good, client_certificates=str(known)))
    assert "cannot be read" in dangers(server(good, client_ca="/nowhere", proxies=proxies))


@pytest.mark.parametrize(
    "base", ["http://mtls.example", "mtls.example", "https://mtls.example/", "https://m.example?x"]
)
def test_an_alias_is_an_https_base(good, base):
    assert "is not the base" in dangers(server(good, mtls_base=base))
    assert dangers(server(good, mtls_base="https://mtls.example/base")) == ""


def test_a_proxy_list_that_trusts_everybody_is_refused(good):
    assert "trusts the whole world" in dangers(server(good, proxies=("0.0.0.0/0",)))


def test_the_issuer_is_replaced_in_development_only(good):
    assert "only with `dev = true`" in dangers(server(good, issuer="https://x.example"))
    assert dangers(server(good, issuer="http://127.0.0.1:8080", dev=True)) == ""
    for bad in ("http://x.example", "https://x.example?a=b", "nonsense"):
        assert "is not an issuer" in dangers(server(good, issuer=bad, dev=True))


def test_the_master_key_is_given_once_and_kept_from_others(good, tmp_path):
    keys = good.keys
    assert "exactly one" in dangers(Config())
    assert "exactly one" in dangers(Config(keys=replace(keys, master_key_env="X")))
    assert "cannot be read" in dangers(Config(keys=KeysConfig(master_key_file=str(tmp_path / "absent"))))
    assert "is not set" in dangers(Config(keys=KeysConfig(master_key_env="X")))
    assert dangers(Config(keys=KeysConfig(master_key_env="X")), {"X": "key"}) == ""
    (tmp_path / "master.key").chmod(0o604)
    assert "readable by others" in dangers(good)


def test_keys_and_facts_travel_over_tls(good):
    issuers = {"https://up.example": TrustedIssuerConfig(jwks_uri="http://127.0.0.1/keys")}
    assert "not an https URL" in dangers(replace(good, trusted_issuers=issuers))
    assert dangers(replace(server(good, dev=True), trusted_issuers=issuers)) == ""
    connections = {"posture": ConnectionConfig(kind="http", url="http://posture.example")}
    assert "plain HTTP" in dangers(replace(good, connections=connections))


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.8.9.1", True), ("::1", True), ("[::1]", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_loopback(host, local):
    assert is_loopback(host) is local


def test_a_providers_secret_is_given_once_and_kept_from_others(good, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o644)

    def told(environ=None, **upstream):
        return dangers(replace(good, upstreams={"corp": UpstreamConfig(**upstream)}), environ)

    assert "readable by others" in told(secret_file=str(secret))
    secret.chmod(0o600)
    assert told(secret_file=str(secret)) == ""
    assert "cannot be read" in told(secret_file=str(tmp_path / "missing"))
    assert "is not set" in told(secret_env="CORP")
    assert told({"CORP": "x"}, secret_env="CORP") == ""
    assert "in a file or in a variable" in told({"CORP": "x"}, secret_env="CORP", secret_file=str(secret))


def test_a_provider_is_not_looked_for_everywhere(good):
    def told(*networks):
        return dangers(replace(good, upstreams={"corp": UpstreamConfig(networks=networks)}))

    assert "anywhere" in told("0.0.0.0/0")
    assert "anywhere" in told("::/0")
    assert told("10.20.0.0/16") == ""


def test_an_issuer_is_reached_somehow_and_not_everywhere(good):
    def told(**reach):
        return dangers(replace(good, trusted_issuers={"https://k8s.example": TrustedIssuerConfig(**reach)}))

    assert "nothing of how" in told()
    assert "anywhere" in told(networks=("::/0",))
    assert told(networks=("10.96.0.0/12",)) == ""
    assert told(networks=("10.96.0.0/12",), jwks_uri="https://k8s.example/keys") == ""
    assert "https URL" in told(networks=("10.96.0.0/12",), jwks_uri="http://k8s.example/keys")
    mesh = {"spiffe://mesh.example": TrustedIssuerConfig(jwks_uri="https://mesh.example/keys")}
    assert dangers(replace(good, trusted_issuers=mesh)) == "", "the bundle's issuers are of other schemes, too"


def test_clients_that_are_told_something_are_not_looked_for_everywhere(good):
    assert "anywhere" in dangers(replace(good, notices=NoticesConfig(networks=("0.0.0.0/0",))))
    assert dangers(replace(good, notices=NoticesConfig(networks=("10.0.0.0/8",)))) == ""


@pytest.mark.parametrize("origin", ["a b", "a+b", "a\nb", "x" * 256])
def test_the_logs_name_can_stand_in_a_checkpoint(good, origin):
    assert "key name" in dangers(replace(good, ledger=LedgerConfig(origin=origin)))
    assert dangers(replace(good, ledger=LedgerConfig(origin="log.example/2026"))) == ""


def test_a_theme_and_a_language_that_are_not_there_are_refused(good, tmp_path):
    def shown(**changes):
        return dangers(replace(good, pages=PagesConfig(**changes)))

    assert "not a folder" in shown(theme=str(tmp_path / "nowhere"))
    assert shown(language="fr") == "there is no catalogue of the language `fr`"
    assert shown(language="de") == ""
    languages = tmp_path / "languages"
    languages.mkdir()
    (languages / "fr.toml").write_text("")
    assert shown(theme=str(tmp_path), language="fr") == ""
    (languages / "fr.toml").write_text("nonsense = 'x'")
    assert "which no page says" in shown(theme=str(tmp_path))


def test_what_a_transmitter_and_we_share(good, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("Bearer x")
    secret.chmod(0o600)

    def told(environ=None, **transmitter):
        return dangers(replace(good, transmitters={"corp": TransmitterConfig(**transmitter)}), environ)

    assert told(secret_file=str(secret)) == told() == told({"S": "x"}, secret_env="S") == ""
    assert "a transmitter's secret is in a file or" in told({"S": "x"}, secret_file=str(secret), secret_env="S")
    assert "lets a transmitter be anywhere" in told(networks=("0.0.0.0/0",))
    url = "https://tokens.example.com/token"
    assert told(secret_file=str(secret), token_url=url, client_id="us") == ""
    for wrong in ({"token_url": url}, {"client_id": "us"}):
        assert "access tokens for a transmitter" in told(secret_file=str(secret), **wrong)
    assert "access tokens for a transmitter" in told(token_url=url, client_id="us")
    secret.chmod(0o644)
    assert "readable by others" in told(secret_file=str(secret))
