"""What is asked about a scope, and what a line of the answer says."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from mintwarden.model.decision import Obligation
from mintwarden.policy.explained import FactShown


class Question(Struct, frozen=True, kw_only=True):
    """A scope, and what is held fixed; what is empty here is tried in every way that the bundle knows.

    Attributes:
        scope: its name in the catalogue.
        at: the moment of the decisions, `Millis`.
        client, environment, purpose, acr, tenant, workspace, project, address: only these.
        amr: methods that were used to sign in.
        session, device: what pushed facts may be about; none unless named.
        hops: how many earlier tokens of ours a token may come of, from client to client.
    """

    scope: str
    at: int
    client: str = ""
    environment: str = ""
    purpose: str = ""
    acr: str = ""
    amr: tuple[str, ...] = ()
    tenant: str = ""
    workspace: str = ""
    project: str = ""
    address: str = ""
    session: str = ""
    device: str = ""
    hops: int = 1


class Line(Struct, frozen=True, kw_only=True):
    """One principal and the best way in which it gets the scope: the one that takes least, then lasts longest.

    Attributes:
        principal: entity key, such as `User:alice`.
        role: `subject`: the token speaks of it; `actor`: it acts with the scope for `subject`.
        subject: whom the token speaks of.
        client, environment, grant, method: by whom, where and how it is asked for.
        actors: who acts, the present actor first; empty where nobody does or the client stays hidden.
        via: the scopes of the earlier tokens that it comes of, the latest first.
        purpose, tenant, workspace, project, address: what has to be stated, or where from; empty for nothing.
        route: the rule that permits it to the subject; `legacy:...` while a mapping does, `exception:...` by exception.
        acting: for each actor the rule that lets it act.
        needs: obligations that have to be met first; empty where nothing is lacking.
        lifetime: in seconds, at most; an earlier token may bound it further.
        bounded_by: what bounded it.
        mode: `observe` where a mapping decides and not the rules.
        would: while observing, what the rules say instead; empty when they agree.
        facts: what the rules looked at.
    """

    principal: str
    role: Literal["subject", "actor"] = "subject"
    subject: str
    scope: str
    client: str
    environment: str
    grant: str
    method: str
    actors: tuple[str, ...] = ()
    via: tuple[str, ...] = ()
    purpose: str = ""
    tenant: str = ""
    workspace: str = ""
    project: str = ""
    address: str = ""
    route: str
    acting: tuple[str, ...] = ()
    needs: tuple[Obligation, ...] = ()
    lifetime: int
    bounded_by: str
    mode: str = "enforce"
    would: str = ""
    facts: tuple[FactShown, ...] = ()
