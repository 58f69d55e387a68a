"""Sign-in at a provider: the way there, and back (authorization code with PKCE, state, nonce; RFC 9700)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote_plus, urlencode

from msgspec import Struct

from mintwarden.authn.jose import JoseError, decode_json
from mintwarden.authn.shelf import Shelf
from mintwarden.authn.sign_in import Demand, SignIn
from mintwarden.authn.upstream.id_token import Expected, verify_id_token
from mintwarden.authn.upstream.provider import ReadyProvider
from mintwarden.model.errors import ErrorKind, MintwardenError

ATTEMPT: Final = "sign_in_attempt"
"""The kind of its shelf."""
LIFE: Final = 15 * 60_000
"""Milliseconds that a person may take at the provider."""

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS = 60
_CODE_LIMIT = 4096
_PLAIN_CODE = frozenset("abcdefghijklmnopqrstuvwxyz_")

Query = Mapping[str, tuple[str, ...]]


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sign-in that is under way at a provider.

    Attributes:
        interaction: the handle of what it is for; the browser that began that has its cookie.
        provider, issuer: where it was sent.
        nonce, verifier: of the request; nothing that the answer brings is kept.
        max_age: as sent.
        since: sign in anew from then on; 0 for not.
    """

    interaction: str
    provider: str
    issuer: str
    nonce: str
    verifier: str
    redirect_uri: str
    max_age: int | None = None
    since: int = 0


class Broker:
    """Sends people to providers and takes them back.

    Args:
        base: our own issuer without a terminating slash, which the callback's address begins with.
        providers: by id.
        attempts: the shelf of `ATTEMPT`s.
        entropy: random bytes.
    """

    def __init__(
        self,
        *,
        base: str,
        providers: Mapping[str, ReadyProvider],
        attempts: Shelf[Attempt],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._base = base
        self._providers = providers
        self._attempts = attempts
        self._entropy = entropy

    def provider(self, name: str) -> ReadyProvider:
        """The provider of that id; raises `NOT_FOUND`."""
        found = self._providers.get(name)
        if found is None:
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is no such provider")
        return found

    async def begin(self, name: str, interaction: str, demand: Demand, now: int) -> str:
        """The address at the provider that the browser goes to."""
        provider = self.provider(name)
        addresses = await provider.reach.addresses(now)
        state, verifier = _text(self._entropy(32)), _text(self._entropy(32))
        max_age = _max_age(provider, demand)
        attempt = Attempt(
            interaction=interaction,
            provider=name,
            issuer=provider.data.issuer,
            nonce=_text(self._entropy(32)),
            verifier=verifier,
            redirect_uri=f"{self._base}/signin/callback/{name}",
            max_age=max_age,
            since=now if demand.again else 0,
        )
        if not await self._attempts.add(state, attempt, ends=now + LIFE):
            raise MintwardenError(ErrorKind.INTERNAL, "a state was there already")
        query = {
            "response_type": "code",
            "client_id": provider.data.client_id,
            "redirect_uri": attempt.redirect_uri,
            "scope": " ".join(provider.data.scopes),
            "state": state,
            "nonce": attempt.nonce,
            "code_challenge": _text(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
            **_passed_on(provider, demand, max_age),
        }
        joint = "&" if "?" in addresses.authorization else "?"
        return f"{addresses.authorization}{joint}{urlencode(query)}"

    async def returned(self, name: str, unverified_query: Query, now: int) -> Attempt:
        """The attempt that a browser comes back from, which no other comes back from any more.

        Raises `INVALID_REQUEST` unless the answer is one to a request of ours and from the provider that was asked
        (RFC 9207 section 2.4). Whose browser it is, the caller looks at.
        """
        provider = self.provider(name)
        state = _one(unverified_query, "state")
        attempt = await self._attempts.take(state, now) if state else None
        if attempt is None:
            raise _refused("the sign-in has ended, or was not begun here", "begin again where you began")
        # INVARIANT (mix-up): an answer counts only from the provider that was asked, at the address for that one.
        if attempt.provider != name or attempt.issuer != provider.data.issuer:
            raise _refused("the answer came from another provider than was asked")
        stated = _one(unverified_query, "iss")
        if stated != attempt.issuer and (stated or (await provider.reach.addresses(now)).names_itself):
            raise _refused("the answer does not name the provider that was asked", f"`iss` of `{name}`")
        return attempt

    async def finish(self, attempt: Attempt, unverified_query: Query, now: int) -> SignIn:
        """The sign-in that came of an attempt.

        Raises `INVALID_REQUEST` where the provider refused or proved nothing, `SOURCE` and `UNAVAILABLE` where it does
        not answer, `CONFIG` where it does not know us.
        """
        provider = self.provider(attempt.provider)
        error, code = _one(unverified_query, "error"), _one(unverified_query, "code")
        if error:
            # Its description is anybody's text: a page of ours does not show it.
            shown = error if len(error) <= 60 and _PLAIN_CODE.issuperset(error) else "error"
            raise _refused(f"`{attempt.provider}` did not sign you in: `{shown}`", "begin again where you began")
        if not code or len(code) > _CODE_LIMIT:
            raise _refused("the answer holds no code")
        id_token, access_token = await self._redeem(provider, attempt, code, now)
        expected = Expected(
            nonce=attempt.nonce, access_token=access_token, max_age=attempt.max_age, since=attempt.since
        )
        try:
            return await verify_id_token(provider, id_token, expected, now)
        except JoseError as error:
            raise _refused(f"`{attempt.provider}` proved nothing: {error}") from None

    async def _redeem(self, provider: ReadyProvider, attempt: Attempt, code: str, now: int) -> tuple[str, str]:
        """The ID token and the access token for the code."""
        addresses = await provider.reach.addresses(now)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        added, authorization = await self._proof(provider, now)
        answer = await provider.reach.fetcher.post(addresses.token, form | added, authorization=authorization)
        try:
            content = decode_json(answer.body)
        except JoseError:
            content = {}
        if answer.status != 200:
            raise _token_error(attempt.provider, answer.status, content.get("error"))
        id_token, access_token = content.get("id_token"), content.get("access_token")
        kind = content.get("token_type")
        if not isinstance(id_token, str) or not isinstance(access_token, str) or not isinstance(kind, str):
            raise _refused(f"`{attempt.provider}` proved nothing: its answer is incomplete")
        return id_token, access_token

    async def _proof(self, provider: ReadyProvider, now: int) -> tuple[dict[str, str], str]:
        """What is added to a form to prove who we are, and the `Authorization` header."""
        data = provider.data
        if data.authentication == "client_secret_basic":
            pair = f"{quote_plus(data.client_id)}:{quote_plus(provider.secret)}"  # RFC 6749 section 2.3.1
            return {}, "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        if data.authentication == "client_secret_post":
            return {"client_id": data.client_id, "client_secret": provider.secret}, ""
        if data.authentication == "private_key_jwt":
            at = now // 1000
            claims = {
                "iss": data.client_id,
                "sub": data.client_id,
                "aud": data.issuer,
                "jti": _text(self._entropy(16)),
                "iat": at,
                "exp": at + _ASSERTION_SECONDS,
            }
            assertion = await provider.sign(claims)
            return {
                "client_id": data.client_id,
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": assertion,
            }, ""
        return {"client_id": data.client_id}, ""


def chosen(providers: Mapping[str, ReadyProvider], demand: Demand, *, passkeys: bool) -> str:
    """The provider that nobody has to choose: by hint, by domain, or because there is no other way; else empty."""
    if demand.domain_hint in providers:
        return demand.domain_hint
    domain = (demand.domain_hint or demand.login_hint.rpartition("@")[2]).lower()
    for name, provider in providers.items():
        if domain and domain in provider.data.domains:
            return name
    return next(iter(providers)) if len(providers) == 1 and not passkeys else ""


def _max_age(provider: ReadyProvider, demand: Demand) -> int | None:
    if demand.again:
        return 0
    wanted = [age for age in (demand.max_age, provider.data.max_age or None) if age is not None]
    return min(wanted) if wanted else None


def _passed_on(provider: ReadyProvider, demand: Demand, max_age: int | None) -> dict[str, str]:
    """What the flow demands, in the provider's terms."""
    prompt = [name for name, wanted in (("login", demand.again), ("select_account", demand.choose)) if wanted]
    levels = [theirs for ours in demand.acr_values for theirs, mapped in provider.data.acr.items() if mapped == ours]
    passed = {
        "max_age": "" if max_age is None else str(max_age),
        "prompt": " ".join(prompt),
        "acr_values": " ".join(level for level in levels if " " not in level),
        "login_hint": demand.login_hint,
        "ui_locales": " ".join(demand.ui_locales),
    }
    return {name: value for name, value in passed.items() if value}


def _token_error(name: str, status: int, code: object) -> MintwardenError:
    if code in ("invalid_client", "unauthorized_client", "unsupported_grant_type"):
        return MintwardenError(
            ErrorKind.CONFIG, f"the provider `{name}` does not take us for its client", hint=f"`{code}`"
        )
    if 400 <= status < 500:
        return _refused(f"`{name}` did not take its code back", "begin again where you began")
    return MintwardenError(ErrorKind.SOURCE, f"the provider `{name}` answered {status}")


def _one(query: Query, name: str) -> str:
    return query.get(name, ("",))[0]


def _refused(public: str, hint: str = "") -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint=hint)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
