"""Keys and signatures as people make them: by `ssh-keygen`, by a security key in software, by keys of our own."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from msgspec import Struct

from mintwarden.policy.approve.keys import SK_ECDSA, SK_ED25519
from mintwarden.policy.approve.signed import Signed, signed
from mintwarden.policy.approve.sshsig import BEGIN, END, NAMESPACE, armored
from mintwarden.policy.approve.statement import Statement
from mintwarden.policy.approve.wire import string

KEYGEN = shutil.which("ssh-keygen")
AT = 1_795_000_000
ISSUER = "https://tokens.example.com"
A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def says(act: str = "approve", name: str = "Ann", **values: object) -> Statement:
    members = {"issuer": ISSUER, "bundle": "small", "digest": B, "base": A, "after": 1, "at": AT} | values
    return Statement(act=act, name=name, **members)  # type: ignore[arg-type]


def mpint(value: int) -> bytes:
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


class Soft(Struct, frozen=True):
    """A key in memory that signs as `ssh-keygen -Y sign` does; `kind` is OpenSSH's name of its type."""

    kind: str
    private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey

    @property
    def blob(self) -> bytes:
        name, application = string(self.kind.encode()), string(b"ssh:") if self.kind.startswith("sk-") else b""
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return name + string(self.private.public_key().public_bytes_raw()) + application
        numbers = self.private.public_key().public_numbers()
        curve = self.private.curve
        width = curve.key_size // 8
        point = b"\x04" + numbers.x.to_bytes(width, "big") + numbers.y.to_bytes(width, "big")
        return name + string(b"nistp%d" % curve.key_size) + string(point) + application

    @property
    def text(self) -> str:
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    def armor(self, message: bytes, *, namespace: str = NAMESPACE, flags: int = 1, hash_name: str = "sha512") -> str:
        head = string(namespace.encode()) + string(b"") + string(hash_name.encode())
        data = b"SSHSIG" + head + string(hashlib.new(hash_name, message).digest())
        tail = b""
        if self.kind.startswith("sk-"):
            tail = bytes([flags]) + (7).to_bytes(4, "big")
            data = hashlib.sha256(b"ssh:").digest() + tail + hashlib.sha256(data).digest()
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            raw = self.private.sign(data)
        else:
            digest = hashes.SHA384() if self.private.curve.key_size == 384 else hashes.SHA256()
            raw = b"".join(mpint(n) for n in decode_dss_signature(self.private.sign(data, ec.ECDSA(digest))))
        signature = string(self.kind.encode()) + string(raw) + tail
        return armored(b"SSHSIG" + (1).to_bytes(4, "big") + string(self.blob) + head + string(signature), BEGIN, END)

    def sign(self, statement: Statement, **how: object) -> Signed:
        return signed(statement, self.armor(statement.text().encode(), **how))  # type: ignore[arg-type]


def soft(kind: str = "ssh-ed25519") -> Soft:
    if kind in ("ssh-ed25519", SK_ED25519):
        return Soft(kind, ed25519.Ed25519PrivateKey.generate())
    return Soft(kind, ec.generate_private_key(ec.SECP384R1() if "384" in kind else ec.SECP256R1()))


KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", SK_ED25519, SK_ECDSA)


def ssh_keygen(folder: Path, *options: str) -> Path:
    """A key pair made by `ssh-keygen`; the private half's path."""
    path = folder / "key"
    subprocess.run([str(KEYGEN), "-q", "-N", "", "-C", "ann@host", "-f", str(path), *options], check=True)
    return path


def ssh_sign(key: Path, text: str, namespace: str = NAMESPACE) -> str:
    """What `ssh-keygen -Y sign` answers."""
    file = key.parent / "statement"
    file.write_text(text)
    subprocess.run(
        [str(KEYGEN), "-q", "-Y", "sign", "-n", namespace, "-f", str(key), str(file)], check=True, capture_output=True
    )
    armor = (key.parent / "statement.sig").read_text()
    (key.parent / "statement.sig").unlink()
    return armor
