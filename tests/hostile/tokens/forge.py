"""Named hostile tokens, made the same way every time from keys that are derived from names.

    python -m tests.hostile.tokens.forge FOLDER

writes each as `FOLDER/<target>/<name>.jwt`, for use against a running server. No private key is kept anywhere: a key is
derived from its name, except RSA keys, which are generated when they are needed.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

NOW_S = 1_795_000_000
ISSUER = "https://tokens.example"
LOGIN = "https://login.example"
CLIENT = "svc"
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def text(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@functools.cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of that name."""
    scalar = int.from_bytes(hashlib.sha512(f"mintwarden hostile {name}".encode()).digest(), "big") % (N - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def jwk(name: str, **more: object) -> dict[str, Any]:
    numbers = key(name).public_key().public_numbers()
    x, y = (b64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": name, **more}


def es256(name: str, data: bytes) -> bytes:
    der = key(name).sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signed(name: str, header: bytes, payload: bytes) -> str:
    """A compact JWS of these very bytes."""
    data = f"{b64(header)}.{b64(payload)}"
    return f"{data}.{b64(es256(name, data.encode()))}"


class Target:
    """A place that takes tokens: a token that it takes, from which hostile ones are made."""

    def __init__(self, name: str, key_name: str, header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        self.name, self.key, self.header, self.claims = name, key_name, dict(header), dict(claims)

    def good(self, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """The token it takes, with changes; `...` takes a member away."""
        head = {n: v for n, v in {**self.header, **(header or {})}.items() if v is not ...}
        body = {n: v for n, v in {**self.claims, **claims}.items() if v is not ...}
        return signed(self.key, text(head), text(body))

    @property
    def parts(self) -> tuple[str, str, str]:
        head, body, tail = self.good().split(".")
        return head, body, tail


LEAF = b64(hashlib.sha256(b"leaf").digest())
OWN = {
    "iss": ISSUER,
    "sub": "alice",
    "sub_type": "User",
    "aud": "https://api.example",
    "client_id": CLIENT,
    "exp": NOW_S + 300,
    "iat": NOW_S - 5,
    "jti": "0199aaaa-0000-7000-8000-000000000000",
    "scope": "payments:read",
    "ledger_leaf": LEAF,
}
FOREIGN = {
    "iss": LOGIN,
    "sub": "alice",
    "aud": ISSUER,
    "exp": NOW_S + 300,
    "iat": NOW_S - 5,
    "jti": "x",
    "email_verified": True,
}
TARGETS = (
    Target(
        "client-assertion",
        "client",
        {"alg": "ES256", "kid": "client", "typ": "client-authentication+jwt"},
        {"iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "exp": NOW_S + 60, "iat": NOW_S, "jti": "once"},
    ),
    Target("own-subject", "own", {"alg": "ES256", "typ": "at+jwt", "kid": "own"}, OWN),
    Target(
        "own-actor", "own", {"alg": "ES256", "typ": "at+jwt", "kid": "own"}, {**OWN, "sub": "bot", "sub_type": "Agent"}
    ),
    Target("trusted-subject", "login", {"alg": "ES256", "typ": "JWT", "kid": "login"}, FOREIGN),
    Target("trusted-actor", "login", {"alg": "ES256", "typ": "JWT", "kid": "login"}, {**FOREIGN, "sub": "bot"}),
)


def public_bytes(name: str, form: str) -> bytes:
    encoding = {"pem": serialization.Encoding.PEM, "der": serialization.Encoding.DER}[form]
    return key(name).public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def confused(target: Target, secret: bytes) -> str:
    """HS256 with something public as the secret: key confusion."""
    data = f"{b64(text({**target.header, 'alg': 'HS256'}))}.{b64(text(target.claims))}"
    return f"{data}.{b64(hmac.digest(secret, data.encode(), 'sha256'))}"


def unsigned(target: Target, alg: str, tail: str = "") -> str:
    return f"{b64(text({**target.header, 'alg': alg}))}.{b64(text(target.claims))}.{tail}"


def doubled(target: Target, member: str, value: Any, *, first: bool) -> str:
    """A payload in which a member stands twice, validly signed."""
    body, extra = text(target.claims)[1:-1], text({member: value})[1:-1]
    pair = (extra, body) if first else (body, extra)
    return signed(target.key, text(target.header), b"{" + b",".join(pair) + b"}")


def doubled_header(target: Target, member: str, value: Any) -> str:
    extra = text({member: value})[1:-1]
    return signed(target.key, b"{" + extra + b"," + text(target.header)[1:], text(target.claims))


def other_bits(segment: str) -> str:
    """The same bytes, spelled with other unused bits in the last character."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(segment) % 4, "nothing is unused"
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) ^ 1]


def respelled(target: Target, place: int) -> str:
    """A segment with other unused bits; header and payload get blanks until they have any, and are signed so."""
    header, payload = text(target.header), text(target.claims)
    while len(header) % 3 == 0:
        header += b" "
    while len(payload) % 3 == 0:
        payload += b" "
    segments = [b64(header), b64(payload), ""]
    if place < 2:
        segments[place] = other_bits(segments[place])
    segments[2] = b64(es256(target.key, ".".join(segments[:2]).encode()))
    if place == 2:
        segments[2] = other_bits(segments[2])
    return ".".join(segments)


def malleated(target: Target) -> str:
    """The signature as DER instead of raw."""
    head, body, tail = target.parts
    raw = base64.urlsafe_b64decode(tail + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    return f"{head}.{body}.{b64(der)}"


def by_other_alg(target: Target) -> str:
    """Truly signed with Ed25519, while the key of that name is a P-256 key."""
    private = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"ed").digest())
    data = f"{b64(text({**target.header, 'alg': 'EdDSA'}))}.{b64(text(target.claims))}"
    return f"{data}.{b64(private.sign(data.encode()))}"


def embedded(target: Target, member: str) -> str:
    """Signed by a stranger whose key the header brings along."""
    brought: dict[str, Any] = {
        "jwk": jwk("stranger"),
        "jku": "https://evil.example/keys",
        "x5u": "https://evil.example/chain.pem",
        "x5c": [base64.b64encode(public_bytes("stranger", "der")).decode()],
    }
    return signed("stranger", text({**target.header, member: brought[member]}), text(target.claims))


Make = Callable[[Target], str]

COMMON: dict[str, Make] = {
    "empty": lambda t: " ",
    "not-a-jwt": lambda t: "hello",
    "two-segments": lambda t: ".".join(t.parts[:2]),
    "four-segments": lambda t: t.good() + ".x",
    "five-segments-like-jwe": lambda t: t.good() + ".x.y",
    "json-serialization": lambda t: json.dumps(dict(zip(("protected", "payload", "signature"), t.parts, strict=True))),
    "alg-none": lambda t: unsigned(t, "none"),
    "alg-none-upper": lambda t: unsigned(t, "NONE"),
    "alg-none-mixed": lambda t: unsigned(t, "nOnE"),
    "alg-none-with-signature": lambda t: unsigned(t, "none", t.parts[2]),
    "alg-empty": lambda t: unsigned(t, "", t.parts[2]),
    "alg-missing": lambda t: t.good({"alg": ...}),
    "alg-null": lambda t: t.good({"alg": None}),
    "alg-list": lambda t: t.good({"alg": ["ES256"]}),
    "alg-lower-case": lambda t: t.good({"alg": "es256"}),
    "alg-es384": lambda t: t.good({"alg": "ES384"}),
    "alg-es256k": lambda t: t.good({"alg": "ES256K"}),
    "alg-rs256": lambda t: t.good({"alg": "RS256"}),
    "alg-eddsa-for-an-ec-key": by_other_alg,
    "hs256-with-public-pem": lambda t: confused(t, public_bytes(t.key, "pem")),
    "hs256-with-public-pem-stripped": lambda t: confused(t, public_bytes(t.key, "pem").strip()),
    "hs256-with-public-der": lambda t: confused(t, public_bytes(t.key, "der")),
    "hs256-with-public-jwk": lambda t: confused(t, text(jwk(t.key))),
    "hs256-with-empty-secret": lambda t: confused(t, b""),
    "signature-empty": lambda t: ".".join((*t.parts[:2], "")),
    "signature-zero": lambda t: ".".join((*t.parts[:2], b64(bytes(64)))),
    "signature-r-is-n": lambda t: ".".join((*t.parts[:2], b64(N.to_bytes(32, "big") * 2))),
    "signature-short": lambda t: t.good()[:-4],
    "signature-long": lambda t: t.good() + "AAAA",
    "signature-der": malleated,
    "signature-of-a-stranger": lambda t: signed("stranger", text(t.header), text(t.claims)),
    "payload-changed": lambda t: ".".join((t.parts[0], b64(text({**t.claims, "sub": "root"})), t.parts[2])),
    "payload-empty": lambda t: signed(t.key, text(t.header), b""),
    "payload-a-list": lambda t: signed(t.key, text(t.header), text([t.claims])),
    "payload-a-string": lambda t: signed(t.key, text(t.header), b'"sub"'),
    "payload-invalid-utf8": lambda t: signed(t.key, text(t.header), text(t.claims)[:-1] + b',"x":"\xff"}'),
    "payload-lone-surrogate": lambda t: signed(t.key, text(t.header), text(t.claims)[:-1] + b',"x":"\\ud800"}'),
    "payload-with-bom": lambda t: signed(t.key, text(t.header), b"\xef\xbb\xbf" + text(t.claims)),
    "payload-trailing-garbage": lambda t: signed(t.key, text(t.header), text(t.claims) + b"x"),
    "payload-nan": lambda t: signed(t.key, text(t.header), text(t.claims)[:-1] + b',"x":NaN}'),
    "payload-comment": lambda t: signed(t.key, text(t.header), text(t.claims)[:-1] + b"/**/}"),
    "payload-deeply-nested": lambda t: signed(
        t.key, text(t.header), text(t.claims)[:-1] + b',"x":' + b"[" * 2500 + b"]" * 2500 + b"}"
    ),
    "duplicate-sub-first": lambda t: doubled(t, "sub", "root", first=True),
    "duplicate-sub-last": lambda t: doubled(t, "sub", "root", first=False),
    "duplicate-sub-same": lambda t: doubled(t, "sub", t.claims["sub"], first=False),
    "duplicate-exp": lambda t: doubled(t, "exp", NOW_S + 60, first=False),
    "duplicate-aud": lambda t: doubled(t, "aud", t.claims["aud"], first=False),
    "duplicate-nested": lambda t: signed(t.key, text(t.header), text(t.claims)[:-1] + b',"x":{"a":1,"a":2}}'),
    "duplicate-escaped-name": lambda t: signed(t.key, text(t.header), text(t.claims)[:-1] + b',"s\\u0075b":"root"}'),
    "duplicate-alg": lambda t: doubled_header(t, "alg", "none"),
    "duplicate-kid": lambda t: doubled_header(t, "kid", "stranger"),
    "base64-padded": lambda t: ".".join(p + "=" * (-len(p) % 4 or 4) for p in t.parts),
    "base64-standard-alphabet": lambda t: ".".join(
        (*t.parts[:2], base64.b64encode(es256(t.key, ".".join(t.parts[:2]).encode())).decode().rstrip("=") + "+/")
    ),
    "base64-with-newline": lambda t: t.parts[0] + "\n." + ".".join(t.parts[1:]),
    "base64-with-blank": lambda t: " " + t.good(),
    "base64-with-trailing-blank": lambda t: t.good() + " ",
    "base64-non-ascii": lambda t: t.good().replace(".", "\uff0e", 1),
    "base64-other-bits-in-header": lambda t: respelled(t, 0),
    "base64-other-bits-in-payload": lambda t: respelled(t, 1),
    "base64-other-bits-in-signature": lambda t: respelled(t, 2),
    "header-not-an-object": lambda t: signed(t.key, b"[]", text(t.claims)),
    "header-crit-unknown": lambda t: t.good({"crit": ["x"], "x": 1}),
    "header-crit-empty": lambda t: t.good({"crit": []}),
    "header-crit-exp": lambda t: t.good({"crit": ["exp"], "exp": 1}),
    "header-b64-false": lambda t: t.good({"b64": False, "crit": ["b64"]}),
    "header-b64-true": lambda t: t.good({"b64": True}),
    "header-zip": lambda t: t.good({"zip": "DEF"}),
    "header-enc": lambda t: t.good({"enc": "A128GCM"}),
    "header-p2c": lambda t: t.good({"p2c": 2**31, "p2s": "x"}),
    "header-embedded-jwk": lambda t: embedded(t, "jwk"),
    "header-embedded-jku": lambda t: embedded(t, "jku"),
    "header-embedded-x5u": lambda t: embedded(t, "x5u"),
    "header-embedded-x5c": lambda t: embedded(t, "x5c"),
    "header-own-jwk": lambda t: t.good({"jwk": jwk(t.key)}),
    "kid-unknown": lambda t: t.good({"kid": "stranger"}),
    "kid-a-path": lambda t: t.good({"kid": "../../dev/null"}),
    "kid-sql": lambda t: t.good({"kid": "' or 1=1 --"}),
    "kid-a-list": lambda t: t.good({"kid": ["own"]}),
    "typ-number": lambda t: t.good({"typ": 1}),
    "typ-dpop": lambda t: t.good({"typ": "dpop+jwt"}),
    "typ-secevent": lambda t: t.good({"typ": "secevent+jwt"}),
    "typ-txntoken": lambda t: t.good({"typ": "txntoken+jwt"}),
    "typ-statuslist": lambda t: t.good({"typ": "statuslist+jwt"}),
    "typ-introspection": lambda t: t.good({"typ": "token-introspection+jwt"}),
    "typ-id-jag": lambda t: t.good({"typ": "oauth-id-jag+jwt"}),
    "typ-logout": lambda t: t.good({"typ": "logout+jwt"}),
    "oversized-payload": lambda t: t.good(x="y" * 20_000),
    "oversized-header": lambda t: t.good({"cty": "y" * 4_000}),
    "oversized-kid": lambda t: t.good({"kid": "k" * 3_000}),
    "expired": lambda t: t.good(exp=NOW_S - 61),
    "expired-long-ago": lambda t: t.good(exp=1, iat=0),
    "exp-missing": lambda t: t.good(exp=...),
    "exp-null": lambda t: t.good(exp=None),
    "exp-string": lambda t: t.good(exp=str(NOW_S + 60)),
    "exp-true": lambda t: t.good(exp=True),
    "exp-negative": lambda t: t.good(exp=-1),
    "exp-huge": lambda t: t.good(exp=10**40),
    "exp-exponent": lambda t: signed(
        t.key, text(t.header), text({**t.claims, "exp": 0}).replace(b'"exp":0', b'"exp":1e400')
    ),
    "exp-list": lambda t: t.good(exp=[NOW_S + 60]),
    "nbf-future": lambda t: t.good(nbf=NOW_S + 61),
    "nbf-string": lambda t: t.good(nbf="0"),
    "iat-future": lambda t: t.good(iat=NOW_S + 61),
    "iat-string": lambda t: t.good(iat="0"),
    "iss-missing": lambda t: t.good(iss=...),
    "iss-stranger": lambda t: t.good(iss="https://evil.example"),
    "iss-slash": lambda t: t.good(iss=t.claims["iss"] + "/"),
    "iss-upper-case": lambda t: t.good(iss=t.claims["iss"].upper()),
    "iss-list": lambda t: t.good(iss=[t.claims["iss"]]),
    "sub-missing": lambda t: t.good(sub=...),
    "sub-empty": lambda t: t.good(sub=""),
    "sub-null": lambda t: t.good(sub=None),
    "sub-number": lambda t: t.good(sub=1),
    "sub-list": lambda t: t.good(sub=[t.claims["sub"]]),
    "aud-missing": lambda t: t.good(aud=...),
    "aud-empty-list": lambda t: t.good(aud=[]),
    "aud-null": lambda t: t.good(aud=None),
    "aud-number": lambda t: t.good(aud=1),
    "aud-object": lambda t: t.good(aud={"x": ISSUER}),
    "aud-list-of-numbers": lambda t: t.good(aud=[1]),
    "aud-nested-list": lambda t: t.good(aud=[[ISSUER]]),
}

ASSERTION: dict[str, Make] = {
    "typ-at-jwt": lambda t: t.good({"typ": "at+jwt"}),
    "aud-token-endpoint": lambda t: t.good(aud=ISSUER + "/token"),
    "aud-slash": lambda t: t.good(aud=ISSUER + "/"),
    "aud-two": lambda t: t.good(aud=[ISSUER, "https://other.example"]),
    "aud-twice": lambda t: t.good(aud=[ISSUER, ISSUER]),
    "aud-other": lambda t: t.good(aud="https://other.example"),
    "aud-upper-case": lambda t: t.good(aud=ISSUER.upper()),
    "aud-in-a-string": lambda t: t.good(aud=ISSUER + " https://other.example"),
    "iss-not-sub": lambda t: t.good(iss="other"),
    "sub-other-client": lambda t: t.good(iss="public", sub="public"),
    "sub-unknown-client": lambda t: t.good(iss="nobody", sub="nobody"),
    "exp-too-far": lambda t: t.good(exp=NOW_S + 601),
    "exp-too-far-without-iat": lambda t: t.good(exp=NOW_S + 660, iat=...),
    "exp-too-far-with-early-iat": lambda t: t.good(exp=NOW_S + 599, iat=NOW_S - 10),
    "jti-missing": lambda t: t.good(jti=...),
    "jti-empty": lambda t: t.good(jti=""),
    "jti-number": lambda t: t.good(jti=1),
    "jti-long": lambda t: t.good(jti="x" * 300),
    "own-access-token": lambda t: TARGETS[1].good(),
    "token-of-a-trusted-issuer": lambda t: TARGETS[3].good(),
}

OWN_TOKEN: dict[str, Make] = {
    "typ-missing": lambda t: t.good({"typ": ...}),
    "typ-jwt": lambda t: t.good({"typ": "JWT"}),
    "kid-missing": lambda t: t.good({"kid": ...}),
    "kid-gone": lambda t: signed("gone", text({**t.header, "kid": "gone"}), text(t.claims)),
    "kid-of-the-checkpoint-key": lambda t: signed("log", text({**t.header, "kid": "log"}), text(t.claims)),
    "expired-just-now": lambda t: t.good(exp=NOW_S),
    "iat-missing": lambda t: t.good(iat=...),
    "jti-missing": lambda t: t.good(jti=...),
    "client-id-missing": lambda t: t.good(client_id=...),
    "sub-type-missing": lambda t: t.good(sub_type=...),
    "sub-type-unknown": lambda t: t.good(sub_type="Group"),
    "sub-type-list": lambda t: t.good(sub_type=["User"]),
    "scope-list": lambda t: t.good(scope=["payments:read"]),
    "leaf-missing": lambda t: t.good(ledger_leaf=...),
    "leaf-short": lambda t: t.good(ledger_leaf="AAAA"),
    "leaf-not-base64": lambda t: t.good(ledger_leaf="!" * 43),
    "leaf-non-ascii": lambda t: t.good(ledger_leaf="\u00e9" * 43),
    "act-string": lambda t: t.good(act="bot"),
    "act-null": lambda t: t.good(act=None),
    "act-empty": lambda t: t.good(act={}),
    "act-without-type": lambda t: t.good(act={"sub": "bot"}),
    "act-unknown-member": lambda t: t.good(act={"sub": "bot", "sub_type": "Agent", "iss": "https://evil.example"}),
    "act-broken-inside": lambda t: t.good(act={"sub": "bot", "sub_type": "Agent", "act": "x"}),
    "act-endless": lambda t: t.good(act=_nested(40)),
    "may-act-string": lambda t: t.good(may_act="bot"),
    "may-act-unknown-member": lambda t: t.good(may_act={"sub": "b", "sub_type": "Agent", "x": 1}),
    "cnf-unknown": lambda t: t.good(cnf={"jwk": jwk("own")}),
    "cnf-two": lambda t: t.good(cnf={"jkt": LEAF, "x5t#S256": LEAF}),
    "cnf-empty": lambda t: t.good(cnf={}),
    "cnf-short": lambda t: t.good(cnf={"jkt": "AAAA"}),
    "cnf-null": lambda t: t.good(cnf=None),
    "amr-string": lambda t: t.good(amr="mfa"),
    "auth-time-string": lambda t: t.good(auth_time="0"),
    "tenant-list": lambda t: t.good(tenant=["t1", "t2"]),
    "environment-number": lambda t: t.good(environment=1),
    "client-assertion": lambda t: TARGETS[0].good(),
}

TRUSTED: dict[str, Make] = {
    "typ-at-jwt": lambda t: t.good({"typ": "at+jwt"}),
    "typ-application-at-jwt": lambda t: t.good({"typ": "application/AT+JWT"}),
    "typ-client-authentication": lambda t: t.good({"typ": "client-authentication+jwt"}),
    "aud-other": lambda t: t.good(aud="https://other.example"),
    "aud-prefix": lambda t: t.good(aud=ISSUER + ".evil.example"),
    "life-too-long": lambda t: t.good(exp=NOW_S + 90_000),
    "life-too-long-without-iat": lambda t: t.good(exp=NOW_S + 90_000, iat=...),
    "condition-false": lambda t: t.good(email_verified=False),
    "condition-missing": lambda t: t.good(email_verified=...),
    "condition-wrong-type": lambda t: t.good(email_verified="true"),
    "condition-one": lambda t: t.good(email_verified=1),
    "act-chain": lambda t: t.good(act={"sub": "x"}),
    "cnf-unknown": lambda t: t.good(cnf={"jwk": jwk("own")}),
    "may-act-string": lambda t: t.good(may_act="bot"),
    "amr-string": lambda t: t.good(amr="mfa"),
    "sub-control-character": lambda t: t.good(sub="alice\nadmin"),
    "sub-long": lambda t: t.good(sub="a" * 600),
    "sid-control-character": lambda t: t.good(sid="s\x00"),
    "sid-object": lambda t: t.good(sid={}),
    "role-not-allowed": lambda t: Target(t.name, "mute", t.header, t.claims).good(
        {"kid": "mute"}, iss="https://mute.example"
    ),
    "client-assertion": lambda t: TARGETS[0].good(),
    "own-access-token-with-foreign-iss": lambda t: TARGETS[1].good(iss=LOGIN),
    "foreign-key-with-own-iss": lambda t: t.good({"typ": "at+jwt"}, **{**OWN, "sub": "root"}),
}

SPECIFIC = {"client-assertion": ASSERTION, "own-subject": OWN_TOKEN, "own-actor": OWN_TOKEN,
            "trusted-subject": TRUSTED, "trusted-actor": TRUSTED}  # fmt: skip


def _nested(depth: int) -> dict[str, Any]:
    act: dict[str, Any] = {"sub": "bot", "sub_type": "Agent"}
    for _ in range(depth):
        act = {"sub": "bot", "sub_type": "Agent", "act": act}
    return act


def cases() -> list[tuple[Target, str, Make]]:
    """Every hostile token: target, name, and what makes it."""
    return [(target, name, make) for target in TARGETS for name, make in {**COMMON, **SPECIFIC[target.name]}.items()]


def write(folder: Path) -> int:
    """Write every token to its own file; returns how many."""
    for target, name, make in cases():
        place = folder / target.name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.jwt").write_text(make(target), encoding="utf-8", errors="surrogatepass")
    return len(cases())


if __name__ == "__main__":
    sys.stdout.write(f"{write(Path(sys.argv[1]))} tokens\n")
