"""The issuers that Meridian trusts, played on loopback: their keys are published over HTTP, their tokens are real."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from msgspec import Struct

from mintwarden.app.demo.certificates import Credential, new_authority
from mintwarden.app.demo.pages import Answer, Page, Pages
from mintwarden.app.demo.provider import Provider
from mintwarden.authn.svid import SCHEME

AUDIENCE = "https://tokens.meridian.example"
"""What tokens for the token service are addressed to."""


class Upstream(Struct, frozen=True, kw_only=True):
    """One trusted issuer.

    Attributes:
        id: its name in the bundle.
        issuer: its `iss`.
        key: its private signing key.
        subjects: some of whom it speaks of.
        longest: the longest life of its tokens that the bundle accepts, in seconds.
        authority: of a trust domain: who issues its X.509-SVIDs.
    """

    id: str
    issuer: str
    key: ECKey | RSAKey
    subjects: Sequence[str]
    longest: int
    authority: Credential | None = None

    def jwk(self, *, private: bool) -> dict[str, Any]:
        """Its key as a JWK."""
        return dict(self.key.as_dict(private=private))

    def token(self, subject: str, *, lifetime: int, claims: Mapping[str, object] = {}, kind: str = "JWT") -> str:
        """A signed JWT about `subject` for the token service, with further `claims`; `lifetime` in seconds."""
        issued = int(time.time())
        payload = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": issued,
            "exp": issued + min(lifetime, self.longest),
            "jti": secrets.token_urlsafe(12),
            **claims,
        }
        jwk = self.jwk(private=False)
        header = {"alg": jwk["alg"], "typ": kind, "kid": jwk["kid"]}
        return jwt.encode(header, payload, self.key, algorithms=[jwk["alg"]])


class Upstreams:
    """All of them, served until the block is left.

    Attributes:
        provider: the one of them that people also sign in at with a browser.
    """

    def __init__(self, upstreams: Sequence[Upstream], *, provider: Provider, server: Pages) -> None:
        self.by_id: Mapping[str, Upstream] = {upstream.id: upstream for upstream in upstreams}
        self.provider = provider
        self._server = server
        for upstream in upstreams:
            self.publish(f"/{upstream.id}/jwks.json", _published(upstream))
        server.pages.update(provider.pages())

    @property
    def base(self) -> str:
        """Where they are served, without a slash at its end."""
        return self._server.base

    def publish(self, path: str, content: object) -> str:
        """Have a JSON document served at `path`; the URL that it then has."""
        self._server.pages[path] = _document(content)
        return f"{self.base}{path}"

    def jwks_uri(self, name: str) -> str:
        """Where the keys of the issuer called `name` in the bundle are served."""
        return f"{self._server.base}/{name}/jwks.json"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()


_HALF_A_DAY, _DAY = 12 * 3600, 24 * 3600


def open_upstreams(
    people: Sequence[str], jobs: Sequence[str], accounts: Sequence[str], agents: Sequence[str], workloads: Sequence[str]
) -> Upstreams:
    """The five issuers of the bundle with fresh keys, each speaking of the given subjects.

    People sign in at `login` with a browser, so it is where its name says; the others only have their keys here.
    """
    host, server, key = "meridian.example", Pages(), _ec_key()
    known = (
        ("login", f"{server.base}/login", key, people, _HALF_A_DAY),
        ("clusters", f"https://kubernetes.prod.{host}", _ec_key(), accounts, _DAY),
        ("build", f"https://build.{host}", _rsa_key(), jobs, _HALF_A_DAY),
        ("agents", f"https://agents.{host}", _ec_key(), agents, _HALF_A_DAY),
        ("mesh", f"{SCHEME}prod.{host}", _ec_key(), workloads, _HALF_A_DAY),
    )
    return Upstreams(
        [
            Upstream(
                id=name,
                issuer=issuer,
                key=key,
                subjects=subjects,
                longest=longest,
                authority=_authority(issuer) if issuer.startswith(SCHEME) else None,
            )
            for name, issuer, key, subjects, longest in known
        ],
        provider=Provider(issuer=f"{server.base}/login", key=key, people=people),
        server=server,
    )


def _published(upstream: Upstream) -> dict[str, Any]:
    """Its key set; of a trust domain its bundle (SPIFFE Trust Domain and Bundle, section 4)."""
    jwk = upstream.jwk(private=False)
    if upstream.authority is None:
        return {"keys": [jwk]}
    authority = ECKey.import_key(upstream.authority.key.public_key()).as_dict(private=False)
    x509_svid = {**authority, "use": "x509-svid", "x5c": [upstream.authority.base64]}
    return {"keys": [{**jwk, "use": "jwt-svid"}, x509_svid], "spiffe_sequence": 1}


def _authority(trust_domain: str) -> Credential:
    """Who issues the X.509-SVIDs of `trust_domain`, and says so in its one name (SPIFFE X.509-SVID, section 2)."""
    return new_authority("Mesh", also=(x509.UniformResourceIdentifier(trust_domain),))


def _document(content: object) -> Page:
    answer = Answer.json(content)
    return lambda _asked: answer


def _ec_key() -> ECKey:
    return ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True, auto_kid=True)


def _rsa_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, private=True, auto_kid=True)
