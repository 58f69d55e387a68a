"""What is asked for when an exception is: the request as bytes, what is wrong with one, and whose approval counts."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from mintwarden.model.catalogue import Tier
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.exception import ExceptionGrant
from mintwarden.model.ids import decision_bytes, entity_key
from mintwarden.model.values import EntityUid
from mintwarden.policy.approve import own, sshsig
from mintwarden.policy.approve.keys import PublicKey, read_key
from mintwarden.policy.approve.refusal import SignatureRefused
from mintwarden.policy.approve.wire import MOST, malformed
from mintwarden.policy.cedar.render import spell_datetime
from mintwarden.policy.durations import written
from mintwarden.policy.obligations import DEMANDS
from mintwarden.policy.plan import EXTERNAL_PRINCIPALS

if TYPE_CHECKING:
    from mintwarden.policy.bundle.model import Approver, Bundle

VERSION = 1
TITLE = "mintwarden exception statement v1"
AHEAD = 60_000
"""Milliseconds that the clock of whoever approves may run ahead of ours."""
_ENCODER = msgspec.json.Encoder(order="sorted")
_LONGEST = {"reason": 2_000, "ticket": 200, "control": 2_000}


class ExceptionRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Everything that is approved, and that nobody can change afterwards.

    Attributes:
        id: a UUIDv7 as text.
        issuer, bundle: whose exception it is, by the bundle's own words.
        principal, action, scope, audience, tier, client, environment, waives: as in `ExceptionGrant`.
        starts_at, expires_at: `Millis`; the end is exclusive.
        reason, ticket, control: why, under which ticket, and what contains the risk meanwhile.
        requester: who asks.
        requested_at: `Millis`.
        against: the bundle's assertions that hold without it and might not with it.
        renews: the exception that it continues, or empty.
        used: tokens that were minted under what it renews, all the way back.
    """

    v: int
    id: str
    issuer: str
    bundle: str
    principal: EntityUid
    action: Literal["issue", "act"]
    scope: str
    audience: str
    tier: str
    starts_at: int
    expires_at: int
    reason: str
    ticket: str
    control: str
    requester: EntityUid
    requested_at: int
    client: str = ""
    environment: str = ""
    waives: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    renews: str = ""
    used: int = 0

    @property
    def document(self) -> bytes:
        """The request in its one form."""
        return _ENCODER.encode(self)

    @property
    def digest(self) -> str:
        """The digest of `document`, as approvers sign it."""
        return f"sha256:{hashlib.sha256(self.document).hexdigest()}"

    def grant(self, approvals: int) -> ExceptionGrant:
        """What a decision sees of it."""
        return ExceptionGrant(
            id=self.id,
            principal=self.principal,
            action=self.action,
            scope=self.scope,
            audience=self.audience,
            tier=self.tier,
            starts_at=self.starts_at,
            expires_at=self.expires_at,
            approvals=approvals,
            client=self.client,
            environment=self.environment,
            waives=self.waives,
        )


_DECODER = msgspec.json.Decoder(ExceptionRequest)


def read_request(document: bytes) -> ExceptionRequest:
    """The request of a document. Raises `STORE` for bytes that are not what `document` writes."""
    try:
        found = _DECODER.decode(document)
        if found.v == VERSION and found.document == document:
            return found
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    raise MintwardenError(ErrorKind.STORE, "an exception is not stored as it was requested", hint="audit the ledger")


def quorum(bundle: Bundle, request: ExceptionRequest) -> int:
    """How many people must approve it. What might break an assertion: as many as a change of the policy, or two."""
    tier = bundle.catalogue.tiers.get(request.tier)
    needed = max(1, tier.exception_approvals) if tier is not None else 1
    return max(needed, 2, bundle.approvals.required) if request.against else needed


# -- what is wrong with a request ---------------------------------------------------------------------------------


def check_request(bundle: Bundle, request: ExceptionRequest, now: int) -> None:
    """Raise `INVALID_REQUEST` for what the bundle in force does not allow, and for what nobody could use."""
    catalogue = bundle.catalogue
    _check_texts(request)
    if (request.issuer, request.bundle) != (catalogue.issuer, catalogue.name):
        raise _wrong("the request is for another deployment", "make it where it is to count")
    scope = catalogue.scopes.get(request.scope)
    if scope is None:
        raise _wrong(f"there is no scope `{request.scope}`", "see the bundle's audiences/")
    if (scope.audience, scope.tier) != (request.audience, request.tier):
        raise _wrong(f"`{request.scope}` is not of that audience and tier any more", "make a new request")
    if request.principal.type not in EXTERNAL_PRINCIPALS or not request.principal.id.isprintable():
        raise _wrong("there is no such kind of principal", "write `User:alice`, `Workload:batch` or `Agent:helper`")
    audience = catalogue.audiences[scope.audience]
    if request.environment and request.environment not in audience.environments:
        raise _wrong(f"`{audience.id}` is not in `{request.environment}`", f"one of {', '.join(audience.environments)}")
    if request.client:
        client = catalogue.clients.get(request.client)
        if client is None or request.scope not in client.ceilings.get(audience.id, ()):
            raise _wrong(
                f"no client `{request.client}` may ever have `{request.scope}`", "an exception lifts no ceiling"
            )
    for name in request.waives:
        if name not in DEMANDS:
            raise _wrong(f"`{name}` is no obligation", f"one of {', '.join(DEMANDS)}")
    _check_life(catalogue.tiers[scope.tier], request, now)
    _check_approvers(bundle, request)


def _check_texts(request: ExceptionRequest) -> None:
    try:
        decision_bytes(request.id)
    except ValueError:
        raise _wrong("the request has no usable id", "let `mintwarden exception request` make it") from None
    for name, longest in _LONGEST.items():
        text = getattr(request, name)
        if not text.strip() or len(text) > longest:
            raise _wrong(f"the {name} has {len(text)} characters", f"use 1 to {longest}")


def _check_life(tier: Tier, request: ExceptionRequest, now: int) -> None:
    if not tier.exception_max:
        raise _wrong(f"there are no exceptions for the tier `{tier.id}`", "see `exception_max` in bundle.toml")
    if request.starts_at < request.requested_at:
        raise _wrong("it begins before it was requested", "let it begin now or later")
    life = request.expires_at - request.starts_at
    if life < 1000:
        raise _wrong("it ends before it begins", "give it at least one second")
    if life > tier.exception_max * 1000:
        raise _wrong(
            f"it lasts for {written(life // 1000)}; the tier `{tier.id}` allows {written(tier.exception_max)}",
            "ask for a shorter time, and renew it if need be",
        )
    if request.expires_at <= now:
        raise _wrong("its time is over", "make a new request")


def _check_approvers(bundle: Bundle, request: ExceptionRequest) -> None:
    able = [approver for approver in bundle.approvals.approvers if may_approve(approver, request)]
    needed = quorum(bundle, request)
    if len(able) < needed:
        raise _wrong(
            f"{needed} people must approve it, and only {len(able)} could",
            "name more `[[approvers]]` with their `user`; nobody approves their own",
        )


# -- whose approval counts ------------------------------------------------------------------------------------------


def may_approve(approver: Approver, request: ExceptionRequest) -> bool:
    """Neither who asks for it nor whom it is for, and known to be neither."""
    person = EntityUid("User", approver.user)
    return bool(approver.user) and person not in (request.requester, request.principal)


def statement(request: ExceptionRequest, name: str, at: int) -> str:
    """What an approver signs: a title and one line for each thing said. `at` in seconds since the epoch."""
    lines = {
        "act": "approve",
        "issuer": request.issuer,
        "bundle": request.bundle,
        "exception": request.id,
        "request": request.digest,
        "for": f"{entity_key(request.principal)} {request.action} {request.scope}",
        "from": spell_datetime(request.starts_at),
        "until": spell_datetime(request.expires_at),
        "against": " ".join(request.against) or "none",
        "renews": f"{request.renews} used {request.used}" if request.renews else "none",
        "name": name,
        "at": spell_datetime(at * 1000),
    }
    return "\n".join((TITLE, *(f"{key}: {value}" for key, value in lines.items()), ""))


class ExceptionApproval(Struct, frozen=True, kw_only=True):
    """A signed statement, read and not yet believed. `at` in seconds since the epoch."""

    name: str
    at: int
    text: str
    armor: str


def read_approval(text: str) -> ExceptionApproval:
    """The statement and the signature of a file: the two with an empty line between. Raises `SignatureRefused`."""
    if len(text) > MOST:
        raise malformed("the file is too long")
    head, separator, armor = text.replace("\r\n", "\n").partition("\n\n")
    if not separator:
        raise malformed("the signature does not follow after an empty line")
    said = dict(line.partition(": ")[::2] for line in head.split("\n")[1:])
    if not head.startswith(f"{TITLE}\n") or not said.get("name") or not said.get("at"):
        raise malformed(f"it does not begin with `{TITLE}`")
    try:
        at = int(datetime.datetime.strptime(said["at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC).timestamp())
    except (ValueError, OverflowError):
        raise malformed("its time cannot be read") from None
    return ExceptionApproval(name=said["name"], at=at, text=f"{head}\n", armor=armor.strip("\n") + "\n")


def believe(bundle: Bundle, request: ExceptionRequest, approval: ExceptionApproval) -> Approver:
    """The approver who signed it. Raises `SignatureRefused` for an approval that does not count for this request."""
    approver = next((one for one in bundle.approvals.approvers if one.name == approval.name), None)
    if approver is None:
        raise SignatureRefused("not_an_approver", f"`{approval.name}` is no approver of the bundle in force")
    if not approver.user:
        raise SignatureRefused("not_an_approver", f"the bundle does not say which `user` `{approval.name}` is")
    if not may_approve(approver, request):
        raise SignatureRefused("own_work", "nobody approves what they ask for or what is for themselves")
    if approval.text != statement(request, approver.name, approval.at):
        raise SignatureRefused("bad_signature", "it is a statement about another request than this one")
    _check_signature(tuple(read_key(key) for key in approver.keys), approval)
    return approver


def counted(bundle: Bundle, request: ExceptionRequest, texts: Iterable[str]) -> tuple[str, ...]:
    """The names of the people whose signed approvals count, each once."""
    names: dict[str, None] = {}
    for text in texts:
        try:
            names[believe(bundle, request, read_approval(text)).user] = None
        except SignatureRefused:
            continue
    return tuple(names)


def _check_signature(known: tuple[PublicKey, ...], approval: ExceptionApproval) -> None:
    message = approval.text.encode()
    if approval.armor.startswith(own.BEGIN):
        own.verify_own(approval.armor, message, known)
        return
    signer = sshsig.verify_sshsig(approval.armor, message)
    if all(key.material != signer.material for key in known):
        raise SignatureRefused("wrong_key", f"it was made with a key that is not one of {approval.name}'s")


def _wrong(public: str, hint: str) -> MintwardenError:
    return MintwardenError(ErrorKind.INVALID_REQUEST, public, hint=hint)
