"""SVIDs that are not what they are shown for (draft-ietf-oauth-spiffe-client-auth, JWT-SVID, X.509-SVID)."""

from __future__ import annotations

import base64
import datetime
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from cryptography import x509

from mintwarden.authn.certificates import CertificateError
from mintwarden.authn.issuers.keys import KeyFinder
from mintwarden.authn.jose import JoseError
from mintwarden.authn.spiffe import SpiffeDomains, is_meant
from mintwarden.authn.svid import read_svid, trust_domain_of
from mintwarden.model.catalogue import TrustedIssuer
from tests.flow.pki import FOR_CLIENTS, FOR_SERVERS, Pair, certificate
from tests.hostile.tokens.forge import NOW_S, jwk, signed, text

NOW, US = NOW_S * 1000, "https://tokens.example"
AT = datetime.datetime.fromtimestamp(NOW_S, datetime.UTC)
WORKLOAD = "spiffe://meridian.example/pay/settler"
CA = certificate("O=SPIFFE", authority=True, now=AT)
OTHER = certificate("O=SPIFFE", authority=True, now=AT)
NUMBERS = itertools.count()


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


BOTH = (FOR_CLIENTS, FOR_SERVERS)


def leaf(by: Pair | None = CA, uris: Sequence[str] = (WORKLOAD,), **more: Any) -> Pair:
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    return certificate("O=SPIRE", by, names=names, now=AT, **{"signs": True, "uses": BOTH, **more})


def below(by: Pair, *uris: str, **more: Any) -> Pair:
    """An authority that another stands for."""
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    settings = {"authority": True, "signs": False, "names": names, "now": AT, **more}
    return certificate(f"O=SPIRE,CN={next(NUMBERS)}", by, **settings)


async def shown(known: SpiffeDomains, svid: Pair, *chain: Pair, at: int = NOW) -> str:
    return await known.of_certificate(read_svid(svid.der, [pair.der for pair in chain]), at)


async def test_an_x509_svid_that_is_taken() -> None:
    assert await shown(domains(), leaf()) == WORKLOAD
    assert await shown(domains(), leaf(uses=())) == WORKLOAD, "it need not say what it is for"


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
        await shown(domains(), BAD[name])


ONE = below(CA)
TWO = below(ONE, "spiffe://meridian.example")
SHORT = below(CA, path_length=0)
NOT_ONE = leaf(uris=())
DEEP = [ONE]
while len(DEEP) < 6:
    DEEP.append(below(DEEP[-1]))


async def test_intermediate_authorities_that_the_trust_domain_stands_for() -> None:
    for by, chain in ((ONE, [ONE]), (TWO, [ONE, TWO]), (TWO, [TWO, ONE]), (TWO, [TWO, CA, ONE]), (SHORT, [SHORT])):
        assert await shown(domains(), leaf(by), *chain) == WORKLOAD
    assert await shown(domains(), leaf(), ONE, OTHER) == WORKLOAD, "what is not needed does no harm"
    assert await shown(domains(), leaf(DEEP[3]), *DEEP[:4]) == WORKLOAD


def constrained(*, permitted: str = "", excluded: str = "") -> Pair:
    def names(name: str) -> list[x509.GeneralName] | None:
        return [x509.UniformResourceIdentifier(name)] if name else None

    limits = x509.NameConstraints(permitted_subtrees=names(permitted), excluded_subtrees=names(excluded))
    return below(CA, more=[(limits, True)])


LIMITED, BARRED = constrained(permitted="other.example"), constrained(excluded="meridian.example")
UNKNOWN = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00"), True)
STRANGE = below(CA, more=[UNKNOWN])
CHAINS: Mapping[str, tuple[Pair, Sequence[Pair]]] = {
    "without its intermediate authority": (leaf(ONE), []),
    "without one of two": (leaf(TWO), [TWO]),
    "with an authority of another domain for its intermediate": (leaf(below(OTHER)), [OTHER]),
    "of an intermediate of another domain's authority": (leaf(FOREIGN := below(OTHER)), [FOREIGN]),
    "with the root of its own beside it": (leaf(OWN := certificate("O=SPIFFE", authority=True, now=AT)), [OWN]),
    "of a leaf": (leaf(NOT_ONE), [NOT_ONE]),
    "of another SVID": (leaf(SVID := leaf()), [SVID]),
    "of one that is an authority by its key usage alone": (leaf(KEYED := leaf(uris=(), signs=True)), [KEYED]),
    "of one that does not say that it is an authority": (leaf(BARE := leaf(uris=(), constrained=False)), [BARE]),
    "of an authority that may not sign certificates": (leaf(MUTE := below(CA, signs=None)), [MUTE]),
    "below an authority that may have none below it": (leaf(UNDER := below(SHORT)), [UNDER, SHORT]),
    "of an authority that has ended": (leaf(PAST := below(CA, days=(-9, -1))), [PAST]),
    "of an authority of tomorrow": (leaf(SOON := below(CA, days=(1, 9))), [SOON]),
    "of an authority named for another domain": (leaf(ALIEN := below(CA, "spiffe://other.example")), [ALIEN]),
    "of an authority that is also a workload": (leaf(DUAL := below(CA, WORKLOAD)), [DUAL]),
    "of an authority with two names": (leaf(MANY := below(CA, "spiffe://meridian.example", "https://a")), [MANY]),
    "of an authority that is limited to another domain": (leaf(LIMITED), [LIMITED]),
    "of an authority that is kept from the domain": (leaf(BARRED), [BARRED]),
    "of an authority with a critical extension that nobody knows": (leaf(STRANGE), [STRANGE]),
    "with a critical extension that nobody knows": (leaf(more=[UNKNOWN]), []),
    "six authorities deep": (leaf(DEEP[5]), DEEP),
    "with more beside it than anybody needs": (leaf(), [ONE] * 6),
    "for servers alone": (leaf(uses=[FOR_SERVERS]), []),
}


@pytest.mark.parametrize("name", CHAINS)
async def test_a_chain_that_is_refused(name: str) -> None:
    svid, chain = CHAINS[name]
    with pytest.raises(CertificateError):
        await shown(domains(), svid, *chain)


def test_what_comes_beside_an_svid_is_certificates() -> None:
    for junk in (b"", b"\x30\x00", leaf().der + b"\x00", b"\x30" * 20_000):
        with pytest.raises(CertificateError):
            read_svid(leaf().der, [junk])


def test_a_key_usage_that_may_be_passed_over_is_none() -> None:
    usage = leaf().certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    basic = x509.BasicConstraints(ca=False, path_length=None)
    with pytest.raises(CertificateError):
        read_svid(leaf(signs=None, more=[(usage, False), (basic, True)]).der)
    read_svid(leaf(signs=None, more=[(usage, True), (basic, True)]).der)


async def test_an_authority_that_is_new_is_fetched_and_a_flood_of_strange_ones_fetches_once() -> None:
    endpoints = Endpoints()
    known = domains(endpoints)
    assert await shown(known, leaf()) == WORKLOAD
    fresh = certificate("O=SPIFFE 2", authority=True, now=AT)
    endpoints.bundles["https://bundles/one"] = bundle("one", CA, fresh)
    for _ in range(3):
        with pytest.raises(CertificateError):
            await shown(known, leaf(fresh), at=NOW + 1000)
    assert endpoints.fetched == 1
    assert await shown(known, leaf(fresh), at=NOW + 31_000) == WORKLOAD
    assert endpoints.fetched == 2


@pytest.mark.parametrize(
    ("registered", "said", "is_it"),
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
def test_which_workload_a_client_is(registered: str, said: str, is_it: bool) -> None:
    assert is_meant(registered, said) is is_it


def test_what_is_no_workload_has_no_trust_domain() -> None:
    for broken in ("", "spiffe://a", "spiffe://a/", "spiffe://A/b", "https://a/b", "spiffe://a/b?c", "spiffe://a:1/b"):
        assert trust_domain_of(broken) == ""
