"""New signing keys, sealed; and sealed ones opened again."""

from __future__ import annotations

import json
from typing import Literal

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from mintwarden.mint.ports import KeyState, MasterKey, StoredKey
from mintwarden.mint.signers import LocalSigner, PrivateKey
from mintwarden.model.errors import ErrorKind, MintwardenError

ALGORITHMS = ("ES256", "PS256", "EdDSA", "RS256")
"""What access tokens can be signed with."""

CHECKPOINT_ALGORITHM = "Ed25519"
"""What the ledger's checkpoints are signed with (C2SP signed-note)."""

RSA_BITS = 2048


def generate(
    *,
    purpose: Literal["access_token", "checkpoint"],
    algorithm: str,
    state: KeyState,
    now: int,
    master: MasterKey,
) -> StoredKey:
    """A new key of `algorithm`, sealed under `master`. RSA takes about a tenth of a second, the others nothing."""
    key = _fresh(algorithm)
    kid = key.thumbprint()
    return StoredKey(
        kid=kid,
        purpose=purpose,
        algorithm=algorithm,
        state=state,
        public_jwk=_json(key.as_dict(private=False)),
        sealed=master.seal(_json(key.as_dict(private=True)), _context(kid)),
        created_at=now,
        activated_at=now if state == "active" else None,
    )


def open_signer(stored: StoredKey, master: MasterKey) -> LocalSigner:
    """The signer of a sealed key; raises `KEYS` naming the key when it does not open or is not what it says.

    INVARIANT: a stored key is ours only if its private half was sealed under our master key and its public half is of
    the same name. Whoever can write to the store can still not make anyone trust a key of his own.
    """
    try:
        key = JWKRegistry.import_key(json.loads(master.open(stored.sealed, _context(stored.kid))))
        private: PrivateKey = key.private_key  # type: ignore[assignment]
        thumbprints = {key.thumbprint(), JWKRegistry.import_key(json.loads(stored.public_jwk)).thumbprint()}
    except MintwardenError as error:
        raise _damaged(stored, error.public, error.hint) from error
    except (JoseError, ValueError, TypeError) as error:
        raise _damaged(stored, "what was sealed is not a key") from error
    if thumbprints != {stored.kid}:
        raise _damaged(stored, "its thumbprint is another key's")
    return LocalSigner(kid=stored.kid, algorithm=stored.algorithm, private_key=private)


def _fresh(algorithm: str) -> ECKey | OKPKey | RSAKey:
    if algorithm == "ES256":
        return ECKey.generate_key("P-256")
    if algorithm in ("EdDSA", CHECKPOINT_ALGORITHM):
        return OKPKey.generate_key("Ed25519")
    if algorithm in ("PS256", "RS256"):
        return RSAKey.generate_key(RSA_BITS)
    known = ", ".join(ALGORITHMS)
    raise MintwardenError(ErrorKind.KEYS, f"tokens cannot be signed with `{algorithm}`", hint=f"one of {known}")


def _json(members: object) -> bytes:
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()


def _context(kid: str) -> bytes:
    return b"signing-key/" + kid.encode()


def _damaged(stored: StoredKey, why: str, hint: str = "") -> MintwardenError:
    text = f"signing key `{stored.kid}` ({stored.algorithm}, {stored.state}) cannot be used: {why}"
    return MintwardenError(
        ErrorKind.KEYS,
        text,
        hint=hint or "restore the store from a backup, or revoke the key with `mintwarden keys revoke`",
    )
