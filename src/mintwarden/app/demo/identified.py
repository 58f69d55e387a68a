"""Clients that are known by more than a secret or an assertion: by certificates, workloads and attested instances."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from joserfc import jwt
from joserfc.jwk import ECKey

from mintwarden.app.demo.additions import TERMINAL
from mintwarden.app.demo.calls import Call, Caller
from mintwarden.app.demo.certificates import Credential
from mintwarden.app.demo.front import CERTIFICATE_HEADER, CHAIN_HEADER
from mintwarden.app.demo.stage import GATE, private_jwk
from mintwarden.authn.spiffe import ASSERTION_TYPE

BRIDGE, BRIDGE_NAME = "erp-bridge", "erp-bridge.finance.meridian.example"
"""A service with a certificate of the company's authority, and the name in that (`tls_client_auth_san_dns`)."""
LEDGER, LEDGER_WORKLOAD = "ledger-service", "spiffe://prod.meridian.example/finance/ledger"
"""A service, and the workload that it is (`spiffe_id` in its file)."""
MESH, MESH_DOMAIN = "mesh", "spiffe://prod.meridian.example"
_FLAGS = {"audience": "feature-flags", "scope": "flags:evaluate"}
_DAY = 24 * 3600


class Identified:
    """Builds their requests; what is issued, proven and attested is made for each of these objects anew.

    `own` is the certificate that nobody but its client vouches for: whoever takes it knows it beforehand.
    """

    def __init__(self, caller: Caller, *, own: Credential) -> None:
        self._caller = caller
        self._stage = caller.stage
        self._own = own
        self._issued = self._stage.authority.issue(BRIDGE, also=x509.DNSName(BRIDGE_NAME))
        authority = caller.authority(MESH)
        self._between = authority.issue("Mesh, of one cluster", also=_uri(MESH_DOMAIN), authority=True)
        self._svid = self._between.issue("Ledger", also=_uri(LEDGER_WORKLOAD))
        self._instance = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True)

    def calls(self) -> tuple[Call, ...]:
        """One request for each way."""
        return (
            self._by_certificate("a service is known by its certificate, behind a proxy", GATE, self._own, _FLAGS),
            self._by_certificate(
                "a service is known by the name in a certificate of the company's authority (PKI)",
                BRIDGE,
                self._issued,
                {"audience": "ledger", "scope": "ledger:read"},
            ),
            self._by_workload(),
            self._by_certificate(
                "a service is known by its workload's certificate (X.509-SVID)",
                LEDGER,
                self._svid,
                _FLAGS,
                self._between,
            ),
            self._challenge(),
            self._attested("an attested instance proves its key", "Bearer", self._pop()),
            self._attested("the same by DPoP, which binds its token", "DPoP", self._dpop()),
        )

    def members(self, client: str) -> dict[str, Any]:
        """What the manifest says of `client` for these methods; `docs/manifest.md` is its reference."""
        if client == GATE:
            return {"certificates": [_certificate("self_signed_tls_client_auth", self._own)]}
        if client == BRIDGE:
            return {"certificates": [_certificate("tls_client_auth", self._issued)]}
        if client == LEDGER:
            return {"certificates": [_certificate("spiffe_x509", self._svid, self._between)]}
        if client == TERMINAL:
            return {
                "attester_private_key_jwk": private_jwk(self._stage.attester),
                "instance": {"private_key_jwk": private_jwk(self._instance), "attestation": self._attestation()},
            }
        return {}

    # -- certificates, which the load balancer says that it saw (RFC 9440)

    def _by_certificate(
        self, name: str, client: str, shown: Credential, asked: Mapping[str, str], *beside: Credential
    ) -> Call:
        headers = {CERTIFICATE_HEADER: f":{shown.base64}:"}
        if beside:
            headers[CHAIN_HEADER] = ", ".join(f":{one.base64}:" for one in beside)
        form = {"grant_type": "client_credentials", "client_id": client, **asked}
        return self._call(name, form, headers, {"scope": asked["scope"], "token_type": "Bearer"})

    def _by_workload(self) -> Call:
        """A JWT-SVID is its assertion (a draft)."""
        form = {
            "grant_type": "client_credentials",
            "client_id": LEDGER,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._caller.stated(MESH, LEDGER_WORKLOAD, audience=self._stage.issuer, lifetime=1_200),
            **_FLAGS,
        }
        expect = {"scope": "flags:evaluate", "token_type": "Bearer"}
        return self._call("a service is known by its workload (SPIFFE)", form, {}, expect)

    # -- attested instances (a draft)

    def _challenge(self) -> Call:
        return Call(
            name="an instance asks for a challenge",
            method="POST",
            url=f"{self._stage.issuer}/challenge",
            expect={"status": 200},
        )

    def _attested(self, name: str, kind: str, proof: Mapping[str, str]) -> Call:
        headers = {"OAuth-Client-Attestation": self._attestation(), **proof}
        form = {"grant_type": "client_credentials", "client_id": TERMINAL, **_FLAGS}
        return self._call(name, form, headers, {"scope": "flags:evaluate", "token_type": kind}, once=True)

    def _attestation(self) -> str:
        """The maker's word for the key of this one terminal, for a day."""
        key, now = self._stage.attester, int(time.time())
        jwk = key.as_dict(private=False)
        header = {"alg": str(jwk["alg"]), "kid": str(jwk["kid"]), "typ": "oauth-client-attestation+jwt"}
        confirmed = {"jwk": self._instance.as_dict(private=False)}
        claims = {"sub": TERMINAL, "iat": now, "exp": now + _DAY, "cnf": confirmed}
        return jwt.encode(header, claims, key, algorithms=["ES256"])

    def _pop(self) -> dict[str, str]:
        claims = {"aud": self._stage.issuer, "jti": secrets.token_urlsafe(16), "iat": int(time.time())}
        header = {"alg": "ES256", "typ": "oauth-client-attestation-pop+jwt"}
        return {"OAuth-Client-Attestation-PoP": jwt.encode(header, claims, self._instance, algorithms=["ES256"])}

    def _dpop(self) -> dict[str, str]:
        return {"DPoP": dpop_proof(self._instance, f"{self._stage.issuer}/token")}

    def _call(
        self,
        name: str,
        form: Mapping[str, str],
        headers: Mapping[str, str],
        expect: Mapping[str, Any],
        *,
        once: bool = False,
    ) -> Call:
        return Call(
            name=name,
            method="POST",
            url=f"{self._stage.issuer}/token",
            headers=headers,
            form=form,
            expect={"status": 200, **expect},
            single_use=once,
        )


def dpop_proof(key: ECKey, url: str) -> str:
    """A proof of `key` for a POST to `url` (RFC 9449 section 4.2), good once."""
    public = {name: value for name, value in key.as_dict(private=False).items() if name in ("kty", "crv", "x", "y")}
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public}
    claims = {"jti": secrets.token_urlsafe(16), "htm": "POST", "htu": url, "iat": int(time.time())}
    return jwt.encode(header, claims, key, algorithms=["ES256"])


def _certificate(method: str, shown: Credential, *beside: Credential) -> dict[str, Any]:
    return {
        "auth_method": method,
        "certificate": shown.pem,
        "chain": [one.pem for one in beside],
        "private_key": shown.key_pem,
    }


def _uri(value: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(value)
