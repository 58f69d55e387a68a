"""Statements and signatures: one statement has one text, and each way to get a signature wrong is told apart."""

from __future__ import annotations

import base64
import subprocess

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.policy.approve import own, sshsig
from mintwarden.policy.approve.keys import SK_ED25519, jwk_text, read_key, try_key
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.approve.signed import read_signed, signed, signer
from mintwarden.policy.approve.statement import read_statement
from mintwarden.policy.approve.wire import string
from tests.unit.policy.approve.signing import KEYGEN, KINDS, A, B, mpint, says, soft, ssh_keygen, ssh_sign


def refused(call) -> SignatureRefused:
    with pytest.raises(SignatureRefused) as raised:
        call()
    return raised.value


def outcome(call) -> object:
    """What `call` answers, or why it is refused."""
    try:
        return call()
    except SignatureRefused as error:
        return error.why


def test_the_text_that_is_signed_says_everything_that_it_is_for():
    assert says(after=12).text() == (
        "mintwarden policy statement v1\nact: approve\nissuer: https://tokens.example.com\nbundle: small\n"
        f"digest: {B}\nbase: {A}\nafter: 12\nname: Ann\nat: 2026-11-18T11:06:40Z\n"
    )
    assert "\nbase: none\nafter: 0\n" in says(base="", after=0).text()


@given(st.text(max_size=300))
def test_one_statement_has_one_text(noise):
    text = says().text()
    assert read_statement(text) == says()
    for changed in (text + noise, noise + text, text.replace("Ann", noise)):
        answer = outcome(lambda changed=changed: read_statement(changed).text())
        assert answer in ("malformed", changed)


@pytest.mark.parametrize(
    "change",
    [
        ("approve", "bless"), ("after: 1", "after: 01"), ("after: 1", "after: x"), ("T11:06", "T11:6"), ("v1", "v2"),
        ("name: Ann", "name: Ann\nname: Bob"), ("name: Ann\n", ""), ("\nbase", "\r\nbase"), ("Ann", "A\x85n"),
        ("2026", "0000"), ("act: ", "act:"),
    ],
)  # fmt: skip
def test_a_statement_that_is_written_otherwise_is_refused(change):
    assert refused(lambda: read_statement(says().text().replace(*change))).why == "malformed"


@pytest.mark.parametrize("kind", KINDS)
def test_each_type_of_ssh_key_signs(kind):
    key = soft(kind)
    one = key.sign(says())
    again = read_signed(one.text)
    assert (again, signer(again, ()).text) == (one, key.text)
    assert signer(key.sign(says(), hash_name="sha256"), ()).material == read_key(key.text).material


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_over_other_bytes_is_refused(kind):
    armor = soft(kind).sign(says()).armor
    assert refused(lambda: signer(signed(says(digest=A), armor), ())).why == "bad_signature"


def test_a_signature_made_for_another_purpose_is_refused():
    one = soft().sign(says(), namespace="git")
    assert refused(lambda: signer(one, ())).detail == "it was made for another purpose than `mintwarden-policy`"


def test_a_hardware_key_that_nobody_touched_is_refused():
    assert "nobody touched" in refused(lambda: signer(soft(SK_ED25519).sign(says(), flags=0), ())).detail


@pytest.mark.skipif(KEYGEN is None, reason="explained: OpenSSH's client is not installed")
@pytest.mark.parametrize(
    "options", [("-t", "ed25519"), ("-t", "ecdsa", "-b", "256"), ("-t", "ecdsa", "-b", "384"), ("-t", "rsa")]
)
def test_what_ssh_keygen_signs_is_verified_and_the_other_way_round(tmp_path, options):
    key = ssh_keygen(tmp_path, *options)
    public = key.with_suffix(".pub").read_text()
    one = signed(says(), ssh_sign(key, says().text()))
    found = signer(one, ())
    assert found.text == " ".join(public.split()[:2])
    listed = subprocess.run([str(KEYGEN), "-lf", f"{key}.pub"], capture_output=True, text=True, check=True).stdout
    assert found.fingerprint in listed
    assert refused(lambda: signer(signed(says(name="Bob"), one.armor), ())).why == "bad_signature"
    other = signed(says(), ssh_sign(key, says().text(), "file"))
    assert refused(lambda: signer(other, ())).why == "bad_signature"


@pytest.mark.skipif(KEYGEN is None, reason="explained: OpenSSH's client is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_ssh_keygen_takes_what_the_tests_sign(tmp_path, kind):
    key = soft(kind)
    (tmp_path / "s.sig").write_text(key.sign(says()).armor)
    (tmp_path / "allowed").write_text(f"ann {key.text}\n")
    words = [
        "-Y",
        "verify",
        "-n",
        "mintwarden-policy",
        "-I",
        "ann",
        "-s",
        tmp_path / "s.sig",
        "-f",
        tmp_path / "allowed",
    ]
    done = subprocess.run([str(KEYGEN), *words], input=says().text().encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_hostile_armor_is_malformed_and_never_anything_else():
    good = soft().sign(says()).armor
    raw = sshsig.dearmored(good, sshsig.BEGIN, sshsig.END)
    bad = [b"", raw[:-1], raw + b"\0", b"SSHSIG" + b"\0\0\0\2" + raw[10:], raw[:10] + b"\xff\xff\xff\xff" + raw[14:]]
    texts = [sshsig.armored(data, sshsig.BEGIN, sshsig.END) for data in bad]
    texts += ["", "x", good + "x", "x" + good, good.replace("A", "!", 1), good.replace("\n", "\n" * 500, 1), good * 2]
    for text in texts:
        assert refused(lambda text=text: sshsig.verify_sshsig(text, b"")).why == "malformed"


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_signature_with_a_changed_byte_is_refused(at, change):
    key = soft()
    raw = bytearray(sshsig.dearmored(key.sign(says()).armor, sshsig.BEGIN, sshsig.END))
    raw[at % len(raw)] ^= change
    armor = sshsig.armored(bytes(raw), sshsig.BEGIN, sshsig.END)
    assert outcome(lambda: signer(signed(says(), armor), ()).text != key.text) in ("malformed", "bad_signature", True)


def test_weak_and_strange_keys_are_refused():
    weak = string(b"ssh-rsa") + mpint(65537) + mpint((1 << 1023) + 1)
    even = string(b"ssh-rsa") + mpint(4) + mpint((1 << 2047) + 1)
    blobs = {
        "an RSA key must have": b"ssh-rsa " + base64.b64encode(weak),
        "exponent": b"ssh-rsa " + base64.b64encode(even),
        "do not count": b"ssh-dss " + base64.b64encode(string(b"ssh-dss") + mpint(7)),
        "it says": b"ssh-rsa " + soft().text.split()[1].encode(),
        "32 bytes": b"ssh-ed25519 " + base64.b64encode(string(b"ssh-ed25519") + string(b"x")),
        "on its curve": b"ecdsa-sha2-nistp256 "
        + base64.b64encode(string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(b"\4" + b"\1" * 64)),
        "uncompressed": b"ecdsa-sha2-nistp256 "
        + base64.b64encode(string(b"ecdsa-sha2-nistp256") + string(b"nistp256") + string(b"\2" + b"\1" * 32)),
        "curve is not": b"ecdsa-sha2-nistp256 "
        + base64.b64encode(string(b"ecdsa-sha2-nistp256") + string(b"nistp384") + string(b"")),
        "base64": b"ssh-ed25519 ???",
        ".pub": b"ssh-ed25519",
        "JWK": b'{"kty":"OKP"}',
        "our own": b'{"crv":"X25519","kty":"OKP","x":"AA"}',
    }
    for words, text in blobs.items():
        assert words in str(try_key(text.decode())), words


def own_key(kind: str):
    key = soft().private if kind == "Ed25519" else ec.generate_private_key(ec.SECP256R1())
    u = lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("=")  # noqa: E731
    if kind == "Ed25519":
        return key, read_key(jwk_text({"kty": "OKP", "crv": "Ed25519", "x": u(key.public_key().public_bytes_raw())}))
    n = key.public_key().public_numbers()
    members = {"kty": "EC", "crv": "P-256", "x": u(n.x.to_bytes(32, "big")), "y": u(n.y.to_bytes(32, "big"))}
    return key, read_key(jwk_text(members))


@pytest.mark.parametrize("kind", ["Ed25519", "ES256"])
def test_keys_of_our_own_sign(kind):
    private, key = own_key(kind)
    data = own.to_be_signed(says().text().encode())
    if kind == "Ed25519":
        raw = private.sign(data)
    else:
        raw = b"".join(
            n.to_bytes(32, "big") for n in decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
        )
    armor = own.own_signature(key, raw)
    assert key.kind == kind
    assert signer(signed(says(), armor), (key,)) == key
    assert refused(lambda: signer(signed(says(), armor), ())).why == "wrong_key"
    assert refused(lambda: signer(signed(says(act="author"), armor), (key,))).why == "bad_signature"
    short = sshsig.armored(b"x" * 95, own.BEGIN, own.END)
    assert refused(lambda: signer(signed(says(), short), (key,))).why == "malformed"


def test_one_key_in_two_forms_is_one_key():
    private = soft().private
    text = base64.urlsafe_b64encode(private.public_key().public_bytes_raw()).decode().rstrip("=")
    jwk = read_key(jwk_text({"kty": "OKP", "crv": "Ed25519", "x": text}))
    ssh = read_key(type(soft())("ssh-ed25519", private).text)
    hardware = read_key(type(soft())(SK_ED25519, private).text)
    assert jwk.material == ssh.material == hardware.material
    assert len({jwk.text, ssh.text, hardware.text}) == 3


@pytest.mark.parametrize("text", ["", "x", says().text(), says().text() + "\n", "\n\n", "x" * 20_000])
def test_a_file_without_statement_or_signature_is_malformed(text):
    assert outcome(lambda: signer(read_signed(text), ())) == "malformed"
