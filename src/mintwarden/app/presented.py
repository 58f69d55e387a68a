"""A token that is shown to be explained: is it ours, is it the very one that was recorded."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

from mintwarden.app.foundation import Foundation
from mintwarden.app.story import Story
from mintwarden.authn.jose import JoseError, decode_json, decode_segment, load_key, parse, verify_signature
from mintwarden.ledger.seal import token_digest
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_bytes

_ALGORITHMS = frozenset({"ES256", "ES384", "PS256", "EdDSA", "RS256"})


class PresentedToken:
    """The decision that a token names, and what can be said of the token itself."""

    def __init__(self, text: str) -> None:
        """Raises `INVALID_REQUEST` for what is no access token of the product."""
        try:
            self._token = parse(text.strip())
            self._claims = decode_json(self._token.payload)
            self.decision = decision_bytes(str(self._claims.get("jti", "")))
        except (JoseError, ValueError):
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST,
                "that is neither a decision id nor an access token",
                hint="give the `jti`, the whole token, or `-` to read it from standard input",
            ) from None

    async def judged(self, base: Foundation, story: Story) -> dict[str, Any]:
        """Whether our key signed it, and whether it is the very token that the story's entry recorded.

        The latter is None when nobody can tell any more, because the subject was erased.
        """
        blinding = await self._blinding(base)
        same = None if blinding is None else token_digest(blinding, self._digest()) == story.get("prepared")
        leaf = urlsafe_b64encode(bytes.fromhex(story["proof"]["leaf"])).rstrip(b"=").decode()
        return {
            "issuer": self._claims.get("iss"),
            "expires_at": self._claims.get("exp"),
            "signature": self._signature(base),
            "recorded": same if self._claims.get("ledger_leaf") == leaf else False,
        }

    async def _blinding(self, base: Foundation) -> bytes | None:
        stored = await base.store.entries.by_decision(self.decision)
        key = None if stored is None else await base.store.subject_keys.by_id(stored.key_id)
        return None if key is None else base.sealer.blinding(key[1], self.decision)

    def _signature(self, base: Foundation) -> str:
        jwk = base.ring.public_jwk(self._token.kid) if self._token.kid else None
        if jwk is None:
            return "its key is not published any more"
        try:
            verify_signature(self._token, (load_key({**jwk, "kid": self._token.kid}),), _ALGORITHMS)
        except JoseError:
            return "false"
        return "good"

    def _digest(self) -> bytes:
        """The prepared token's: header and payload without the ledger claim, which is always the last."""
        header = decode_segment(self._token.signed.partition(b".")[0])
        kept, _, _ = self._token.payload.rpartition(b',"ledger_leaf":')
        return sha256(header + b"." + kept + b"}").digest()
