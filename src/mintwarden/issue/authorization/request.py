"""An authorization request, from parameters that nobody believes to what is asked for (OAuth 2.1 section 4.1.1).

Two steps, in this order: `addressed` says where an answer may go at all, and whoever fails there is told on a page of
ours, never by a redirect. What is wrong with the rest is told to the client.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from mintwarden.authn.sign_in import Demand
from mintwarden.issue.authorization.claims import read_claims
from mintwarden.issue.confines import Confines, read_confines
from mintwarden.issue.details import read_details
from mintwarden.issue.limits import read_limits
from mintwarden.issue.target import read_targets
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.detail import Detail
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest

Parameters = Mapping[str, tuple[str, ...]]

GRANT: Final = "authorization_code"
QUERY: Final = "query"
MODES: Final = ("query", "fragment", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt")
"""Values of `response_mode`: OAuth 2.0 Multiple Response Types, Form Post Response Mode, JARM."""
PROMPTS: Final = ("none", "login", "consent", "select_account")
LONGEST: Final = 16 * 1024
"""Of all values together, in characters: the whole is kept while somebody signs in."""

_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::[0-9]{1,5})?([/?][!-~]*|)")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_SECONDS = re.compile(r"[0-9]{1,9}")
_LOCALE = re.compile(r"[A-Za-z0-9-]{1,35}")


class Destination(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the answer goes, and how.

    Attributes:
        redirect_uri: one of the client's own.
        mode: one of `MODES`; what cannot be used is `query`.
        state: the client's, or empty.
    """

    client_id: str
    redirect_uri: str
    mode: str = QUERY
    state: str = ""

    @property
    def origin(self) -> str:
        """Scheme and host of where it goes, as a content security policy names them."""
        parts = urlsplit(self.redirect_uri)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


class AuthorizationRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked for, well formed. Nobody has decided whether it may be had.

    Attributes:
        to: where the answer goes.
        challenge: `code_challenge`, S256.
        scopes: audience id to candidate scopes.
        identity: candidate scopes of the identity audience.
        details: authorization details (RFC 9396), of the audiences in `scopes`.
        demand: what the sign-in must be.
        ask: the person must be asked, whatever they allowed before (`prompt=consent`).
        confines: purpose, environment, tenant, workspace and project.
        id_token_claims: claims that the ID token shall carry itself.
        budget, max_depth: what may be done with it, and how far it may be handed on; None for no limit.
        dpop_jkt: thumbprint of the key that the code shall be bound to, or empty.
    """

    to: Destination
    challenge: str
    scopes: Mapping[str, tuple[str, ...]]
    identity: tuple[str, ...]
    demand: Demand
    confines: Confines
    ask: bool = False
    nonce: str = ""
    id_token_claims: tuple[str, ...] = ()
    details: tuple[Detail, ...] = ()
    dpop_jkt: str = ""
    budget: int | None = None
    max_depth: int | None = None


def one(parameters: Parameters, name: str) -> str:
    """A parameter's value, or empty."""
    return parameters.get(name, ("",))[0]


def locales_of(parameters: Parameters) -> tuple[str, ...]:
    """What whoever reads our pages reads, most wanted first (`ui_locales`, OpenID Connect Core 1.0 section 3.1.2.1).

    A mere wish: what is no language tag in it is passed over, and so is what comes after the sixteenth.
    """
    return tuple(tag for tag in one(parameters, "ui_locales").split()[:16] if _LOCALE.fullmatch(tag))


def addressed(parameters: Parameters, client: Client) -> Destination:
    """Where the answer to `parameters` may go. Raises `INVALID_REQUEST`: then it goes nowhere.

    INVARIANT: redirect URIs compare character by character; of a loopback address alone the port may differ (RFC 8252
    section 7.3, RFC 9700 section 4.1.3).
    """
    stated = one(parameters, "redirect_uri")
    if not stated:
        if client.rules.redirect_stated or len(client.redirect_uris) != 1:
            raise _invalid("`redirect_uri` is missing", "send the one that the answer shall go to")
        stated = client.redirect_uris[0]
    elif not any(_same(known, stated) for known in client.redirect_uris):
        raise _invalid("`redirect_uri` is not one of the client's", "register it, character by character")
    mode = one(parameters, "response_mode") or QUERY
    return Destination(
        client_id=client.id,
        redirect_uri=stated,
        mode=mode if mode in MODES else QUERY,
        state=one(parameters, "state"),
    )


def _same(known: str, stated: str) -> bool:
    if known == stated:
        return True
    ours, theirs = _LOOPBACK.fullmatch(known), _LOOPBACK.fullmatch(stated)
    if ours is None or theirs is None or ours.groups() != theirs.groups() or "#" in stated:
        return False
    try:
        return urlsplit(stated).port != 0
    except ValueError:
        return False


def read_request(
    parameters: Parameters, client: Client, catalogue: Catalogue, *, pushed: bool, signed: bool, now: int
) -> AuthorizationRequest:
    """What `parameters` ask for, `addressed` already. `pushed`, `signed`: how they came.

    Raises `MintwardenError` of the kind that the client is told. Unknown parameters are ignored (RFC 6749 section 3.1).
    """
    to = addressed(parameters, client)
    if GRANT not in client.grants:
        raise MintwardenError(ErrorKind.UNAUTHORIZED_CLIENT, "the client may not ask for codes")
    _check_manner(parameters, client, pushed=pushed, signed=signed)
    request = TokenRequest(unverified_form=parameters, received_at=now)
    details = read_details(request, client, catalogue)
    targets = read_targets(request, client, catalogue, details)
    prompt = _prompt(one(parameters, "prompt"))
    wishes = read_claims(one(parameters, "claims"), catalogue)
    jkt = one(parameters, "dpop_jkt")
    if jkt and not _CHALLENGE.fullmatch(jkt):
        raise _invalid("`dpop_jkt` is no thumbprint", "43 characters of base64url (RFC 9449 section 10)")
    limits = read_limits(request)
    return AuthorizationRequest(
        to=to,
        challenge=one(parameters, "code_challenge"),
        scopes=targets.scopes,
        identity=targets.identity,
        details=details,
        demand=Demand(
            client_name=client.name,
            acr_values=wishes.acr_values
            or tuple(one(parameters, "acr_values").split())
            or client.protections.acr_values,
            essential=bool(wishes.acr_values),
            max_age=_max_age(one(parameters, "max_age"), client.protections.max_age),
            again="login" in prompt,
            silent="none" in prompt,
            choose="select_account" in prompt,
            login_hint=one(parameters, "login_hint"),
            domain_hint=one(parameters, "domain_hint"),
            subject=wishes.subject,
            ui_locales=locales_of(parameters),
        ),
        confines=all_confines(request, client, catalogue, targets.scopes),
        ask="consent" in prompt,
        nonce=one(parameters, "nonce"),
        id_token_claims=wishes.id_token,
        dpop_jkt=jkt,
        budget=limits.budget.amount if limits.budget is not None else None,
        max_depth=limits.max_depth,
    )


def _check_manner(parameters: Parameters, client: Client, *, pushed: bool, signed: bool) -> None:
    """Everything that is the same for every request."""
    if client.authorization.pushed and not pushed:
        raise _invalid("this client's requests must be pushed", "post it to `/par` first (RFC 9126)")
    if client.authorization.signed and not signed:
        raise _invalid("this client's requests must be signed", "send it as `request` (RFC 9101)")
    if sum(len(value) for values in parameters.values() for value in values) > LONGEST:
        raise _invalid("the request is too long", f"at most {LONGEST} characters in all")
    response_type = one(parameters, "response_type")
    if not response_type:
        raise _invalid("`response_type` is missing", "send `code`")
    if response_type != "code":
        raise MintwardenError(ErrorKind.UNSUPPORTED_RESPONSE_TYPE, "only `code` is supported")
    if one(parameters, "response_mode") not in ("", *MODES):
        raise _invalid("`response_mode` is unknown", f"one of {', '.join(MODES)}")
    if not _CHALLENGE.fullmatch(one(parameters, "code_challenge")):
        raise _invalid("`code_challenge` is missing or malformed", "RFC 7636, with S256")
    if one(parameters, "code_challenge_method") != "S256":
        raise _invalid("`code_challenge_method` is not `S256`", "`plain` protects nothing")


def _prompt(text: str) -> frozenset[str]:
    found = frozenset(text.split())
    if not found <= set(PROMPTS):
        raise _invalid("`prompt` has an unknown value", f"of {', '.join(PROMPTS)}")
    if "none" in found and len(found) > 1:
        raise _invalid("`prompt=none` stands alone", "leave the other values out")
    return found


def _max_age(text: str, default: int | None) -> int | None:
    if not text:
        return default
    if not _SECONDS.fullmatch(text):
        raise _invalid("`max_age` is not a number of seconds", "send for instance `3600`")
    return int(text)


def all_confines(
    request: TokenRequest, client: Client, catalogue: Catalogue, scopes: Mapping[str, tuple[str, ...]]
) -> Confines:
    """The circumstances, the same for every audience."""
    first, *others = tuple(scopes) or (catalogue.identity,)
    confines = read_confines(request, client, catalogue.audiences[first], catalogue)
    for name in others:
        read_confines(request, client, catalogue.audiences[name], catalogue)
    return confines


def _invalid(public: str, hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint=hint)
