"""Tokens of trusted issuers, in the shapes that are shipped."""

from __future__ import annotations

from typing import Any

import pytest

from mintwarden.authn.issuers.conditions import Conditions
from mintwarden.authn.issuers.keys import KeyFinder
from mintwarden.authn.issuers.profile import PROFILES, shaped
from mintwarden.authn.issuers.verify import TrustedIssuers, claim_at
from mintwarden.authn.jose import JoseError, decode_json, parse
from mintwarden.model.caller import Binding, Evidence
from mintwarden.model.catalogue import TrustedIssuer
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from tests.hostile.tokens.forge import ISSUER, LEAF, NOW_S, jwk, signed, text

NOW = NOW_S * 1000


def issuer(profile: str, url: str, **more: Any) -> TrustedIssuer:
    settings: dict[str, Any] = {
        "id": "theirs", "issuer": url, "keys": "inline", "audiences": (ISSUER,), "principal": "Workload",
        "jwks": (jwk("theirs"),), "algorithms": ("ES256",), "profile": profile,
    }  # fmt: skip
    return TrustedIssuer(**{**settings, **more})


class NoFetch:
    async def fetch(self, url: str) -> bytes:
        raise AssertionError(url)


async def verified(
    one: TrustedIssuer, claims: dict[str, Any], header: dict[str, Any] | None = None, role: Any = "subject"
) -> Evidence:
    head = {"alg": "ES256", "kid": "theirs", **(header or {})}
    body = {"aud": ISSUER, "iat": NOW_S, "exp": NOW_S + 600, **claims}
    token = parse(signed("theirs", text(head), text({n: v for n, v in body.items() if v is not ...})))
    trusted = TrustedIssuers(own_issuer=ISSUER, issuers={one.id: one}, keys=KeyFinder(fetcher=NoFetch()))
    return await trusted.verify(token, decode_json(token.payload), role, NOW)


async def refused(one: TrustedIssuer, claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
    with pytest.raises(JoseError) as caught:
        await verified(one, claims, header)
    return str(caught.value)


async def test_generic_oidc():
    one = issuer("oidc", "https://login.example", principal="User", subject_prefix="corp/", device="device.id",
                 facts={"tier": "tier", "region": "address.region", "absent": "nothing.here"})  # fmt: skip
    claims = {
        "iss": "https://login.example",
        "sub": "alice",
        "azp": "web",
        "jti": "t1",
        "sid": "s1",
        "acr": "phr",
        "amr": ["mfa"],
        "auth_time": NOW_S - 50,
        "device": {"id": "d1"},
        "tier": "gold",
        "address": {"region": "EU"},
        "cnf": {"jkt": LEAF},
        "may_act": {"sub": "helper"},
    }
    evidence = await verified(one, claims, {"typ": "JWT"})
    assert evidence == Evidence(
        principal=EntityUid("User", "corp/alice"),
        issuer="https://login.example",
        own=False,
        token_id="t1",
        client_id="web",
        audiences=(ISSUER,),
        scopes=None,
        may_act=(EntityUid("User", "corp/helper"),),
        issued_at=NOW,
        expires_at=NOW + 600_000,
        authenticated_at=NOW - 50_000,
        acr="phr",
        amr=("mfa",),
        session="s1",
        device="d1",
        binding=Binding(kind="dpop", thumbprint=LEAF),
        facts={"tier": "gold", "region": "EU"},
    )


async def test_kubernetes():
    one = issuer("kubernetes", "https://kubernetes.default.svc")
    claims = {
        "iss": "https://kubernetes.default.svc",
        "sub": "system:serviceaccount:payments:settler",
        "aud": [ISSUER],
        "nbf": NOW_S,
        "kubernetes.io": {
            "namespace": "payments",
            "serviceaccount": {"name": "settler", "uid": "u1"},
            "pod": {"name": "settler-0", "uid": "u2"},
        },
    }
    evidence = await verified(one, claims)
    assert evidence.principal == EntityUid("Workload", "system:serviceaccount:payments:settler")
    assert evidence.facts == {
        "namespace": "payments",
        "service_account": "settler",
        "service_account_uid": "u1",
        "pod": "settler-0",
    }
    assert "condition" in await refused(one, {**claims, "sub": "system:node:n1"})


async def test_github_actions():
    one = issuer(
        "github-actions", "https://token.actions.githubusercontent.com",
        conditions=('claims.repository_owner_id == "42"', 'claims.ref.startsWith("refs/heads/")'),
    )  # fmt: skip
    claims = {
        "iss": "https://token.actions.githubusercontent.com",
        "sub": "repo:meridian/pay:environment:production",
        "repository": "meridian/pay",
        "repository_owner_id": "42",
        "ref": "refs/heads/main",
        "environment": "production",
        "job_workflow_ref": "meridian/pay/.github/workflows/deploy.yml@refs/heads/main",
        "actor": "ines",
    }
    evidence = await verified(one, claims, {"typ": "JWT", "x5t": "abc"})
    assert evidence.facts["environment"] == "production"
    assert evidence.facts["triggered_by"] == "ines"
    assert "kind" in await refused(one, claims)
    assert "condition" in await refused(one, {**claims, "repository_owner_id": "43"}, {"typ": "JWT"})
    assert "condition" in await refused(one, {**claims, "ref": ...}, {"typ": "JWT"})


async def test_gitlab():
    one = issuer("gitlab", "https://gitlab.example")
    claims = {
        "iss": "https://gitlab.example",
        "sub": "project_path:meridian/pay:ref_type:branch:ref:main",
        "project_path": "meridian/pay",
        "ref_protected": "true",
        "user_login": "ines",
    }
    evidence = await verified(one, claims, {"typ": "JWT"})
    assert evidence.facts == {"project_path": "meridian/pay", "ref_protected": "true", "triggered_by": "ines"}


async def test_google():
    one = issuer("google", "https://accounts.google.com")
    claims = {
        "iss": "https://accounts.google.com",
        "sub": "113774264463038321964",
        "azp": "113774264463038321964",
        "email": "settler@meridian.iam.gserviceaccount.com",
        "email_verified": True,
        "google": {"compute_engine": {"project_id": "meridian", "zone": "europe-west3-a"}},
    }
    evidence = await verified(one, claims, {"typ": "JWT"})
    assert evidence.facts["cloud_project"] == "meridian"
    assert "condition" in await refused(one, {**claims, "email_verified": False}, {"typ": "JWT"})
    assert "condition" in await refused(one, {**claims, "email_verified": ...}, {"typ": "JWT"})


async def test_aws():
    one = issuer("aws", "https://abc.tokens.sts.global.api.aws")
    claims = {
        "iss": "https://abc.tokens.sts.global.api.aws",
        "sub": "arn:aws:iam::123456789012:role/settler",
        "https://sts.amazonaws.com/": {"aws_account": "123456789012", "org_id": "o-1"},
    }
    evidence = await verified(one, claims)
    assert evidence.facts == {"account": "123456789012", "organization": "o-1"}
    assert "condition" in await refused(one, {**claims, "sub": "settler"})


SPIFFE_ID = "spiffe://meridian.example/pay/settler"


async def test_spiffe():
    one = issuer("spiffe", "spiffe://meridian.example", roles=("subject", "actor"))
    for extra in ({}, {"iss": "https://oidc.meridian.example"}, {"iat": ...}):
        evidence = await verified(one, {"sub": SPIFFE_ID, **extra}, {"typ": "JOSE"}, "actor")
        assert evidence.principal == EntityUid("Workload", SPIFFE_ID)
        assert evidence.issuer == "spiffe://meridian.example"


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        ({"sub": "spiffe://other.example/pay"}, {}),
        ({"sub": "spiffe://meridian.example"}, {}),
        ({"sub": "spiffe://meridian.example/"}, {}),
        ({"sub": "spiffe://meridian.example/pay/"}, {}),
        ({"sub": "spiffe://meridian.example//pay"}, {}),
        ({"sub": "spiffe://meridian.example/../pay"}, {}),
        ({"sub": "spiffe://meridian.example/pay/."}, {}),
        ({"sub": "spiffe://meridian.example/p%61y"}, {}),
        ({"sub": "spiffe://MERIDIAN.example/pay"}, {}),
        ({"sub": "https://meridian.example/pay"}, {}),
        ({"sub": "pay", "iss": "spiffe://meridian.example"}, {}),
        ({"sub": SPIFFE_ID}, {"kid": ""}),
        ({"sub": SPIFFE_ID}, {"typ": "at+jwt"}),
        ({"sub": SPIFFE_ID, "aud": ["other"]}, {}),
        ({"sub": SPIFFE_ID, "exp": ...}, {}),
    ],
)
async def test_spiffe_refuses(claims: dict[str, Any], header: dict[str, Any]):
    await refused(issuer("spiffe", "spiffe://meridian.example"), claims, header)


async def test_may_act_of_elsewhere_names_nobody():
    one = issuer("oidc", "https://login.example", principal="User")
    base = {"iss": "https://login.example", "sub": "alice"}
    there = {**base, "may_act": {"sub": "bot", "iss": "https://elsewhere.example"}}
    assert (await verified(one, there)).may_act == ()
    typed = {**base, "may_act": {"sub": "bot", "sub_type": "Agent", "iss": "https://login.example"}}
    assert (await verified(one, typed)).may_act == (EntityUid("Agent", "bot"),)
    malformed: list[Any] = [
        "bot",
        [],
        {"sub": "bot", "x": 1},
        {"sub": "bot", "sub_type": "Group"},
        {"sub_type": "Agent"},
    ]
    for broken in malformed:
        await refused(one, {**base, "may_act": broken})


async def test_an_explicit_kind_is_the_only_one_taken():
    one = issuer("", "https://login.example", typ=("at+jwt",))
    claims = {"iss": "https://login.example", "sub": "a"}
    assert (await verified(one, claims, {"typ": "application/at+jwt"})).principal.id == "a"
    for header in ({}, {"typ": "JWT"}):
        await refused(one, claims, header)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_shape_gives_way_to_what_the_bundle_says(profile: str):
    bare = TrustedIssuer(id="x", issuer="i", keys="inline", audiences=("a",), principal="User", profile=profile)
    own = TrustedIssuer(
        id="x", issuer="i", keys="inline", audiences=("a",), principal="User", profile=profile,
        typ=("special+jwt",), algorithms=("EdDSA",), session="my_session", acr="my_acr", subject="email",
        conditions=("claims.x == 1",), facts={"namespace": "mine", "extra": "x"},
    )  # fmt: skip
    filled = shaped(own)
    assert (filled.typ, filled.algorithms, filled.session) == (("special+jwt",), ("EdDSA",), "my_session")
    assert (filled.acr, filled.subject, filled.principal) == ("my_acr", "email", "User")
    assert filled.conditions[-1] == "claims.x == 1"
    assert filled.conditions[:-1] == shaped(bare).conditions
    assert filled.facts == {**shaped(bare).facts, "namespace": "mine", "extra": "x"}
    assert shaped(bare).typ


@pytest.mark.parametrize(
    "broken",
    [
        issuer("oidc", ISSUER),
        issuer("spiffe", "https://meridian.example"),
        issuer("unknown", "https://login.example"),
        issuer("oidc", "https://login.example", jwks=({"kty": "oct", "k": "AA"},)),
        issuer("oidc", "https://login.example", conditions=("claims.x ==",)),
        issuer("oidc", "https://login.example", conditions=("1 == 1",)),
        issuer("oidc", "https://login.example", conditions=("claims.a.all(x, claims.b.exists(y, x == y))",)),
        issuer("oidc", "https://login.example", conditions=("claims.x == " + "1 + " * 3000 + "1",)),
    ],
)
def test_an_issuer_that_cannot_be_used_does_not_start(broken: TrustedIssuer):
    with pytest.raises(MintwardenError) as caught:
        TrustedIssuers(own_issuer=ISSUER, issuers={"x": broken}, keys=KeyFinder(fetcher=NoFetch()))
    assert caught.value.kind is ErrorKind.BUNDLE


@pytest.mark.parametrize(
    ("expression", "claims", "holds"),
    [
        ("claims.a", {"a": True}, True),
        ("claims.a", {"a": 1}, False),
        ("claims.a", {"a": "true"}, False),
        ("claims.a", {}, False),
        ("claims.a == 1 || true", {}, True),
        ("claims.a / 0 == 1", {"a": 1}, False),
        ("claims.a.exists(x, x == 'y')", {"a": ["x", "y"]}, True),
        ("'.all(' in claims.a && claims.a.all(x, x != '')", {"a": [".all("]}, True),
        ("claims.a.matches('^a+$')", {"a": "a" * 10_000}, True),
        ("claims.n > 1", {"n": 2**70}, True),
        ("claims.unknown_function(1)", {"unknown_function": 1}, False),
    ],
)
def test_conditions_are_true_or_refuse(expression: str, claims: dict[str, Any], holds: bool):
    assert (Conditions([expression]).unmet(claims) is None) is holds


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", 1),
        ("b.c", 2),
        ("b.c.d", None),
        ("x.y.z", 3),
        ("x.y.w", None),
        ("https://e.example/roles", ["r"]),
        ("missing", None),
        ("", None),
        (".", None),
    ],
)
def test_claim_paths(path: str, value: object):
    claims = {"a": 1, "b": {"c": 2}, "x.y": {"z": 3}, "x": {"y": {"w": 4}}, "https://e.example/roles": ["r"]}
    assert claim_at(claims, path) == value
