"""A request that names what is nowhere, or is none of its client's: refused where names are resolved, and recorded.

What comes before a decision refuses without one. A name is the exception: whoever tries names out, by mistake or to
find some, leaves the entry of a refusal like any other, of the same shape, made by the same `decide`. The question
behind it holds the names that did not resolve and nothing else that was asked for: of that nothing was decided.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable

from mintwarden.model.asked import Asked, Parent
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.detail import Detail
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.request import TokenRequest
from mintwarden.model.values import EntityUid
from mintwarden.policy.registered import registered_form

ANYWHERE = "*"
"""The audience in the ledger of names that were looked for at all of the client's. No audience is called so."""

MARK = "~sha256:"
"""What a name begins with in the ledger when it does not stand there itself. INVARIANT: no name that does has a `~`."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/*+-]{0,63}", re.ASCII)
_SECRET = re.compile(
    r"(?<![A-Za-z0-9])mwr?_[A-Za-z0-9_-]{16}"  # a client secret or a refresh token of ours
    r"|[0-9a-f]{32}|[0-9A-F]{32}"
    r"|(?=[A-Za-z0-9_-]*[0-9][A-Za-z])(?=[A-Za-z0-9_-]*[a-z])(?=[A-Za-z0-9_-]*[A-Z])[A-Za-z0-9_-]{20}",
    re.ASCII,
)
"""What looks drawn at random: long, and of all sorts of characters. INVARIANT: the ledger is for others to read."""


def legible(name: str) -> str:
    """A name that somebody sent as it may stand in the ledger, in logs and on pages; depends on its argument alone.

    A short one that looks like a name stands as it is. Any other may be a secret or a person's that was put into the
    wrong place, or a trick: of it, `MARK` and the base64url of its SHA-256, by which it is found again.
    """
    return name if _PLAIN.fullmatch(name) and not _SECRET.search(name) else _marked(name)


def nowhere(name: str, catalogue: Catalogue) -> str:
    """The same of the name of no audience. INVARIANT: it is no audience's id, whatever it was that did not resolve."""
    return _marked(name) if name in catalogue.audiences else legible(name)


def _marked(name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return MARK + urlsafe_b64encode(digest).rstrip(b"=").decode()


class Unresolved(MintwardenError):
    """Names that do not resolve, or not for this client; what the client is told is that of `MintwardenError`.

    Attributes:
        audience: the one they were looked for at, by id, or as `nowhere` says; empty for any.
        scopes, details: the scopes and types of details, as `legible` says.
        asked, caller: the question of the refusal, and who asks it; None until `of` has put them.
        decision, reasons: id of the recorded decision, and why each name was refused; empty until it is recorded.
    """

    def __init__(
        self,
        kind: ErrorKind,
        public: str,
        hint: str,
        *,
        audience: str = "",
        scopes: Iterable[str] = (),
        details: Iterable[str] = (),
    ) -> None:
        super().__init__(kind, public, hint=hint)
        self.audience = audience
        self.scopes = tuple(dict.fromkeys(map(legible, scopes)))
        self.details = tuple(dict.fromkeys(map(legible, details)))
        self.asked: Asked | None = None
        self.caller: Caller | None = None
        self.decision = ""
        self.reasons: tuple[str, ...] = ()

    def of(
        self,
        grant: str,
        request: TokenRequest,
        caller: Caller,
        client: Client,
        catalogue: Catalogue,
        *,
        subject: EntityUid | None = None,
        actors: tuple[EntityUid, ...] = (),
        impersonate: bool = False,
        parent: Parent | None = None,
    ) -> Unresolved:
        """The same, with the question: whom the token was to speak of (by default the client), and who was to act."""
        said = request.unverified_form.get("environment", ())
        self.caller = caller
        self.asked = Asked(
            grant=grant,
            client_id=client.id,
            subject=subject or EntityUid(client.principal, client.id),
            actors=actors,
            impersonate=impersonate,
            audience=self.audience or _looked_at(request, catalogue),
            scopes=self.scopes,
            details=tuple([Detail(type=name) for name in self.details]),
            environment=said[0] if said and said[0] in client.environments else client.environments[0],
            address=request.address,
            binding=caller.binding,
            method=caller.method,
            parent=parent,
            registered=None if caller.registered is None else registered_form(caller.registered),
            unresolved=True,
        )
        return self


def _looked_at(request: TokenRequest, catalogue: Catalogue) -> str:
    """The audience of a name that is not said to be of any: the one that the request names, or any."""
    form = request.unverified_form
    for name in (*form.get("resource", ()), *form.get("audience", ())):
        return catalogue.by_identifier.get(name) or (name if name in catalogue.audiences else legible(name))
    return ANYWHERE
