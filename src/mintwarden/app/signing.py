"""Signs statements with an SSH key by `ssh-keygen` (an agent or hardware included) or with a key file of our own."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.approve.keys import PublicKey, jwk_text, try_key
from mintwarden.policy.approve.own import own_signature, to_be_signed
from mintwarden.policy.approve.sshsig import NAMESPACE
from mintwarden.policy.bundle.model import Approvals

SIGN_SECONDS = 120
"""Long enough to find the hardware key and to type its PIN."""
Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


def public_half(key: Path) -> PublicKey:
    """The public key of a key file: its own, or the `.pub` file beside it. Raises `CONFIG`."""
    text = _text(key)
    if text.startswith("{"):
        return _own(key, text)[1]
    if not text.startswith(("ssh-", "sk-", "ecdsa-")):
        beside = key.with_name(f"{key.name}.pub")
        text = _text(beside)
    found = try_key(text)
    if isinstance(found, str):
        raise _unusable(key, found)
    return found


def armor_of(key: Path, statement: str) -> str:
    """The signature of a statement. Raises `CONFIG` for a key that cannot be used, `UNAVAILABLE` without OpenSSH."""
    text = _text(key)
    if not text.startswith("{"):
        return _by_ssh_keygen(key, statement)
    private, public = _own(key, text)
    data = to_be_signed(statement.encode())
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return own_signature(public, private.sign(data))
    r, s = decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
    return own_signature(public, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def owner_of(key: PublicKey, approvals: Approvals) -> str:
    """Whose key it is by a bundle, or empty."""
    for one in (*approvals.approvers, *approvals.authors):
        for text in one.keys:
            known = try_key(text)
            if not isinstance(known, str) and known.text == key.text:
                return one.name
    return ""


def make_key(path: Path, algorithm: str) -> PublicKey:
    """A new key file of our own, readable by nobody else; its public half. Raises `CONFLICT` when the file exists."""
    private: Private = (
        ed25519.Ed25519PrivateKey.generate() if algorithm == "Ed25519" else ec.generate_private_key(ec.SECP256R1())
    )
    members = json.loads(_public_text(private))
    if isinstance(private, ed25519.Ed25519PrivateKey):
        members["d"] = _b64u(private.private_bytes_raw())
    else:
        members["d"] = _b64u(private.private_numbers().private_value.to_bytes(32, "big"))
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(json.dumps(members, indent=1) + "\n")
    except FileExistsError:
        raise MintwardenError(
            ErrorKind.CONFLICT, f"`{path}` exists already, nothing was written", hint="name another file"
        ) from None
    except OSError as error:
        raise _unusable(path, (error.strerror or "it cannot be written").lower()) from error
    return public_half(path)


def _own(key: Path, text: str) -> tuple[Private, PublicKey]:
    try:
        members: dict[str, Any] = json.loads(text)
        secret = base64.b64decode(members["d"] + "=" * (-len(members["d"]) % 4), altchars=b"-_", validate=True)
        private: Private = (
            ed25519.Ed25519PrivateKey.from_private_bytes(secret)
            if members["kty"] == "OKP"
            else ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
        )
    except (KeyError, TypeError, ValueError):
        raise _unusable(key, "it is no private JWK of `mintwarden policy keygen`") from None
    if key.stat().st_mode & 0o077:
        raise _unusable(key, "others can read it: `chmod 600` it")
    found = try_key(_public_text(private))
    if isinstance(found, str):
        raise _unusable(key, found)
    return private, found


def _public_text(private: Private) -> str:
    public = private.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        return jwk_text({"kty": "OKP", "crv": "Ed25519", "x": _b64u(public.public_bytes_raw())})
    numbers = public.public_numbers()
    x, y = (_b64u(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    return jwk_text({"kty": "EC", "crv": "P-256", "x": x, "y": y})


def _b64u(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _by_ssh_keygen(key: Path, statement: str) -> str:
    """`ssh-keygen` asks for a passphrase, a PIN or a touch on the terminal, or through `SSH_ASKPASS`."""
    try:
        done = subprocess.run(  # noqa: S603 - our own words and the operator's key
            ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(key)],  # noqa: S607 - as git finds it
            input=statement.encode(),
            capture_output=True,
            timeout=SIGN_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise MintwardenError(
            ErrorKind.UNAVAILABLE,
            "`ssh-keygen` is not installed",
            hint="install OpenSSH's client, or sign elsewhere: `--statement-only`, later `--statement`, `--signature`",
        ) from None
    except subprocess.TimeoutExpired:
        raise _unusable(key, f"nobody has unlocked it within {SIGN_SECONDS} seconds") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["`ssh-keygen` gives no reason"]
        raise _unusable(key, said[-1])
    return done.stdout.decode("ascii", "replace")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, (getattr(error, "strerror", None) or "it is not text").lower()) from error


def _unusable(path: Path, why: str) -> MintwardenError:
    return MintwardenError(
        ErrorKind.CONFIG,
        f"the key `{path}` cannot be used: {why}",
        hint="give the private key, or the `.pub` of an agent's",
    )
