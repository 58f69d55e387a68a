"""Step 2: who is asking, and how that was proven. INVARIANT: the only place that builds a `Caller`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal, Protocol

from msgspec.structs import replace

from mintwarden.authn.certificates import Authorities, CertificateError, read_certificate, thumbprint
from mintwarden.authn.grants import JWT_BEARER
from mintwarden.authn.jose import JoseError, Unverified
from mintwarden.authn.methods import BY_CERTIFICATE, METHODS, Method, NotAttestedError, NotProvenError, Proven, Tools
from mintwarden.authn.methods.claimed import unverified_client
from mintwarden.authn.methods.method import shows
from mintwarden.authn.ports import CredentialReader
from mintwarden.authn.proofs.dpop import DpopProofs
from mintwarden.authn.proofs.nonce import Nonces
from mintwarden.authn.registry import ClientFinder, KnownClient, Registry
from mintwarden.authn.replay import ReplayGuard
from mintwarden.authn.secrets import SecretVerifier
from mintwarden.authn.sign_in import SignIn
from mintwarden.authn.spiffe import SpiffeDomains
from mintwarden.model.caller import Binding, Caller, Evidence, OnceKey
from mintwarden.model.catalogue import Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid

TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a URN

Role = Literal["subject", "actor"]


def signed_in(caller: Caller, sign_in: SignIn, at: int) -> Caller:
    """The caller, bringing what a person proved when they signed in: facts of sources of kind `token` come of it.

    They are as old as that is; where nobody said when it was, they are of `at` (`Millis`), when they were kept.
    """
    evidence = Evidence(
        principal=sign_in.subject,
        issuer=sign_in.provider,
        own=False,
        issued_at=sign_in.authenticated_at or at,
        authenticated_at=sign_in.authenticated_at or None,
        acr=sign_in.acr,
        amr=sign_in.amr,
        session=sign_in.session,
        device=sign_in.device,
        facts=sign_in.facts,
    )
    return replace(caller, subject=evidence)


def visited(
    client: Client,
    sign_in: SignIn,
    *,
    registered: bool,
    epoch: int,
    at: int,
    method: str = "",
    instance: str = "",
) -> Caller:
    """Whom a person came for, who signed in here: the client has proven nothing, and is asked for nothing yet.

    `epoch` is the store's that the client was found under, `at` is now. `method` and `instance`: how the client, and
    which instance of it, proved itself when it had the person asked.
    """
    caller = Caller(
        client_id=client.id,
        method=method,
        instance=instance,
        epoch=epoch,
        registered=client if registered else None,
    )
    return signed_in(caller, sign_in, at)


class EvidenceVerifier(Protocol):
    """Verifies a subject or actor token."""

    async def verify(self, unverified: str, token_type: str, role: Role, now: int) -> Evidence:
        """What the token proves; raises `JoseError` for every token that is not accepted in that role."""
        ...

    async def hinted(self, unverified: str, now: int) -> EntityUid:
        """Whom a hint of a trusted issuer names; raises `JoseError`, `Ended` where it is past its end."""
        ...


class AssertionVerifier(Protocol):
    """Verifies JWTs as authorization grants."""

    async def verify(self, unverified: str, client_id: str, now: int) -> tuple[Evidence, OnceKey]:
        """What the assertion proves, and its claim; raises `JoseError` for every one that is not accepted."""
        ...


class Authenticator:
    """Authenticates the client, and for a token exchange the subject and actor tokens.

    One failure looks like another: whatever is wrong with the client or its proof, the answer is `INVALID_CLIENT`
    with the same text. The hint, for operators, says more.

    `activation` is the number of the bundle activation that `clients` belong to; see `Registry`. Without `dpop`, proofs
    of possession are refused; `elsewhere` has those for endpoints that `TokenRequest.endpoint` names. Without
    `described`, no client describes itself; without `authorities`, no certificate of a CA proves anything; without
    `challenges`, proofs of attested keys answer none.
    """

    def __init__(
        self,
        *,
        issuer: str,
        clients: Mapping[str, Client],
        credentials: CredentialReader,
        secrets: SecretVerifier,
        evidence: EvidenceVerifier,
        replay: ReplayGuard | None = None,
        activation: int | None = None,
        admit: Callable[[Client], Client | None] = lambda _client: None,
        dpop: DpopProofs | None = None,
        elsewhere: Mapping[str, DpopProofs] = MappingProxyType({}),
        challenges: Nonces | None = None,
        grants: AssertionVerifier | None = None,
        described: ClientFinder | None = None,
        authorities: Authorities | None = None,
        domains: SpiffeDomains | None = None,
    ) -> None:
        self._registry = Registry(
            clients=clients, credentials=credentials, activation=activation, admit=admit, described=described
        )
        self._replay = replay or ReplayGuard()
        tools = Tools(
            issuer=issuer,
            registry=self._registry,
            secrets=secrets,
            replay=self._replay,
            authorities=authorities or Authorities(()),
            domains=domains,
            challenges=challenges,
            nonces=dpop is not None and dpop.fresh,
        )
        methods = [make(tools) for make in METHODS]
        self._methods: Mapping[bool, tuple[Method, ...]] = {
            shown: tuple(method for method in methods if method.shown is shown) for shown in (True, False)
        }
        self._evidence = evidence
        self._dpop: Mapping[str, DpopProofs] = {**elsewhere, **({} if dpop is None else {"": dpop})}
        self._grants = grants

    @property
    def epoch(self) -> int:
        """The store's epoch that the present secrets were read under; see `Caller.epoch`."""
        return self._registry.epoch

    def client(self, client_id: str) -> tuple[Client, bool] | None:
        """The client of that id, and whether it is none of the bundle's; None for an unknown or a retired one."""
        known = self._registry.client(client_id)
        return None if known is None else (known.client, known.registered)

    async def refresh(self) -> int:
        """Read the client secrets again and return their epoch. Call it once before the first request."""
        return await self._registry.refresh()

    def remember(self, caller: Caller) -> None:
        """Take note that the caller's one-time proofs are durably claimed. An aid; leaving it out is safe."""
        for key in caller.once:
            self._replay.remember(key)

    async def find(self, client_id: str, now: int) -> Client | None:
        """The client of that id, which has proven nothing: the bundle's, a registered one, one that describes itself.

        Raises `MintwardenError`: `INVALID_CLIENT` for one that describes itself and is not to be had, `OVERLOADED`.
        """
        known = await self._registry.find(client_id, now)
        return known.client if known is not None else None

    @property
    def origins(self) -> frozenset[str]:
        """See `Registry.origins`."""
        return self._registry.origins

    async def known(
        self, client_id: str, now: int, token: Unverified | None = None, asker: str = ""
    ) -> KnownClient | None:
        """`find` with what is known of the client beside, for `token` signed by it; `asker` named it from there."""
        return await self._registry.find(client_id, now, token, asker)

    async def hinted(self, unverified: str, now: int) -> EntityUid:
        """See `EvidenceVerifier.hinted`."""
        return await self._evidence.hinted(unverified, now)

    async def authenticate(self, request: TokenRequest, now: int) -> Caller:
        """The caller; nothing of the request is believed that was not proven.

        Raises `MintwardenError`: `INVALID_CLIENT` (RFC 6749 section 5.2), `INVALID_REQUEST` for two methods in one
        request and for subject and actor tokens that are not accepted (RFC 8693 section 2.2.2), `OVERLOADED`,
        `INVALID_DPOP_PROOF` and `USE_DPOP_NONCE` (RFC 9449 section 5), and those of attested instances:
        `INVALID_CLIENT_ATTESTATION`, `USE_ATTESTATION_CHALLENGE`, `USE_FRESH_ATTESTATION`.
        """
        epoch = self._registry.epoch
        method = self._method(request)
        proven = await self._prove(method, request, now)
        client = proven.client.client
        binding, once = self._bound(request, proven.once, client.rules.signatures, now)
        if proven.by_dpop and (binding is None or binding.thumbprint != proven.instance):
            raise _unattested("the DPoP proof is not made with the attested key")
        subject = actor = None
        if request.one("grant_type") == TOKEN_EXCHANGE and "token_exchange" in client.grants:
            subject = await self._token(request, "subject", now)
            actor = await self._token(request, "actor", now)
        elif request.one("assertion") is not None and request.one("grant_type") == JWT_BEARER:
            subject, claim = await self._assertion(request, client, now)
            once = (*once, claim)
        certificate = _certificate(request) if request.unverified_certificate else None
        if binding is None and certificate is not None:
            goes_on = any(token is not None and token.binding == certificate for token in (subject, actor))
            # A public client has nothing else that keeps its tokens from others (RFC 8705 section 4).
            bound = client.certificate_bound or client.rules.bound
            if method.name in (*BY_CERTIFICATE, "none") or bound or goes_on:
                binding = certificate
        return Caller(
            client_id=client.id,
            method=method.name,
            subject=subject,
            actor=actor,
            binding=binding,
            certificate=certificate,
            instance=proven.instance,
            once=once,
            epoch=epoch,
            registered=client if proven.client.registered else None,
        )

    def _bound(
        self, request: TokenRequest, once: tuple[OnceKey, ...], algorithms: tuple[str, ...], now: int
    ) -> tuple[Binding | None, tuple[OnceKey, ...]]:
        """The key that the request proves to hold, and every proof that it brings, to be claimed together."""
        if not request.unverified_dpop:
            return None, once
        proofs = self._dpop.get(request.endpoint)
        if proofs is None:
            raise MintwardenError(ErrorKind.INVALID_DPOP_PROOF, "proofs of possession are not taken here")
        binding, claim = proofs.verify(request.unverified_dpop, "POST", now, algorithms=algorithms)
        return binding, (*once, claim)

    def _method(self, request: TokenRequest) -> Method:
        offered = [method for method in self._methods[shows(request)] if method.offered(request)]
        if len(offered) != 1:
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST,
                "the request authenticates the client in more than one way",
                hint="use one method (RFC 6749 section 2.3)",
            )
        return offered[0]

    async def _prove(self, method: Method, request: TokenRequest, now: int) -> Proven:
        try:
            proven = await method.prove(request, now)
            if method.name not in proven.client.methods:
                raise NotProvenError(f"the client does not list `{method.name}`")
            if not proven.client.may_call_from(request.address):
                raise NotProvenError("the client may not call from this address")
        except NotAttestedError as error:
            raise _unattested(str(error)) from None
        except NotProvenError as error:
            said = unverified_client(request)
            known = self._registry.client(said) is not None
            raise _unproven(request, f"{error} (of `{said}`, it says)" if known else str(error)) from None
        return proven

    async def _assertion(self, request: TokenRequest, client: Client, now: int) -> tuple[Evidence, OnceKey]:
        if self._grants is None or "jwt_bearer" not in client.grants:
            raise MintwardenError(ErrorKind.UNAUTHORIZED_CLIENT, "the client may not use this grant type")
        try:
            subject, once = await self._grants.verify(request.one("assertion") or "", client.id, now)
            if self._replay.seen(once, now):
                raise JoseError("its `jti` was used before")
        except JoseError as error:
            raise MintwardenError(ErrorKind.INVALID_GRANT, "the assertion is not accepted", hint=str(error)) from None
        return subject, once

    async def _token(self, request: TokenRequest, role: Role, now: int) -> Evidence | None:
        name = f"{role}_token"
        unverified, kind = request.one(name), request.one(f"{name}_type")
        if unverified is None and kind is None and role == "actor":
            return None
        for missing, value in ((name, unverified), (f"{name}_type", kind)):
            if not value:
                raise MintwardenError(ErrorKind.INVALID_REQUEST, f"`{missing}` is missing")
        try:
            return await self._evidence.verify(unverified or "", kind or "", role, now)
        except JoseError as error:
            raise MintwardenError(ErrorKind.INVALID_REQUEST, f"the `{name}` is not accepted", hint=str(error)) from None


def _unproven(request: TokenRequest, hint: str) -> MintwardenError:
    return MintwardenError(
        ErrorKind.INVALID_CLIENT,
        "client authentication failed",
        hint=hint,
        authenticate=request.unverified_authorization is not None,
    )


def _unattested(hint: str) -> MintwardenError:
    """Whatever is wrong with an attestation or its proof (section 7.4 of its draft)."""
    return MintwardenError(ErrorKind.INVALID_CLIENT_ATTESTATION, "the client attestation is not accepted", hint=hint)


def _certificate(request: TokenRequest) -> Binding:
    """The certificate of the request's connection, to bind a token to. Whose it is and who issued it is no matter."""
    try:
        read_certificate(request.unverified_certificate)
    except CertificateError as error:
        raise MintwardenError(ErrorKind.INVALID_REQUEST, str(error)) from None
    return Binding(kind="mtls", thumbprint=thumbprint(request.unverified_certificate))
