"""A code for a token (RFC 6749 section 4.1.3, OAuth 2.1): single use, bound to all that asked for it."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode

from mintwarden.authn.authenticate import signed_in
from mintwarden.issue.confines import CONFINES
from mintwarden.issue.details import DETAILS
from mintwarden.issue.granted import Recalled, asked_of, first_renewal
from mintwarden.issue.limits import LIMITS
from mintwarden.issue.memory import Code, Memory, once
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

NAME = "authorization_code"
GRANT_TYPE = "authorization_code"
PARAMETERS = frozenset(
    {"grant_type", "code", "redirect_uri", "code_verifier", "resource", "audience", *DETAILS, *CONFINES, *LIMITS}
)

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


async def recall(
    request: TokenRequest, caller: Caller, client: Client, memory: Memory, now: int
) -> tuple[Caller, Recalled]:
    """What the code stands for. Raises `INVALID_GRANT` for one that is not this client's to redeem, or not so.

    A failed attempt does not use the code up: who has only stolen it must not be able to take it from its owner.
    """
    code = request.one("code")
    if code is None:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, "`code` is missing")
    held = await memory.codes.get(code, now)
    if held is None or held.value.granted.client_id != caller.client_id:
        raise _refused("the code is unknown, has ended or was given to another client")
    known = held.value
    _check(known, request, caller)
    await memory.require_live(known.granted, now)
    renewal = first_renewal(known.granted, caller, client, now) if known.renewable else None
    return signed_in(caller, known.granted.sign_in, known.granted.granted_at), Recalled(
        granted=known.granted, once=(once("code", code, known.ends),), nonce=known.nonce, renewal=renewal
    )


def resolve(request: TokenRequest, caller: Caller, client: Client, catalogue: Catalogue, recalled: Recalled) -> Asked:
    """The question of the first token of the grant."""
    return asked_of(NAME, recalled, request, caller, client, catalogue, narrows=False)


def _check(code: Code, request: TokenRequest, caller: Caller) -> None:
    stated = request.one("redirect_uri")
    if stated is not None and stated != code.redirect_uri:
        raise _refused("`redirect_uri` is not the one that the code was sent to")
    verifier = request.one("code_verifier")
    if verifier is None or not _VERIFIER.fullmatch(verifier) or not _matches(verifier, code.challenge):
        raise _refused("`code_verifier` does not belong to the code")
    if code.dpop_jkt:
        binding = caller.binding
        if binding is None or binding.kind != "dpop" or binding.thumbprint != code.dpop_jkt:
            raise _refused("the code is bound to a key that was not proven")
    if code.instance and caller.instance != code.instance:
        raise _refused("the code was asked for by another instance of the client")


def _matches(verifier: str, challenge: str) -> bool:
    digest = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(digest, challenge.encode())


def _refused(hint: str) -> MintwardenError:
    """One answer for everything: a code tells nobody why it does not work for them."""
    return MintwardenError(ErrorKind.INVALID_GRANT, "the code is not good for this request", hint=hint)
