"""py-spiffe, the workloads' own library, takes the SVIDs and SPIFFE IDs that we take, and refuses what we refuse."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from mintwarden.authn.issuers.keys import KeyFinder
from mintwarden.authn.jose import JoseError
from mintwarden.authn.spiffe import SpiffeDomains
from mintwarden.authn.svid import trust_domain_of
from mintwarden.model.catalogue import TrustedIssuer
from tests.flow.test_spiffe import CA, DOMAIN, KEY, shown, svid

spiffe = pytest.importorskip("spiffe", reason="explained: `make interop` installs it")
errors = pytest.importorskip("spiffe.errors", reason="explained: `make interop` installs it")

US = "https://tokens.example.com"
IDS = {
    "spiffe://mesh.example/pay/settler": True,
    "spiffe://mesh.example/pay/B.c_d-e": True,
    "spiffe://mesh.example/.../pay": True,
    "spiffe://mesh_1.example/pay": True,
    "spiffe://mesh.example/": False,
    "spiffe://mesh.example/pay/": False,
    "spiffe://mesh.example//pay": False,
    "spiffe://mesh.example/../pay": False,
    "spiffe://mesh.example/pay/.": False,
    "spiffe://mesh.example/p%61y": False,
    "spiffe://mesh.example/pay?x=1": False,
    "spiffe://mesh.example:443/pay": False,
    "https://mesh.example/pay": False,
    "mesh.example/pay": False,
}


class Bundle:
    """The trust domain's bundle endpoint."""

    async def fetch(self, _url: str) -> bytes:
        return document()


def document() -> bytes:
    return json.dumps({"keys": [{"use": "jwt-svid", "kid": "k", **KEY.as_dict(private=False)}]}).encode()


def domains() -> SpiffeDomains:
    mesh = TrustedIssuer(
        id="mesh",
        issuer=DOMAIN,
        profile="spiffe",
        keys="bundle",
        jwks_uri="https://bundles.example",
        audiences=("elsewhere",),
        principal="Workload",
    )
    return SpiffeDomains(issuer=US, issuers=[mesh], keys=KeyFinder(fetcher=Bundle()))


def theirs(token: str, audience: str = US) -> Any:
    bundle = spiffe.JwtBundle.parse(spiffe.TrustDomain(DOMAIN), document())
    return spiffe.JwtSvid.parse_and_validate(token, bundle, {audience})


@pytest.mark.parametrize("text", IDS)
def test_both_know_a_workload_when_they_see_one(text: str):
    try:
        found = spiffe.SpiffeId(text)
    except errors.PySpiffeError:
        known = False
    else:
        known = bool(found.path)
    assert (known, bool(trust_domain_of(text))) == (IDS[text], IDS[text])


async def test_both_take_the_same_jwt_svid():
    token = svid("pay/settler")["client_assertion"]
    assert str(theirs(token).spiffe_id) == await domains().of_jwt(token, int(time.time() * 1000))


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["https://elsewhere.example"]},
        {"exp": int(time.time()) - 900, "iat": int(time.time()) - 1200},
        {"sub": "https://mesh.example/pay"},
        {"sub": ""},
    ],
    ids=str,
)
async def test_both_refuse_the_same_jwt_svid(claims: dict[str, Any]):
    token = svid("pay/settler", **claims)["client_assertion"]
    with pytest.raises(errors.PySpiffeError):
        theirs(token)
    with pytest.raises(JoseError):
        await domains().of_jwt(token, int(time.time() * 1000))


async def test_both_refuse_one_whose_signature_is_another():
    head, body, _ = svid("pay/settler")["client_assertion"].split(".")
    token = f"{head}.{body}.{svid('pay/other')['client_assertion'].split('.')[2]}"
    with pytest.raises(errors.PySpiffeError):
        theirs(token)
    with pytest.raises(JoseError):
        await domains().of_jwt(token, int(time.time() * 1000))


def test_what_we_take_for_an_x509_svid_is_one():
    pair = shown("pay/settler")
    read = spiffe.X509Svid.parse(pair.pem, pair.key_pem)
    assert str(read.spiffe_id) == f"{DOMAIN}/pay/settler"
    bundle = spiffe.X509Bundle.parse_raw(spiffe.TrustDomain(DOMAIN), CA.certificate.public_bytes(Encoding.DER))
    assert {authority.serial_number for authority in bundle.x509_authorities} == {CA.certificate.serial_number}
