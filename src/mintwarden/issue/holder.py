"""What a token is bound to where a certificate came with the request, and nothing stronger (RFC 8705 section 3)."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from mintwarden.model.asked import Asked
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.cedar.rules import Rule

_BY_CERTIFICATE = ("mtls", "any")


def audiences_wanting(bundle: Bundle) -> frozenset[str]:
    """The audiences that, or of which a rule, may demand that a token is bound to a certificate."""
    catalogue = bundle.catalogue
    found = {name for name, audience in catalogue.audiences.items() if audience.binding in _BY_CERTIFICATE}
    for rule in bundle.rules.rules.values():
        if rule.annotations.get("require_binding") not in _BY_CERTIFICATE:
            continue
        found |= audiences_of(rule, catalogue)
    return frozenset(found)


def audiences_of(rule: Rule, catalogue: Catalogue) -> frozenset[str]:
    """The audiences that a rule can be about."""
    named = {*rule.audiences, *(catalogue.scopes[s].audience for s in rule.scopes if s in catalogue.scopes)}
    if rule.head.detail in catalogue.details:
        named.add(catalogue.details[rule.head.detail].audience)
    return frozenset(named or catalogue.audiences)


def held(asked: Asked, caller: Caller, client: Client, wanting: Collection[str]) -> Asked:
    """The question with the certificate that came with it, where one is wanted and no other key was proven.

    INVARIANT: nothing that a key was proven for is bound to anything else: a DPoP proof stands before a certificate.
    Raises `INVALID_REQUEST` when the client has its tokens bound, and brings nothing to bind them to, and
    `INVALID_DPOP_PROOF` when it is to bring a proof each time (RFC 9449 section 5.2), and does not.
    """
    if client.protections.dpop and (caller.binding is None or caller.binding.kind != "dpop"):
        raise MintwardenError(
            ErrorKind.INVALID_DPOP_PROOF,
            "the client proves a key with every token request, and none was proven",
            hint="send a DPoP proof (RFC 9449): the client has `dpop_bound_access_tokens`",
        )
    if asked.binding is not None:
        return asked
    goes_on_bound = asked.parent is not None and asked.parent.binding is not None
    if caller.certificate is not None and (goes_on_bound or asked.audience in wanting):
        return replace(asked, binding=caller.certificate)
    if client.rules.bound:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            "the client's tokens are bound to a key, and none was proven",
            hint="send a DPoP proof (RFC 9449), or call over mutual TLS (RFC 8705 section 3)",
        )
    if client.certificate_bound:
        raise MintwardenError(
            ErrorKind.INVALID_REQUEST,
            "the client's tokens are bound to its certificate, and none came with the request",
            hint="call over mutual TLS (RFC 8705 section 3), or send a DPoP proof",
        )
    return asked
