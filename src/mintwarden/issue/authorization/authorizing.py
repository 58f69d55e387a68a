"""Authorization under whatever governs now: opening requests, previewing, asking and remembering, handing out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mintwarden.authn.authenticate import visited
from mintwarden.authn.id_token_hint import read_hint
from mintwarden.authn.jose import JoseError, Unverified
from mintwarden.authn.own import OwnKeys
from mintwarden.authn.registry import KnownClient
from mintwarden.authn.sessions import Sessions
from mintwarden.authn.shelf import Shelf
from mintwarden.authn.sign_in import Demand, SignIn
from mintwarden.authn.ways import WaysOf
from mintwarden.issue.authorization.complete import granted_of, hand_out, longest_token, random_text
from mintwarden.issue.authorization.consent import Consent, Consents
from mintwarden.issue.authorization.object import read_object, take_apart
from mintwarden.issue.authorization.preview import Preview, narrowed, preview, record_refused
from mintwarden.issue.authorization.pushed import PushedRequest, PushedRequests
from mintwarden.issue.authorization.request import (
    AuthorizationRequest,
    Destination,
    Parameters,
    addressed,
    one,
    read_request,
)
from mintwarden.issue.authorization.step_up import Better, better_sign_in
from mintwarden.issue.epoch import in_one_epoch
from mintwarden.issue.line import Line, Regime
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.policy.metadata import redirect_kind

_OBJECT = "request"


class Clients(Protocol):
    """The clients as they are now."""

    @property
    def epoch(self) -> int:
        """The store's epoch that they are of."""
        ...

    async def known(
        self, client_id: str, now: int, token: Unverified | None = None, asker: str = ""
    ) -> KnownClient | None:
        """None for one that is unknown or retired; raises `INVALID_CLIENT` for one that is not to be had.

        `asker` is the address that it is named from: who describes themselves is fetched within limits for each.
        """
        ...


async def client_shown(clients: Clients, client_id: str, now: int) -> Client | None:
    """Whom a page tells people about; None for one that is unknown, or not to be had now.

    INVARIANT: nobody's document that is gone takes a page away on which others stand.
    """
    try:
        known = await clients.known(client_id, now)
    except MintwardenError:
        return None
    return None if known is None else known.client


class InForce(Struct, frozen=True, kw_only=True):
    """What one bundle version makes of authorization requests."""

    catalogue: Catalogue
    regime: Regime
    clients: Clients
    sessions: Sessions
    ways_of: WaysOf


class Opened(Struct, frozen=True, kw_only=True):
    """A request whose answer has somewhere to go.

    Attributes:
        parameters: those that count: of the signed object, or as they were pushed.
        pushed: its `request_uri`, or empty.
        signed: it came as a signed object.
        instance: the attested key of the instance of the client that pushed it, or empty.
    """

    client: Client
    registered: bool
    to: Destination
    parameters: Parameters
    pushed: str = ""
    signed: bool = False
    instance: str = ""


class Asks(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an interaction is for, as it is remembered.

    Attributes:
        instance: as in `Opened`.
        led: entity key of who was led to sign in as the rules demand, which happens once; empty for nobody.
    """

    parameters: Mapping[str, tuple[str, ...]]
    pushed: str = ""
    signed: bool = False
    instance: str = ""
    led: str = ""


class ToldToClient(Exception):
    """What is wrong with a request, for the client to hear at `to`. `registered`: it is none of the bundle's."""

    def __init__(self, error: MintwardenError, to: Destination, *, registered: bool) -> None:
        super().__init__(error.public)
        self.registered = registered
        self.error = error
        self.to = to


class Authorizing:
    """See the module.

    Args:
        now_in_force: what governs, as the store says now.
        used: handles of requests that were answered.
        keys: our own, for hints.
    """

    def __init__(
        self,
        *,
        issuer: str,
        line: Line,
        now_in_force: Callable[[], Awaitable[InForce]],
        pushed: PushedRequests,
        consents: Consents,
        used: Shelf[str],
        keys: OwnKeys,
    ) -> None:
        self.issuer = issuer
        self.pushed = pushed
        self.consents = consents
        self._line = line
        self._now_in_force = now_in_force
        self._used = used
        self._keys = keys

    # -- the request --------------------------------------------------------------------------------------

    async def open(self, parameters: Parameters, now: int, asker: str = "") -> Opened:
        """A request as it came to the endpoint, from the address `asker`.

        Raises `ToldToClient`, and `MintwardenError` for what nobody but the person at the browser may be told.
        """
        force = await self._now_in_force()
        known = await _client(force, one(parameters, "client_id"), now, asker=asker)
        name = one(parameters, "request_uri")
        if name and _OBJECT in parameters:
            raise _invalid("`request` and `request_uri` exclude each other")
        if name:
            found = await self.pushed.find(name, known.client.id, now)
            return self._opened(known, found.parameters, pushed=name, signed=found.signed, instance=found.instance)
        if _OBJECT in parameters:
            try:
                inner = await self.unwrapped(parameters, force, known.client.id, now, asker)
            except MintwardenError as error:
                if error.kind is not ErrorKind.INVALID_REQUEST_OBJECT:
                    raise
                # What stands beside the object counts for nothing, but for where to complain (RFC 9101 section 6.3).
                beside = {name: parameters[name] for name in ("redirect_uri",) if name in parameters}
                outside = addressed(beside, known.client)
                raise ToldToClient(error, outside, registered=known.registered) from None
            return self._opened(known, inner, signed=True)
        return self._opened(known, parameters)

    async def unwrapped(
        self, parameters: Parameters, force: InForce, client_id: str, now: int, asker: str = ""
    ) -> Parameters:
        """The parameters in the signed object; raises `INVALID_REQUEST_OBJECT`."""
        token = take_apart(one(parameters, _OBJECT))
        known = await _client(force, client_id, now, token, asker)
        return read_object(
            token,
            client_id=client_id,
            keys=known.keys,
            algorithms=known.object_algorithms,
            issuer=self.issuer,
            now=now,
            starts=known.client.rules.object_starts,
        )

    async def push(
        self,
        parameters: Parameters,
        client_id: str,
        now: int,
        *,
        jkt: str = "",
        instance: str = "",
        asker: str = "",
    ) -> str:
        """Check and keep a pushed request; its `request_uri`.

        What comes of it is bound to `jkt`, the key of the DPoP proof that came with it (RFC 9449 section 10.1), and to
        `instance`, the attested key of the instance of the client that pushed it.
        """
        force = await self._now_in_force()
        known = await _client(force, client_id, now, asker=asker)
        if "request_uri" in parameters:
            raise _invalid("`request_uri` cannot be pushed")
        signed = _OBJECT in parameters
        if signed:
            parameters = await self.unwrapped(parameters, force, client_id, now, asker)
        if one(parameters, "client_id") not in ("", client_id):
            raise _invalid("`client_id` is another client's")
        stated = one(parameters, "dpop_jkt")
        if jkt and stated and stated != jkt:
            raise MintwardenError(ErrorKind.INVALID_DPOP_PROOF, "`dpop_jkt` is not the key that was proven")
        kept = {**parameters, "client_id": (client_id,)} | ({"dpop_jkt": (jkt,)} if jkt else {})
        opened = self._opened(known, kept, pushed="pushed", signed=signed)
        await self.read(opened, now)
        what = PushedRequest(client_id=client_id, parameters=kept, signed=signed, instance=instance)
        return await self.pushed.push(what, now)

    async def reopen(self, asks: Asks, now: int, asker: str = "") -> Opened:
        """A request that somebody signed in for."""
        force = await self._now_in_force()
        known = await _client(force, one(asks.parameters, "client_id"), now, asker=asker)
        return self._opened(known, asks.parameters, pushed=asks.pushed, signed=asks.signed, instance=asks.instance)

    async def read(self, opened: Opened, now: int) -> AuthorizationRequest:
        """What it asks for, well formed; raises what the client is told."""
        force = await self._now_in_force()
        request = read_request(
            opened.parameters,
            opened.client,
            force.catalogue,
            pushed=bool(opened.pushed),
            signed=opened.signed,
            now=now,
        )
        hint = one(opened.parameters, "id_token_hint")
        if not hint:
            return request
        try:
            said = read_hint(hint, issuer=self.issuer, keys=self._keys, now=now)
        except JoseError as error:
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST, "`id_token_hint` is no ID token of ours", hint=str(error)
            ) from None
        if said.client_id != opened.client.id:
            raise _invalid("`id_token_hint` is another client's")
        person = EntityUid("User", said.subject)
        if request.demand.subject not in (None, person):
            raise _invalid("`id_token_hint` and `claims` name different people")
        return replace(request, demand=replace(request.demand, subject=person))

    def _opened(
        self,
        known: KnownClient,
        parameters: Parameters,
        *,
        pushed: str = "",
        signed: bool = False,
        instance: str = "",
    ) -> Opened:
        return Opened(
            client=known.client,
            registered=known.registered,
            to=addressed(parameters, known.client),
            parameters=parameters,
            pushed=pushed,
            signed=signed,
            instance=instance,
        )

    # -- the person ---------------------------------------------------------------------------------------

    async def present(self, cookies: Mapping[str, str], now: int) -> SignIn | None:
        """Who is signed in in this browser."""
        return await (await self._now_in_force()).sessions.current(cookies, now)

    async def preview(
        self, opened: Opened, request: AuthorizationRequest, sign_in: SignIn, address: str, now: int
    ) -> Preview:
        """What the policy would grant now."""

        async def previewed() -> Preview:
            force = await self._now_in_force()
            known = await _client(force, opened.client.id, now)
            caller = visited(known.client, sign_in, registered=known.registered, epoch=force.clients.epoch, at=now)
            return await preview(
                request,
                known.client,
                caller,
                sign_in,
                address=address,
                regime=force.regime,
                line=self._line,
                now=now,
            )

        return await in_one_epoch(previewed, self._line.refresh)

    async def better(self, request: AuthorizationRequest, sign_in: SignIn, before: Preview, now: int) -> Better | None:
        """The sign-in that would give the person more, if there is one that they can make."""
        return await better_for(await self._now_in_force(), request.demand, sign_in, before, now)

    async def may_be_led(self, sign_in: SignIn, better: Better, now: int) -> bool:
        """Whether somebody who has something already is led to `better`; once, and not soon again."""
        sessions = (await self._now_in_force()).sessions
        return await sessions.may_be_led(sign_in.session, better.lacking, now)

    async def record_refusal(self, before: Preview) -> str:
        """Write down that nothing of a request is granted; the decision to ask about."""
        return await record_refused(before, (await self._now_in_force()).regime, self._line)

    async def is_allowed(self, opened: Opened, request: AuthorizationRequest, sign_in: SignIn, before: Preview) -> bool:
        """Need the person not be asked: the bundle speaks for them, or they allowed all of this before."""
        if request.ask:
            return False
        if opened.client.authorization.consent == "implicit":
            return True
        if before.details or not _is_told_apart(opened):
            return False  # a detail is about this one time
        now = self._line.clock.now()
        return await self.consents.covers(
            sign_in.subject, opened.client.id, _names(before.scopes, before.identity), confines_of(request), now
        )

    # -- the end ------------------------------------------------------------------------------------------

    async def allow(
        self, opened: Opened, request: AuthorizationRequest, sign_in: SignIn, before: Preview, chosen: frozenset[str]
    ) -> tuple[Preview, str]:
        """The person allowed `chosen`: what is left of the preview, and the id of the grant to come."""
        left = narrowed(before, chosen)
        # A limit is for this one grant: remembered, it would be lifted, or had anew, without anybody being asked.
        remember = 0 if is_limited(request) else opened.client.authorization.remember
        now, grant_id = self._line.clock.now(), random_text(self._line.entropy, 18)
        consent = Consent(
            client_id=opened.client.id,
            scopes=_names(left.scopes, left.identity),
            confines=confines_of(request),
            grants=(grant_id,),
            given_at=now,
            ends=now + remember * 1000,
        )
        if left.granted:
            detail = {"grant": grant_id, "scopes": {**left.scopes, **({"": left.identity} if left.identity else {})}}
            private: dict[str, object] = {}
            if left.details:
                detail["details"] = [one.type for one in left.details.values()]
                private["details"] = [one.said for one in left.details.values()]
            shown = _names(before.scopes, before.identity)
            await self.consents.give(sign_in.subject, consent, shown, msgspec.to_builtins(detail), private)
        return left, grant_id

    async def refuse(self, opened: Opened, sign_in: SignIn, before: Preview) -> None:
        """The person did not allow it."""
        await self.consents.refuse(sign_in.subject, opened.client.id, _names(before.scopes, before.identity))
        await self.pushed.forget(opened.pushed)

    async def complete(
        self,
        opened: Opened,
        request: AuthorizationRequest,
        sign_in: SignIn,
        allowed: Preview,
        *,
        grant_id: str = "",
        interaction: str = "",
    ) -> str:
        """The code. INVARIANT: behind it is nothing that the policy did not grant in `allowed`."""
        now, line = self._line.clock.now(), self._line
        force = await self._now_in_force()
        sessions = force.sessions
        held = await sessions.named(sign_in.session, now)
        if held is None:
            raise MintwardenError(ErrorKind.LOGIN_REQUIRED, "the session has ended")
        await sessions.remember_client(sign_in.session, opened.client.id)
        granted = granted_of(
            request,
            opened.client,
            sign_in,
            grant_id=grant_id or random_text(line.entropy, 18),
            scopes=allowed.scopes,
            identity=allowed.identity,
            details=tuple(allowed.details.values()),
            session_ends=held.value.ends_at,
            now=now,
        )
        code = await hand_out(
            request,
            opened.client,
            granted,
            instance=opened.instance,
            memory=line.memory,
            used=self._used,
            uses=tuple(name for name in (opened.pushed, interaction) if name),
            entropy=line.entropy,
            longest=longest_token(force.catalogue, granted),
            now=now,
        )
        await self.pushed.forget(opened.pushed)
        return code


async def better_for(force: InForce, demand: Demand, sign_in: SignIn, before: Preview, now: int) -> Better | None:
    """The sign-in that would give the person more of what is asked for, if there is one that they can make."""
    lacking = before.lacking_sign_in
    return better_sign_in(lacking, demand, await force.ways_of(sign_in.subject, now)) if lacking else None


def is_limited(request: AuthorizationRequest) -> bool:
    """Is there a bound to how much may be done with it, or to how far it may be handed on."""
    return request.budget is not None or request.max_depth is not None


def confines_of(request: AuthorizationRequest) -> tuple[str, ...]:
    """Where something is allowed, as consents remember it."""
    confines = request.confines
    return (confines.purpose, confines.environment, confines.tenant, confines.workspace, confines.project)


def _is_told_apart(opened: Opened) -> bool:
    """Can another program not pass for the client: it proves who it is, or the answer goes to a host of its own.

    A program on the person's own device may take any loopback port and any scheme. What the person allowed the one is
    not there for the other (RFC 8252 section 8.6): they are asked each time.
    """
    return opened.client.methods != ("none",) or redirect_kind(opened.to.redirect_uri) == "https"


def _names(scopes: Mapping[str, tuple[str, ...]], identity: tuple[str, ...]) -> tuple[str, ...]:
    return (*(name for granted in scopes.values() for name in granted), *identity)


async def _client(
    force: InForce, client_id: str, now: int, token: Unverified | None = None, asker: str = ""
) -> KnownClient:
    """The client; raises `INVALID_REQUEST` for every one that is not to be had."""
    if not client_id:
        raise _invalid("`client_id` is missing")
    try:
        known = await force.clients.known(client_id, now, token, asker)
    except MintwardenError as error:
        if error.kind is not ErrorKind.INVALID_CLIENT:
            raise
        raise _invalid("the client is unknown", error.hint) from None
    if known is None:
        raise _invalid("the client is unknown", "no client of this id is written down or registered")
    return known


def _invalid(public: str, hint: str = "see `docs/authorize.md`") -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint=hint)
