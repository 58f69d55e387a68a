"""What a client authentication method is."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from mintwarden.authn.registry import KnownClient, Registry
from mintwarden.authn.replay import ReplayGuard
from mintwarden.authn.secrets import SecretVerifier
from mintwarden.model.caller import OnceKey
from mintwarden.model.request import TokenRequest


class Tools(Struct, frozen=True, kw_only=True):
    """What every method is built from. `issuer` is our own issuer identifier."""

    issuer: str
    registry: Registry
    secrets: SecretVerifier
    replay: ReplayGuard


class Proven(Struct, frozen=True):
    """A client that has proven itself, and the proofs to be claimed with the decision."""

    client: KnownClient
    once: tuple[OnceKey, ...] = ()


class NotProvenError(Exception):
    """The client is not authenticated. The text is for operators and tells nothing secret."""


class Method(Protocol):
    """One way for a client to authenticate at the token endpoint. `name` is its RFC 8414 name."""

    name: str

    def offered(self, request: TokenRequest) -> bool:
        """True if the request tries to authenticate this way, well or badly."""
        ...

    async def prove(self, request: TokenRequest, now: int) -> Proven:
        """The client; raises `NotProvenError`, after like time whether the client is unknown or the proof wrong.

        Whether the client lists the method, and may call from where it does, is the caller's to check.
        """
        ...
