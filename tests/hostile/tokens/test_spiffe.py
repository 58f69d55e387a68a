"""SVIDs that are not what they are shown for (draft-ietf-oauth-spiffe-client-auth, JWT-SVID, X.509-SVID)."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from cryptography import x509

from mintwarden.authn.certificates import CertificateError
from mintwarden.authn.issuers.keys import KeyFinder
from mintwarden.authn.jose import JoseError
from mintwarden.authn.spiffe import SpiffeDomains, is_meant, trust_domain_of
from mintwarden.model.catalogue import TrustedIssuer
from tests.flow.pki import FOR_CLIENTS, Pair, certificate
from tests.hostile.tokens.forge import NOW_S, jwk, signed, text

NOW, US = NOW_S * 1000, "https://tokens.example"
AT = datetime.datetime.fromtimestamp(NOW_S, datetime.UTC)
WORKLOAD = "spiffe://meridian.example/pay/settler"
CA = certificate("O=SPIFFE", authority=True, now=AT)
OTHER = certificate("O=SPIFFE", authority=True, now=AT)


class Endpoints:
    """Bundle endpoints by URL; counts."""

    def __init__(self) -> None:
        self.bundles: dict[str, Any] = {
            "https://bundles/one": bundle("one", CA),
            "https://bundles/two": bundle("two", OTHER),
        }
        self.fetched = 0

    async def fetch(self, url: str) -> bytes:
        self.fetched += 1
        return json.dumps(self.bundles[url]).encode()


def bundle(kid: str, *authorities: Pair) -> dict[str, Any]:
    certificates = [
        {"use": "x509-svid", "kty": "EC", "x5c": [base64.b64encode(pair.der).decode()]} for pair in authorities
    ]
    return {"keys": [jwk(kid, use="jwt-svid"), *certificates], "spiffe_sequence": 1}


def domain(name: str, url: str, **more: Any) -> TrustedIssuer:
    return TrustedIssuer(
        id=name,
        issuer=f"spiffe://{name}",
        profile="spiffe",
        keys="bundle",
        jwks_uri=url,
        audiences=("elsewhere",),
        principal="Workload",
        **more,
    )


def domains(endpoints: Endpoints | None = None, **more: Any) -> SpiffeDomains:
    issuers = [
        domain("meridian.example", "https://bundles/one", **more),
        domain("other.example", "https://bundles/two"),
    ]
    login = TrustedIssuer(id="l", issuer="https://login", keys="discovery", audiences=("a",), principal="User")
    return SpiffeDomains(issuer=US, issuers=[*issuers, login], keys=KeyFinder(fetcher=endpoints or Endpoints()))


def svid(header: Mapping[str, Any] | None = None, key: str = "one", **claims: Any) -> str:
    head = {"alg": "ES256", "kid": "one", "typ": "JWT", **(header or {})}
    body = {"sub": WORKLOAD, "aud": [US], "iat": NOW_S, "exp": NOW_S + 300, **claims}
    head, body = ({k: v for k, v in each.items() if v is not ...} for each in (head, body))
    return signed(key, text(head), text(body))


TAKEN = {
    "as SPIRE makes it": svid(),
    "with `aud` as a string": svid(aud=US),
    "without `iat` and `typ`": svid({"typ": ...}, iat=...),
    "with typ JOSE": svid({"typ": "JOSE"}),
    "with an `iss` that means nothing": svid(iss="https://oidc.meridian.example"),
}
REFUSED = {
    "for others too": svid(aud=[US, "https://api.example"]),
    "for the token endpoint": svid(aud=[f"{US}/token"]),
    "for nobody": svid(aud=...),
    "without an end": svid(exp=...),
    "ended": svid(iat=NOW_S - 900, exp=NOW_S - 120),
    "living for weeks": svid(exp=NOW_S + 40 * 86_400),
    "without a subject": svid(sub=...),
    "of the trust domain itself": svid(sub="spiffe://meridian.example"),
    "of an unknown trust domain": svid(sub="spiffe://evil.example/pay/settler"),
    "of another domain than the key's": svid(sub="spiffe://other.example/pay/settler"),
    "with a path that climbs": svid(sub="spiffe://meridian.example/pay/../settler"),
    "signed by the other domain": svid({"kid": "two"}, key="two"),
    "signed by somebody": svid(key="holder"),
    "without `kid`": svid({"kid": ...}),
    "with another `kid`": svid({"kid": "three"}),
    "an access token": svid({"typ": "at+jwt"}),
    "a DPoP proof": svid({"typ": "dpop+jwt"}),
    "with alg none": svid({"alg": "none"}),
    "with a symmetric alg": svid({"alg": "HS256"}),
    "with an alg that no SVID has": svid({"alg": "EdDSA"}),
    "in the JSON serialization": json.dumps(
        dict(zip(("protected", "payload", "signature"), svid().split("."), strict=True))
    ),
    "with a key in its header": svid({"jwk": jwk("one")}),
    "cut": svid()[:-4],
    "nothing": "",
}


@pytest.mark.parametrize("name", TAKEN)
async def test_a_jwt_svid_that_is_taken(name: str) -> None:
    assert await domains().of_jwt(TAKEN[name], NOW) == WORKLOAD


@pytest.mark.parametrize("name", REFUSED)
async def test_a_jwt_svid_that_is_refused(name: str) -> None:
    with pytest.raises(JoseError):
        await domains().of_jwt(REFUSED[name], NOW)


async def test_the_conditions_of_the_trust_domain_hold_too() -> None:
    strict = domains(conditions=("claims.cluster == 'prod'",))
    assert await strict.of_jwt(svid(cluster="prod"), NOW) == WORKLOAD
    with pytest.raises(JoseError):
        await strict.of_jwt(svid(), NOW)


def leaf(by: Pair | None = CA, uris: Sequence[str] = (WORKLOAD,), **more: Any) -> x509.Certificate:
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    return certificate("O=SPIRE", by, names=names, now=AT, **{"signs": True, "uses": [FOR_CLIENTS], **more}).certificate


async def test_an_x509_svid_that_is_taken() -> None:
    assert await domains().of_certificate(leaf(), NOW) == WORKLOAD


BAD = {
    "of the other domain's authority": leaf(OTHER),
    "of the other domain, of this authority": leaf(uris=["spiffe://other.example/pay"]),
    "of an unknown domain": leaf(uris=["spiffe://evil.example/pay"]),
    "signed by itself": leaf(None),
    "with two URIs": leaf(uris=[WORKLOAD, "https://meridian.example"]),
    "without a URI": leaf(uris=[]),
    "with the trust domain alone": leaf(uris=["spiffe://meridian.example"]),
    "of an authority": leaf(authority=True),
    "that may sign certificates": leaf(authority=True, signs=False),
    "that may not sign": leaf(signs=False),
    "without a key usage": leaf(signs=None),
    "that does not say whether it is an authority": leaf(constrained=False),
    "ended": leaf(days=(-3, -1)),
}


@pytest.mark.parametrize("name", BAD)
async def test_an_x509_svid_that_is_refused(name: str) -> None:
    with pytest.raises(CertificateError):
        await domains().of_certificate(BAD[name], NOW)


async def test_an_authority_that_is_new_is_fetched_and_a_flood_of_strange_ones_fetches_once() -> None:
    endpoints = Endpoints()
    known = domains(endpoints)
    assert await known.of_certificate(leaf(), NOW) == WORKLOAD
    fresh = certificate("O=SPIFFE 2", authority=True, now=AT)
    endpoints.bundles["https://bundles/one"] = bundle("one", CA, fresh)
    for _ in range(3):
        with pytest.raises(CertificateError):
            await known.of_certificate(leaf(fresh), NOW + 1000)
    assert endpoints.fetched == 1
    assert await known.of_certificate(leaf(fresh), NOW + 31_000) == WORKLOAD
    assert endpoints.fetched == 2


@pytest.mark.parametrize(
    ("registered", "shown", "is_it"),
    [
        (WORKLOAD, WORKLOAD, True),
        ("spiffe://meridian.example/pay/*", WORKLOAD, True),
        ("spiffe://meridian.example/*", WORKLOAD, True),
        ("spiffe://meridian.example/pay/*", "spiffe://meridian.example/pay", False),
        ("spiffe://meridian.example/pay/*", "spiffe://meridian.example/payroll", False),
        ("spiffe://meridian.example/pay", WORKLOAD, False),
        ("spiffe://meridian.example/*", "spiffe://meridian.example.evil/x", False),
        ("", WORKLOAD, False),
    ],
)
def test_which_workload_a_client_is(registered: str, shown: str, is_it: bool) -> None:
    assert is_meant(registered, shown) is is_it


def test_what_is_no_workload_has_no_trust_domain() -> None:
    for broken in ("", "spiffe://a", "spiffe://a/", "spiffe://A/b", "https://a/b", "spiffe://a/b?c", "spiffe://a:1/b"):
        assert trust_domain_of(broken) == ""
