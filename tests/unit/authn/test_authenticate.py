"""Client authentication: each method, and what a failure looks like."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote_plus

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from mintwarden.authn.authenticate import TOKEN_EXCHANGE, Authenticator
from mintwarden.authn.jose import JoseError
from mintwarden.authn.methods import METHOD_NAMES
from mintwarden.authn.methods.private_key_jwt import ASSERTION_TYPE
from mintwarden.authn.ports import ClientSecret, Credentials
from mintwarden.authn.secrets import SecretVerifier, hash_imported, hash_secret
from mintwarden.model.caller import Caller, Evidence
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle import clients

ISSUER = "https://tokens.example"
PEPPER = b"p" * 32
NOW = 1_795_000_000_000
NOW_S = NOW // 1000
SECRET = "mw_correct"
KEYS: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "PS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def b64int(number: int, size: int) -> str:
    return b64(number.to_bytes(size, "big"))


def jwk(algorithm: str, **more: object) -> dict[str, object]:
    public = KEYS["PS256" if algorithm == "RS256" else algorithm].public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        numbers, size = public.public_numbers(), (public.key_size + 7) // 8
        crv = {32: "P-256", 48: "P-384"}[size]
        return {"kty": "EC", "crv": crv, "x": b64int(numbers.x, size), "y": b64int(numbers.y, size), **more}
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw()), **more}
    return {"kty": "RSA", "n": b64int(public.public_numbers().n, 256), "e": "AQAB", **more}


def sign(algorithm: str, data: bytes) -> bytes:
    key = KEYS["PS256" if algorithm == "RS256" else algorithm]
    if algorithm in ("ES256", "ES384"):
        digest, size = (hashes.SHA256(), 32) if algorithm == "ES256" else (hashes.SHA384(), 48)
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    if algorithm == "EdDSA":
        return key.sign(data)
    pad = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if algorithm == "PS256" else padding.PKCS1v15()
    return key.sign(data, pad, hashes.SHA256())


def assertion(algorithm: str = "ES256", header: dict[str, object] | None = None, **changes: object) -> str:
    claims = {"iss": "jwt", "sub": "jwt", "aud": ISSUER, "exp": NOW_S + 60, "iat": NOW_S, "jti": "j1"}
    claims |= changes
    claims = {name: value for name, value in claims.items() if value is not ...}
    head = {"alg": algorithm, **(header or {})}
    signed = b64(json.dumps(head).encode()) + "." + b64(json.dumps(claims).encode())
    return signed + "." + b64(sign(algorithm, signed.encode()))


def client(name: str, *methods: str, **more: object) -> Client:
    return Client(
        id=name,
        name=name,
        kind="service",
        owner="o",
        principal="Workload",
        methods=methods,
        grants=("client_credentials", "token_exchange"),
        ceilings={},
        environments=("production",),
        **more,  # type: ignore[arg-type]
    )


CLIENTS = {
    c.id: c
    for c in (
        client("basic", "client_secret_basic"),
        client("odd:id +%", "client_secret_basic"),
        client("post", "client_secret_post"),
        client("imported", "client_secret_basic"),
        client("expired", "client_secret_basic"),
        client("public", "none"),
        client("fenced", "client_secret_basic", addresses=("10.0.0.0/8", "2001:db8::/32")),
        client(
            "jwt",
            "private_key_jwt",
            jwks=tuple(jwk(a, kid=a) for a in ("ES256", "ES384", "EdDSA", "PS256")),
            algorithms=("ES256", "ES384", "PS256", "EdDSA"),
        ),
        client("legacy", "private_key_jwt", jwks=(jwk("RS256", kid="r"),), algorithms=("RS256",)),
    )
}


class Store:
    """Client secrets in memory."""

    def __init__(self) -> None:
        self.epoch = 5
        rows: list[tuple[str, str, int | None]] = [
            ("basic", SECRET, None),
            ("basic", "mw_older", NOW + 1),
            ("odd:id +%", "s:e c+r%t", None),
            ("post", SECRET, None),
            ("fenced", SECRET, None),
            ("expired", SECRET, NOW),
            ("jwt", SECRET, None),
            ("deleted", SECRET, None),
        ]
        self.secrets: dict[str, Sequence[ClientSecret]] = {}
        for name, text, end in rows:
            one = ClientSecret(
                client_id=name,
                scheme="hmac-sha256",
                digest=hash_secret(PEPPER, text),
                created_at=0,
                expires_at=end,
            )
            self.secrets[name] = [*self.secrets.get(name, ()), one]

    def with_imported(self) -> Store:
        digest = hash_imported("hunter2", lambda n: b"s" * n)
        one = ClientSecret(client_id="imported", scheme="argon2id", digest=digest, created_at=0)
        self.secrets["imported"] = [one]
        return self

    async def credentials(self) -> Credentials:
        return Credentials(self.epoch, dict(self.secrets))


class Tokens:
    """Accepts `good` as anything."""

    async def verify(self, unverified: str, token_type: str, role: str, now: int) -> Evidence:
        if unverified != "good":
            raise JoseError("not good")
        return Evidence(principal=EntityUid("User", role), issuer=token_type, own=False)

    async def hinted(self, unverified: str, now: int) -> EntityUid:
        return (await self.verify(unverified, "", "hinted", now)).principal


async def test_a_hint_is_read_by_whoever_reads_tokens():
    assert (await (await authenticator()).hinted("good", NOW)).id == "hinted"


async def authenticator(store: Store | None = None) -> Authenticator:
    made = Authenticator(
        issuer=ISSUER,
        clients=CLIENTS,
        credentials=store or Store(),
        secrets=SecretVerifier(pepper=PEPPER),
        evidence=Tokens(),
    )
    await made.refresh()
    return made


def basic(name: str, secret: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{quote_plus(name)}:{quote_plus(secret)}".encode())


def request(authorization: bytes | None = None, address: str = "10.1.2.3", **form: Any) -> TokenRequest:
    form.setdefault("grant_type", "client_credentials")
    return TokenRequest(
        unverified_form={name: (value,) for name, value in form.items()},
        unverified_authorization=authorization,
        address=address,
        received_at=NOW,
    )


def jwt_request(compact: str, **form: Any) -> TokenRequest:
    return request(client_assertion=compact, **{"client_assertion_type": ASSERTION_TYPE, **form})


async def refused(asked: TokenRequest, store: Store | None = None) -> MintwardenError:
    with pytest.raises(MintwardenError) as caught:
        await (await authenticator(store)).authenticate(asked, NOW)
    return caught.value


async def accepted(asked: TokenRequest, store: Store | None = None) -> Caller:
    return await (await authenticator(store)).authenticate(asked, NOW)


@pytest.mark.parametrize("secret", [SECRET, "mw_older"])
async def test_basic(secret: str):
    caller = await accepted(request(basic("basic", secret)))
    assert caller == Caller(client_id="basic", method="client_secret_basic", epoch=5)


async def test_basic_form_decodes_both_parts():
    caller = await accepted(request(basic("odd:id +%", "s:e c+r%t")))
    assert caller.client_id == "odd:id +%"


async def test_basic_takes_the_scheme_in_any_case_and_a_client_id_beside_it():
    header = basic("basic", SECRET).replace(b"Basic", b"bAsIc")
    assert (await accepted(request(header, client_id="basic"))).client_id == "basic"


async def test_basic_with_another_client_id_is_an_invalid_request():
    assert (await refused(request(basic("basic", SECRET), client_id="post"))).kind is ErrorKind.INVALID_REQUEST


async def test_post():
    caller = await accepted(request(client_id="post", client_secret=SECRET))
    assert (caller.client_id, caller.method) == ("post", "client_secret_post")


async def test_imported_secret():
    store = Store().with_imported()
    assert (await accepted(request(basic("imported", "hunter2")), store)).client_id == "imported"
    assert (await refused(request(basic("imported", "hunter3")), store)).kind is ErrorKind.INVALID_CLIENT
    assert (await refused(request(basic("basic", "hunter2")), store)).kind is ErrorKind.INVALID_CLIENT


@pytest.mark.parametrize(
    "header",
    [
        basic("basic", "wrong"),
        basic("basic", ""),
        basic("nobody", SECRET),
        basic("deleted", SECRET),
        basic("expired", SECRET),
        basic("post", SECRET),
        basic("jwt", SECRET),
        basic("public", ""),
        basic("basic", "x" * 300),
        b"",
        b"Basic",
        b"Basic !!!!",
        b"Basic " + base64.b64encode(b"basic"),
        b"Basic " + base64.b64encode(b":" + SECRET.encode()),
        b"Basic " + base64.b64encode(b"\xff:\xfe"),
        b"Basic " + base64.b64encode(b"basic:%ff"),
        b"Bearer abc",
        b"Basic " + b"A" * 5000,
    ],
)
async def test_every_bad_header_looks_the_same(header: bytes):
    for store in (Store(), Store().with_imported()):
        error = await refused(request(header), store)
        assert (error.kind, error.public, error.authenticate) == (
            ErrorKind.INVALID_CLIENT,
            "client authentication failed",
            True,
        )


@pytest.mark.parametrize(
    "form",
    [
        {"client_id": "post", "client_secret": "wrong"},
        {"client_id": "nobody", "client_secret": SECRET},
        {"client_id": "basic", "client_secret": SECRET},
        {"client_secret": SECRET},
        {},
        {"client_id": "basic"},
        {"client_id": "nobody"},
    ],
)
async def test_every_bad_form_looks_the_same(form: dict[str, Any]):
    error = await refused(request(**form))
    assert (error.kind, error.public, error.authenticate) == (
        ErrorKind.INVALID_CLIENT,
        "client authentication failed",
        False,
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (request(basic("basic", "wrong")), " (of `basic`, it says)"),
        (request(client_id="post", client_secret="wrong"), " (of `post`, it says)"),
        (jwt_request(assertion(exp=NOW_S - 60)), "`exp` is missing or past (of `jwt`, it says)"),
        (request(basic("nobody\n; all is well", "wrong")), "unknown client or wrong secret"),
        (jwt_request(assertion(sub="nobody")), "unknown client"),
        (request(b"Basic !!!!"), "the `Authorization` header is not base64 of UTF-8"),
        (request(), "unknown client"),
    ],
)
async def test_the_log_is_told_which_client_it_is_about_if_there_is_such_a_one(asked: TokenRequest, said: str):
    hint = (await refused(asked)).hint
    assert hint.endswith(said), hint
    assert "wrong" not in hint.removeprefix("unknown client or wrong secret")


async def test_public_client():
    assert (await accepted(request(client_id="public"))).method == "none"


@pytest.mark.parametrize(
    ("authorization", "form"),
    [
        (basic("basic", SECRET), {"client_secret": SECRET}),
        (basic("basic", SECRET), {"client_assertion": "x"}),
        (basic("basic", SECRET), {"client_assertion_type": ASSERTION_TYPE}),
        (None, {"client_id": "post", "client_secret": SECRET, "client_assertion": "x"}),
    ],
)
async def test_two_methods_are_an_invalid_request(authorization: bytes | None, form: dict[str, Any]):
    assert (await refused(request(authorization, **form))).kind is ErrorKind.INVALID_REQUEST


@pytest.mark.parametrize("address", ["10.255.0.1", "2001:db8::1", "::ffff:10.0.0.1"])
async def test_a_client_may_call_from_its_networks(address: str):
    assert (await accepted(request(basic("fenced", SECRET), address=address))).client_id == "fenced"


@pytest.mark.parametrize("address", ["11.0.0.1", "2001:db9::1", "", "unix:", "::ffff:11.0.0.1"])
async def test_a_client_may_not_call_from_elsewhere(address: str):
    assert (await refused(request(basic("fenced", SECRET), address=address))).kind is ErrorKind.INVALID_CLIENT


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "PS256", "EdDSA"])
async def test_private_key_jwt(algorithm: str):
    caller = await accepted(jwt_request(assertion(algorithm, {"kid": algorithm})))
    assert (caller.client_id, caller.method) == ("jwt", "private_key_jwt")
    assert [(len(key.digest), key.expires_at) for key in caller.once] == [(16, (NOW_S + 120) * 1000)]


async def test_rs256_only_where_the_client_lists_it():
    assert (await refused(jwt_request(assertion("RS256")))).kind is ErrorKind.INVALID_CLIENT
    caller = await accepted(jwt_request(assertion("RS256", iss="legacy", sub="legacy")))
    assert caller.client_id == "legacy"


@pytest.mark.parametrize(
    ("header", "changes", "form"),
    [
        ({"typ": "JWT"}, {}, {}),
        ({"typ": "client-authentication+jwt"}, {}, {}),
        ({"typ": "application/client-authentication+JWT"}, {}, {}),
        ({}, {"aud": [ISSUER]}, {}),
        ({}, {"iat": ...}, {}),
        ({}, {"nbf": NOW_S + 10, "iat": NOW_S + 10}, {}),
        ({}, {"exp": NOW_S - 10}, {}),
        ({}, {"exp": NOW_S + 600}, {}),
        ({}, {"exp": NOW_S + 60.5}, {}),
        ({}, {"extra": {"nested": [1, 2]}}, {}),
        ({}, {}, {"client_id": "jwt"}),
    ],
)
async def test_assertions_that_must_be_taken(header, changes, form):
    assert (await accepted(jwt_request(assertion(header=header, **changes), **form))).client_id == "jwt"


@pytest.mark.parametrize(
    ("header", "changes", "form"),
    [
        ({"typ": "at+jwt"}, {}, {}),
        ({"typ": "dpop+jwt"}, {}, {}),
        ({"typ": 1}, {}, {}),
        ({}, {"aud": ISSUER + "/token"}, {}),
        ({}, {"aud": ISSUER + "/"}, {}),
        ({}, {"aud": [ISSUER, "https://other.example"]}, {}),
        ({}, {"aud": [ISSUER, ISSUER]}, {}),
        ({}, {"aud": []}, {}),
        ({}, {"aud": ...}, {}),
        ({}, {"iss": "basic"}, {}),
        ({}, {"iss": ...}, {}),
        ({}, {"sub": ...}, {}),
        ({}, {"sub": "legacy"}, {}),
        ({}, {"iss": "nobody", "sub": "nobody"}, {}),
        ({}, {"sub": ["jwt"]}, {}),
        ({}, {"exp": ...}, {}),
        ({}, {"exp": "soon"}, {}),
        ({}, {"exp": True}, {}),
        ({}, {"exp": NOW_S - 300}, {}),
        ({}, {"exp": NOW_S - 60}, {}),
        ({}, {"exp": NOW_S + 601}, {}),
        ({}, {"exp": NOW_S + 601, "iat": ...}, {}),
        ({}, {"exp": 10**30}, {}),
        ({}, {"nbf": NOW_S + 61}, {}),
        ({}, {"iat": NOW_S + 61}, {}),
        ({}, {"iat": NOW_S - 700}, {}),
        ({}, {"jti": ...}, {}),
        ({}, {"jti": ""}, {}),
        ({}, {"jti": 7}, {}),
        ({}, {"jti": "x" * 257}, {}),
        ({"kid": "unknown"}, {}, {}),
        ({"kid": "ES384"}, {}, {}),
        ({"crit": ["exp"]}, {}, {}),
        ({"jwk": {}}, {}, {}),
        ({}, {}, {"client_id": "basic"}),
        ({}, {}, {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}),
    ],
)
async def test_assertions_that_must_be_refused(header, changes, form):
    error = await refused(jwt_request(assertion(header=header, **changes), **form))
    assert (error.kind, error.public) == (ErrorKind.INVALID_CLIENT, "client authentication failed")
    assert not error.authenticate


async def test_an_assertion_without_its_type_or_a_type_without_assertion_is_refused():
    forms: list[dict[str, Any]] = [{"client_assertion": assertion()}, {"client_assertion_type": ASSERTION_TYPE}]
    for form in forms:
        assert (await refused(request(**form))).kind is ErrorKind.INVALID_CLIENT


async def test_a_claimed_assertion_is_refused_early_and_an_unclaimed_one_may_be_verified_again():
    made = await authenticator()
    asked = jwt_request(assertion())
    caller = await made.authenticate(asked, NOW)
    assert await made.authenticate(asked, NOW) == caller
    made.remember(caller)
    with pytest.raises(MintwardenError) as caught:
        await made.authenticate(asked, NOW)
    assert caught.value.kind is ErrorKind.INVALID_CLIENT
    assert (await made.authenticate(jwt_request(assertion(jti="j2")), NOW)).once != caller.once


async def test_refresh_sees_new_secrets_and_their_epoch_and_never_goes_back():
    store = Store()
    made = await authenticator(store)
    del store.secrets["basic"]
    assert (await made.authenticate(request(basic("basic", SECRET)), NOW)).epoch == 5
    store.epoch = 4
    assert await made.refresh() == 5
    assert (await made.authenticate(request(basic("basic", SECRET)), NOW)).epoch == 5
    store.epoch = 6
    assert await made.refresh() == 6
    with pytest.raises(MintwardenError):
        await made.authenticate(request(basic("basic", SECRET)), NOW)


JWT = "urn:ietf:params:oauth:token-type:jwt"


def exchange(**form: Any) -> TokenRequest:
    return request(basic("basic", SECRET), grant_type=TOKEN_EXCHANGE, **form)


async def test_exchange_carries_both_tokens():
    caller = await accepted(
        exchange(subject_token="good", subject_token_type=JWT, actor_token="good", actor_token_type=JWT)
    )
    assert caller.subject is not None
    assert caller.actor is not None
    assert (caller.subject.principal.id, caller.actor.principal.id) == ("subject", "actor")


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"subject_token": "good"},
        {"subject_token_type": JWT},
        {"subject_token": "bad", "subject_token_type": JWT},
        {"subject_token": "good", "subject_token_type": JWT, "actor_token": "good"},
        {"subject_token": "good", "subject_token_type": JWT, "actor_token_type": JWT},
        {"subject_token": "good", "subject_token_type": JWT, "actor_token": "bad", "actor_token_type": JWT},
    ],
)
async def test_exchange_defects_are_invalid_requests(form):
    assert (await refused(exchange(**form))).kind is ErrorKind.INVALID_REQUEST


async def test_tokens_outside_an_exchange_are_not_looked_at():
    caller = await accepted(request(basic("basic", SECRET), subject_token="bad", subject_token_type=JWT))
    assert caller.subject is None


def test_the_methods_have_their_registered_names():
    assert METHOD_NAMES == (
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "tls_client_auth",
        "self_signed_tls_client_auth",
        "spiffe_jwt",
        "spiffe_x509",
        "attest_jwt_client_auth",
        "attest_jwt_client_auth_dpop",
        "none",
    )
    assert clients.METHODS == METHOD_NAMES


@pytest.mark.parametrize(
    "broken",
    [
        client("c", "private_key_jwt", jwks=({"kty": "oct", "k": "AA"},)),
        client("c", "private_key_jwt", jwks=(jwk("ES256", d="AA"),)),
        client("c", "none", addresses=("10.0.0.1/8",)),
    ],
)
def test_a_client_that_cannot_be_read_does_not_start(broken: Client):
    with pytest.raises(MintwardenError) as caught:
        Authenticator(
            issuer=ISSUER,
            clients={"c": broken},
            credentials=Store(),
            secrets=SecretVerifier(pepper=PEPPER),
            evidence=Tokens(),
        )
    assert caught.value.kind is ErrorKind.BUNDLE
