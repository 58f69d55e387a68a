"""What another program needs to drive the running demonstration; its reference is `docs/manifest.md`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from mintwarden.app.demo.calls import Call, Caller, send
from mintwarden.app.demo.cast import agent_documents
from mintwarden.app.demo.certificates import Credential
from mintwarden.app.demo.flows import Flows
from mintwarden.app.demo.front import Front
from mintwarden.app.demo.identified import Identified
from mintwarden.app.demo.introduced import Introduced
from mintwarden.app.demo.script import CALM, UNEASY, Script
from mintwarden.app.demo.stage import Stage, private_jwk
from mintwarden.app.demo.upstreams import AUDIENCE, Upstream, Upstreams
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError

_PLACE = {"tenant": "nordic", "workspace": "operations", "project": "refund-quality"}
_PLACES: Mapping[str, Mapping[str, str]] = {
    "pocket": {"tenant": "alpine", "workspace": "merchants"},
    "research-agent": {"tenant": "nordic", "workspace": "data", "project": "churn-model"},
    "chartmaker": {"tenant": "nordic", "purpose": "benchmarking"},
}
"""Where clients work whose place is another, and what else their requests must say."""


def require_writable(file: Path) -> None:
    """Raise `CONFIG` where no manifest can be written, which is better known before the story than after it."""
    if file.is_dir():
        raise _unwritable(file, "is a directory")
    _put(file, "").unlink()


def _put(file: Path, text: str) -> Path:
    """What will be `file`, beside it, with `text`; nobody else may read it."""
    part = file.with_name(f"{file.name}.part")
    try:
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise _unwritable(file, (error.strerror or "unknown reason").lower()) from error
    return part


def _unwritable(file: Path, why: str) -> MintwardenError:
    return MintwardenError(
        ErrorKind.CONFIG, f"`{file}` cannot be written: {why}", hint="name a file in a folder that there is"
    )


class Manifest:
    """Writes the manifest, once and again: what is in it runs out, and is made anew."""

    def __init__(
        self,
        *,
        stage: Stage,
        caller: Caller,
        upstreams: Upstreams,
        http: httpx2.Client,
        vkey: str,
        decision: str,
        pid: int,
        front: Front,
        own: Credential,
    ) -> None:
        self._stage = stage
        self._caller = caller
        self._upstreams = upstreams
        self._http = http
        self._vkey = vkey
        self._decision = decision
        self._pid = pid
        self._front = front
        self._own = own
        self._introduced = Introduced(caller, upstreams=upstreams, http=http)

    def write(self, file: Path) -> None:
        """Write it whole or not at all; nobody else may read it, since it is full of secrets."""
        _put(file, json.dumps(self.content(), indent=2) + "\n").replace(file)

    def content(self) -> dict[str, Any]:
        """The manifest, with tokens made now."""
        stage = self._stage
        token = str(send(self._http, Script(self._caller).administrator()).json()["access_token"])
        script, identified = Script(self._caller, admin_token=token), Identified(self._caller, own=self._own)
        self._introduced.vouched(script)
        return {
            "issuer": stage.issuer,
            "endpoints": self._endpoints(),
            "clients": [
                *(self._client(client, identified) for client in stage.catalogue.clients.values()),
                *self._introduced.members(),
            ],
            "trusted_issuers": [
                {
                    "id": upstream.id,
                    "issuer": upstream.issuer,
                    "audience": AUDIENCE,
                    "private_key_jwk": upstream.jwk(private=True),
                    "subjects": list(upstream.subjects),
                    "max_age": upstream.longest,
                    **_authority(upstream),
                }
                for upstream in self._upstreams.by_id.values()
            ],
            "requests": [call.as_json() for call in self._requests(script, identified)],
            "admin": {"base": f"{stage.issuer}/admin/v1", "access_token": token},
            "tls": {"base": self._front.base, "authority": stage.front_authority.pem},
            "registration": {
                "endpoint": f"{stage.issuer}/register",
                "initial_access_token": self._introduced.initial,
            },
            "ledger": {"checkpoint": f"{stage.issuer}/ledger/checkpoint", "vkey": self._vkey},
            "config": str(stage.config),
            "bundle": str(stage.bundle),
            "database": stage.database,
            "pid": self._pid,
        }

    def _endpoints(self) -> dict[str, str]:
        base = self._stage.issuer
        named: dict[str, str] = {}
        for document in ("openid-configuration", "authzen-configuration"):
            said = self._http.get(f"{base}/.well-known/{document}").json()
            named |= {name: value for name, value in said.items() if name.endswith(("_endpoint", "_uri"))}
        return {
            **named,
            "ledger": f"{base}/ledger",
            "admin": f"{base}/admin/v1",
            "facts": f"{base}/admin/v1/facts",
            "metrics": f"{base}/metrics",
        }

    def _client(self, client: Client, identified: Identified) -> dict[str, Any]:
        proof: dict[str, Any] = {}
        if client.id in self._stage.secrets:
            proof["client_secret"] = self._stage.secrets[client.id]
        if client.id in self._stage.keys:
            proof["private_key_jwk"] = private_jwk(self._stage.keys[client.id])
        audiences = self._stage.catalogue.audiences
        return {
            "client_id": client.id,
            "kind": client.kind,
            "auth_method": client.methods[0],
            "auth_methods": list(client.methods),
            **({"spiffe_id": client.spiffe_id} if client.spiffe_id else {}),
            **proof,
            **identified.members(client.id),
            "grants": list(client.grants),
            "audiences": {audiences[name].identifier: list(scopes) for name, scopes in client.ceilings.items()},
            "parameters": {audiences[name].identifier: self._parameters(client, name) for name in client.ceilings},
            "addresses": list(client.addresses),
            "redirect_uris": list(client.redirect_uris),
        }

    def _parameters(self, client: Client, audience: str) -> dict[str, str]:
        """What a request of this client at this audience has to say beside its scopes."""
        place = _PLACES.get(client.id, _PLACE)
        needed = {
            tenancy.parameter
            for tenancy in self._stage.catalogue.audiences[audience].tenancy
            if tenancy.required or client.id in _PLACES
        }
        return {name: value for name, value in place.items() if name in needed or name == "purpose"}

    def _requests(self, script: Script, identified: Identified) -> Sequence[Call]:
        """In this order: facts that a request leans on are pushed before it."""
        send(self._http, script.agent_state("a quiet day", CALM))
        flows = Flows(self._caller, script, self._http)
        people, chain, after = (*flows.of_people(), *flows.elsewhere()), flows.chain(), flows.after()
        onward = flows.onward()
        vendor_token = str(send(self._http, script.vendor_at_home()).json()["access_token"])
        return (
            script.public("metadata", "/.well-known/oauth-authorization-server"),
            script.public("the same for OpenID", "/.well-known/openid-configuration"),
            script.public("key set", "/jwks.json"),
            script.service(),
            script.service_by_post(),
            script.service_by_assertion(),
            flows.bound(),
            *self._introduced.calls(script),
            *identified.calls(),
            *people,
            flows.by_assertion(),
            script.public_client(),
            script.broad_group(),
            script.quiet_day({name: {"agent_state": said["agent_state"]} for name, said in agent_documents().items()}),
            script.herself(),
            script.agent_state("the agent's runtime reports a quiet day", CALM),
            script.agent("the agent gets less than its person", "payments:read payments:refund"),
            script.unapproved(),
            script.asks_for_approval(),
            flows.by_identity_assertion(),
            *chain,
            *onward,
            *after,
            script.agent_state("the agent's risk goes up", UNEASY),
            script.agent("the agent gets less still", "payments:read"),
            script.agent_state("the agent's risk goes down", CALM),
            script.batch(),
            script.vendor_at_home(),
            script.thief_with_secret(),
            script.thief_with_tenant(),
            script.thief_with_audience(),
            script.thief_with_token(vendor_token),
            script.thief_as_administrator(vendor_token),
            script.explained(self._decision),
            script.public("the log's checkpoint", "/ledger/checkpoint"),
            script.public("alive", "/healthz"),
            script.public("ready", "/readyz"),
            script.public("metrics", "/metrics"),
        )


def _authority(upstream: Upstream) -> dict[str, Any]:
    """Of a trust domain, who issues its X.509-SVIDs."""
    if upstream.authority is None:
        return {}
    return {"authority": {"certificate": upstream.authority.pem, "private_key": upstream.authority.key_pem}}
