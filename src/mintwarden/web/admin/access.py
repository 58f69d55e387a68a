"""Who may administer: the bearer, or the holder, of one of our own access tokens for the audience `mintwarden`.

A token that is bound to a key comes with a proof of that key (`Authorization: DPoP`, RFC 9449 section 7), one that is
bound to a certificate over a connection with that certificate (RFC 8705 section 3), any other as a bearer token.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from mintwarden.authn.certificates import thumbprint
from mintwarden.authn.jose import JoseError, decode_json, parse
from mintwarden.authn.own import OwnTokens
from mintwarden.authn.proofs.dpop import DpopProofs
from mintwarden.authn.proofs.nonce import Nonces
from mintwarden.model.caller import Evidence, OnceKey
from mintwarden.model.clock import Clock
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.scim import ADMINISTRATION
from mintwarden.web.certificate import CertificateReader
from mintwarden.web.errors import challenge
from mintwarden.web.reply import Header, Scope

AUDIENCE = ADMINISTRATION
"""The catalogue's audience for administration; its identifier is the issuer with `/admin` appended."""


class ScopeLacking(MintwardenError):
    """The access token is good, and lacks `scope`."""

    def __init__(self, scope: str, *, hint: str = "") -> None:
        what = f"the access token lacks the scope `{scope}`"
        super().__init__(ErrorKind.INSUFFICIENT_SCOPE, what, hint=hint, authenticate=True)
        self.scope = scope


class TokenRefused(MintwardenError):
    """The token or its proof is not accepted.

    Attributes:
        scheme: how the token would have to be sent.
        code: what is wrong (RFC 6750 section 3.1, RFC 9449 section 7.1).
        headers: further headers of the answer.
    """

    def __init__(
        self, public: str, *, hint: str = "", scheme: str = "Bearer", code: str = "invalid_token", nonce: str = ""
    ) -> None:
        super().__init__(ErrorKind.INVALID_TOKEN, public, hint=hint, authenticate=True)
        self.scheme = scheme
        self.code = code
        self.headers: tuple[Header, ...] = ((b"dpop-nonce", nonce.encode()),) if nonce else ()


class Shown(Struct, frozen=True, kw_only=True):
    """What came with a request beside its token.

    Attributes:
        authorizations, proofs: the `Authorization` and `DPoP` headers.
        method, url: of the request, as its sender knows them.
        certificate: that of the connection (DER), or empty.
    """

    authorizations: Sequence[str]
    proofs: Sequence[str] = ()
    method: str = ""
    url: str = ""
    certificate: bytes = b""


class Showing(Struct, frozen=True, kw_only=True):
    """Reads what requests show.

    Attributes:
        origin: scheme and authority of the issuer: what a caller's proof says before the path.
        certificates: reads the certificate of a request; None where none can come.
    """

    origin: str
    certificates: CertificateReader | None = None

    def of(self, scope: Scope) -> Shown:
        """What came with the request of an ASGI scope."""
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        headers = scope["headers"]
        return Shown(
            authorizations=[value.decode("latin-1") for name, value in headers if name == b"authorization"],
            proofs=[value.decode("latin-1") for name, value in headers if name == b"dpop"],
            method=scope["method"],
            url=self.origin + path.decode("latin-1"),
            certificate=self.certificates.read(scope) if self.certificates is not None else b"",
        )


def challenges(error: MintwardenError, *, scope: str, realm: str = "mintwarden") -> tuple[Header, ...]:
    """What a caller is told who came without a good token, in the scheme that its token belongs in."""
    if isinstance(error, TokenRefused):
        return challenge(error, scope=scope, realm=realm, scheme=error.scheme, code=error.code), *error.headers
    return (challenge(error, scope=scope, realm=realm),)


def demand(who: Evidence, *scopes: str, hint: str = "") -> None:
    """Raise `ScopeLacking` unless one of `scopes` is among the token's own; `area:*` stands for any below `area:`.

    `hint` says why it is needed, where the operation alone does not.
    """
    own = who.scopes or ()
    for scope in scopes:
        if scope in own or (scope.endswith(":*") and any(held.startswith(scope[:-1]) for held in own)):
            return
    raise ScopeLacking(scopes[0], hint=hint)


class Access:
    """Verifies access tokens for administration, strictly: ours, alive, for this audience.

    `audience` is the identifier of the catalogue's audience, or empty when the bundle has none: then nobody may.
    Without `proofs`, tokens that are bound to a key are refused. `nonces` are those that proofs must carry, if any.
    """

    def __init__(
        self,
        *,
        own: OwnTokens,
        audience: str,
        clock: Clock,
        proofs: DpopProofs | None = None,
        nonces: Nonces | None = None,
    ) -> None:
        self._own = own
        self._proofs = proofs
        self._nonces = nonces
        self._audience = audience
        self._clock = clock

    def verify(self, shown: Shown) -> tuple[Evidence, tuple[OnceKey, ...]]:
        """What the token proves, and the proofs that are to be claimed: a proof counts once.

        Raises `INVALID_TOKEN` (401) for a missing or bad token, and for a bound one that comes without what it is bound
        to; `INVALID_REQUEST` for two tokens.
        """
        if len(shown.authorizations) > 1:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, "`Authorization` is repeated")
        scheme, _, token = (shown.authorizations[0] if shown.authorizations else "").partition(" ")
        scheme, token = scheme.lower(), token.strip()
        if not token or scheme not in ("bearer", "dpop"):
            raise MintwardenError(ErrorKind.INVALID_TOKEN, "an access token is needed")
        named = "DPoP" if scheme == "dpop" else "Bearer"
        try:
            unverified = parse(token)
            evidence = self._own.verify(unverified, decode_json(unverified.payload), self._clock.now())
        except JoseError as error:
            raise TokenRefused("the access token is not valid", hint=str(error), scheme=named) from None
        if not self._audience or self._audience not in evidence.audiences:
            raise TokenRefused("the access token is not for this service", scheme=named)
        return evidence, self._held(evidence, scheme, token, shown)

    def _held(self, evidence: Evidence, scheme: str, token: str, shown: Shown) -> tuple[OnceKey, ...]:
        """INVARIANT: a token that is bound to a key, of whatever kind, counts with that key alone."""
        binding = evidence.binding
        if (binding is not None and binding.kind == "dpop") != (scheme == "dpop"):
            wanted = "Bearer" if scheme == "dpop" else "DPoP"
            raise TokenRefused(f"the access token must be sent as `{wanted}`", scheme=wanted)
        if binding is None:
            return ()
        if binding.kind == "dpop":
            return self._proven(evidence, token, shown)
        if binding.kind != "mtls" or not shown.certificate or thumbprint(shown.certificate) != binding.thumbprint:
            raise TokenRefused("the access token is bound to a certificate that is not this connection's")
        return ()

    def _proven(self, evidence: Evidence, token: str, shown: Shown) -> tuple[OnceKey, ...]:
        now = self._clock.now()
        if len(shown.proofs) != 1 or self._proofs is None:
            raise self._unproven("one proof of its key must come with the access token")
        try:
            binding, once = self._proofs.verify(shown.proofs[0], shown.method, now, url=shown.url, token=token)
        except MintwardenError as error:
            if error.kind is ErrorKind.USE_DPOP_NONCE and self._nonces is not None:
                raise TokenRefused(
                    error.public, scheme="DPoP", code="use_dpop_nonce", nonce=self._nonces.make(now)
                ) from None
            raise self._unproven(error.public, error.hint) from None
        if binding != evidence.binding:
            raise self._unproven("the proof is made with another key than the access token is bound to")
        return (once,)

    def again(self) -> TokenRefused:
        """What whoever sends a proof again is told."""
        return self._unproven("the DPoP proof was used before")

    def _unproven(self, public: str, hint: str = "") -> TokenRefused:
        return TokenRefused(public, hint=hint, scheme="DPoP", code="invalid_dpop_proof")
