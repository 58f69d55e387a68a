"""`claims.toml`: every derived claim, its authoritative source and how it comes from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mintwarden.model.catalogue import Claim
from mintwarden.model.fact_type import FactType
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.facttypes import fact_type
from mintwarden.policy.bundle.kinds import choice, claim_name, identifier, text
from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.bundle.shape import Key, Table, each_named, read_table, table_of
from mintwarden.policy.bundle.sources import SENSITIVITIES

FILE = "claims.toml"

REGISTERED: Mapping[str, str] = {
    **dict.fromkeys(("iss", "sub", "aud", "exp", "nbf", "iat", "jti"), "RFC 7519 section 4.1"),
    **dict.fromkeys(("client_id", "scope", "auth_time", "acr", "amr"), "RFC 9068 section 2.2"),
    **dict.fromkeys(("act", "may_act"), "RFC 8693 section 4"),
    "cnf": "RFC 7800 section 3.1",
    "authorization_details": "RFC 9396 section 9",
    "resource": "identity assertions",
    **dict.fromkeys(("azp", "nonce", "at_hash", "c_hash", "s_hash", "sid"), "OpenID Connect"),
    **dict.fromkeys((f"urn:openid:params:jwt:claim:{name}" for name in ("auth_req_id", "rt_hash")), "OpenID CIBA"),
    **dict.fromkeys(("events", "toe", "txn", "sub_id"), "RFC 8417 section 2.2"),
    "device": "the device that the subject signed in from",
    "sub_type": "the kind of principal that `sub` is",
    "status": "the status list of the token",
    "typ": "the token's kind",
    **dict.fromkeys(("req_wl", "tctx", "rctx"), "transaction tokens"),
    **dict.fromkeys(("budget", "max_depth"), "limits of delegation"),
    "lineage": "the tokens that a token came of",
    "grant_id": "the grant that a token came of",
    "ledger_leaf": "the proof of the recorded decision",
}
"""Claims that the mint alone writes, and what defines them: none of them can be derived."""

CONFINES = ("tenant", "workspace", "project", "purpose", "environment")
"""Claims that the mint writes from the request; an audience may still take them, from nowhere else."""

CLAIM = Table(
    "[claims.<name>]",
    (
        Key("type", fact_type, FactType(kind="string"), required=True),
        Key("source", identifier, "", required=True),
        Key("from", text(most=200), ""),
        Key("derive", text(most=4_000), ""),
        Key("sensitivity", choice(*SENSITIVITIES), "internal"),
        Key("absent", choice("omit", "refuse"), "omit"),
        Key("description", text(), ""),
    ),
)
CLAIMS = Table(FILE, (Key("claims", each_named(claim_name, table_of(CLAIM), most=1_000), {}, required=True),))
TABLES = (CLAIM,)


def read_claims(draft: Draft) -> Mapping[str, Claim]:
    """Every claim by name; a bundle without derived claims may do without the file."""
    document = draft.documents.get(FILE)
    if document is None:
        return {}
    values = read_table(CLAIMS, document, Place(FILE), draft.problems)["claims"]
    return {name: _claim(draft, name, entry, document["claims"][name]) for name, entry in values.items()}


def _claim(draft: Draft, name: str, values: Mapping[str, Any], written: Mapping[str, Any]) -> Claim:
    place = Place(FILE, ("claims", name))
    draft.declare("claim", name, place)
    if name in REGISTERED:
        what = f"claim `{name}` is registered ({REGISTERED[name]}) and cannot be derived"
        draft.problems.add(place, what, "choose another name", key=True)
    if name in CONFINES and values["from"] != f"context.request.{name}":
        what = f"claim `{name}` is what the request was confined to, and nothing else"
        draft.problems.add(place, what, f'write `from = "context.request.{name}"`, or choose another name', key=True)
    if ("from" in written) == ("derive" in written):
        what = "has both `from` and `derive`" if "from" in written else "has neither `from` nor `derive`"
        draft.problems.add(place, f"claim `{name}` {what}", "say in one of them where its value comes from", key=True)
    return Claim(
        name=name,
        type=values["type"],
        source=values["source"],
        origin=values["from"],
        expression="" if values["from"] else values["derive"],
        sensitivity=values["sensitivity"],
        absent=values["absent"],
        description=values["description"],
    )
