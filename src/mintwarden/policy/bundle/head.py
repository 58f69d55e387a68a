"""`bundle.toml`: who owns the bundle, who may approve changes to it, its tiers and purposes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from mintwarden.model.catalogue import DOWNGRADE_MAX, Passkeys, Purpose, SessionBounds, Tier
from mintwarden.policy.bundle import profiles
from mintwarden.policy.bundle.approvals import APPROVALS, APPROVER, AUTHOR, read_approvals
from mintwarden.policy.bundle.approvals import TABLES as APPROVAL_TABLES
from mintwarden.policy.bundle.clients import (
    AFTERWARDS,
    GRANTS,
    KINDS,
    METHODS,
    REGISTRABLE_METHODS,
    SECRETLESS_METHODS,
    ceilings,
)
from mintwarden.policy.bundle.details import detail_name
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.jwk import public_jwk
from mintwarden.policy.bundle.kinds import (
    boolean,
    choice,
    duration,
    host_pattern,
    https_url,
    identifier,
    integer,
    share,
    text,
)
from mintwarden.policy.bundle.model import Approvals
from mintwarden.policy.bundle.problem import Place, so_many
from mintwarden.policy.bundle.shape import Key, Table, each_named, list_of, read_table, table_of

FILE = "bundle.toml"
REDIRECTS = ("same_host", "https", "loopback", "private_scheme")
"""Where a client that describes itself may have its users sent back to."""

BUNDLE = Table(
    "[bundle]",
    (
        Key("name", identifier, "", required=True),
        Key("issuer", https_url, "", required=True),
        Key("environments", list_of(identifier, least=1), (), required=True),
        Key("max_actors", integer(0, 16), 4),
        Key("description", text(), ""),
    ),
)
OWNER = Table(
    "[owner]", (Key("name", text(most=200), "", required=True), Key("contact", text(most=200), "", required=True))
)
TIER = Table(
    "[tiers.<id>]",
    (
        Key("max_ttl", duration(), 3600, required=True),
        Key("description", text(), ""),
        Key("verify", choice("off", "sampled", "always"), "off"),
        Key("verify_share", share),
        Key("exception_max", duration(least=0), 0),
        Key("exception_approvals", integer(1, 16)),
    ),
)
MODES = Table("[modes]", (Key("downgrade_max", duration(), DOWNGRADE_MAX),))
PURPOSE = Table("[purposes.<id>]", (Key("meaning", text(), "", required=True),))
REGISTRATION = Table(
    "[registration]",
    (
        Key("prefix", identifier, "", required=True),
        Key("ceilings", ceilings, {}, required=True),
        Key("authentication", list_of(choice(*REGISTRABLE_METHODS), least=1), ("private_key_jwt",)),
        Key("grants", list_of(choice(*GRANTS), least=1), ("client_credentials",)),
        Key("kinds", list_of(choice(*KINDS), least=1), (), required=True),
        Key("environments", list_of(identifier, least=1), (), required=True),
        Key("owners", list_of(text(most=200), least=1), (), required=True),
        Key("details", list_of(detail_name), ()),
        Key("max_tier", identifier, ""),
        profiles.KEY,
    ),
)
DOCUMENTS = Table(
    "[client_id_metadata]",
    (
        Key("hosts", list_of(host_pattern, least=1), (), required=True),
        Key("excluded", list_of(host_pattern), ()),
        Key("kind", choice(*KINDS), "third_party", required=True),
        Key("owner", text(most=200), "", required=True),
        Key("environments", list_of(identifier, least=1), (), required=True),
        Key("ceilings", ceilings, {}, required=True),
        Key("authentication", list_of(choice(*SECRETLESS_METHODS), least=1), SECRETLESS_METHODS),
        Key("grants", list_of(choice(*GRANTS), least=1), (), required=True),
        Key("redirects", list_of(choice(*REDIRECTS)), ("same_host", "loopback")),
        *AFTERWARDS,
        Key("max_tier", identifier, ""),
        profiles.KEY,
    ),
)
PUBLISHER = Table(
    "[[open_registration.publishers]]",
    (
        Key("issuer", text(most=500), "", required=True),
        Key("keys", list_of(public_jwk, least=1, most=16), (), required=True),
    ),
)
OPEN = Table(
    "[open_registration]",
    (
        Key("to", choice("initial_access_token", "anyone"), "initial_access_token", required=True),
        Key("prefix", identifier, "", required=True),
        Key("kind", choice(*KINDS), "third_party", required=True),
        Key("owner", text(most=200), "", required=True),
        Key("environments", list_of(identifier, least=1), (), required=True),
        Key("ceilings", ceilings, {}, required=True),
        Key("authentication", list_of(choice(*METHODS), least=1), SECRETLESS_METHODS),
        Key("grants", list_of(choice(*GRANTS), least=1), (), required=True),
        Key("redirects", list_of(choice(*REDIRECTS[1:])), ("https", "loopback")),
        *AFTERWARDS,
        Key("publishers", list_of(table_of(PUBLISHER), unique=False, most=100), ()),
        Key("statement_required", boolean, False),
        Key("per_hour", integer(1, 100_000), 20),
        Key("most", integer(1, 100_000), 1000),
        Key("max_tier", identifier, ""),
        profiles.KEY,
    ),
)
SESSIONS = Table(
    "[sessions]", (Key("idle", duration(most=7 * 86400), 3600), Key("absolute", duration(most=31 * 86400), 12 * 3600))
)
PASSKEYS = Table(
    "[passkeys]",
    (
        Key("enabled", boolean, False),
        Key("acr", text(most=200), "phr"),
        Key("amr", list_of(text(most=50)), ("hwk", "user", "mfa")),
    ),
)
HEAD = Table(
    FILE,
    (
        Key("bundle", table_of(BUNDLE), required=True),
        Key("owner", table_of(OWNER), required=True),
        Key("approvals", table_of(APPROVALS)),
        Key("approvers", list_of(table_of(APPROVER), unique=False), ()),
        Key("authors", list_of(table_of(AUTHOR), unique=False), ()),
        Key("tiers", each_named(identifier, table_of(TIER), most=64), {}, required=True),
        Key("purposes", each_named(identifier, table_of(PURPOSE)), {}),
        Key("modes", table_of(MODES), {"downgrade_max": DOWNGRADE_MAX}),
        Key("registration", table_of(REGISTRATION), None),
        Key("client_id_metadata", table_of(DOCUMENTS), None),
        Key("open_registration", table_of(OPEN), None),
        Key("sessions", table_of(SESSIONS), {}),
        Key("passkeys", table_of(PASSKEYS), {}),
    ),
)
TABLES = (
    BUNDLE,
    OWNER,
    *APPROVAL_TABLES,
    TIER,
    PURPOSE,
    MODES,
    REGISTRATION,
    DOCUMENTS,
    OPEN,
    PUBLISHER,
    SESSIONS,
    PASSKEYS,
)


class Head(Struct, frozen=True, kw_only=True):
    """What `bundle.toml` says."""

    name: str
    issuer: str
    environments: tuple[str, ...]
    max_actors: int
    owner: str
    owner_contact: str
    approvals: Approvals
    tiers: Mapping[str, Tier]
    purposes: Mapping[str, Purpose]
    downgrade_max: int
    registration: Mapping[str, Any] | None
    documents: Mapping[str, Any] | None
    open_registration: Mapping[str, Any] | None
    sessions: SessionBounds = SessionBounds()
    passkeys: Passkeys = Passkeys()


def read_head(draft: Draft) -> Head:
    """`bundle.toml` as values; what is wrong with it goes to the draft's findings."""
    place = Place(FILE)
    document = draft.documents.get(FILE)
    if document is None:
        if not draft.problems.knows(FILE):
            draft.problems.put(FILE, 0, 0, "is missing or unreadable", "write it; `mintwarden init` shows how")
        document = {}
        return _head(draft, {key.name: key.default for key in HEAD.keys})
    return _head(draft, read_table(HEAD, document, place, draft.problems))


def _head(draft: Draft, values: Mapping[str, Any]) -> Head:
    bundle = values["bundle"] or {key.name: key.default for key in BUNDLE.keys}
    owner = values["owner"] or {key.name: key.default for key in OWNER.keys}
    if values["tiers"] == {} and FILE in draft.documents and draft.documents[FILE].get("tiers") == {}:
        draft.problems.add(Place(FILE, ("tiers",)), "there is no tier", "add `[tiers.<id>]`")
    approvals = read_approvals(draft, values, tuple(values["tiers"]))
    return Head(
        name=bundle["name"],
        issuer=bundle["issuer"],
        environments=bundle["environments"],
        max_actors=bundle["max_actors"],
        owner=owner["name"],
        owner_contact=owner["contact"],
        approvals=approvals,
        tiers={
            name: _tier(draft, name, rank, tier, approvals) for rank, (name, tier) in enumerate(values["tiers"].items())
        },
        purposes={name: Purpose(id=name, meaning=purpose["meaning"]) for name, purpose in values["purposes"].items()},
        downgrade_max=values["modes"]["downgrade_max"],
        registration=values["registration"] or None,
        documents=values["client_id_metadata"] or None,
        open_registration=values["open_registration"] or None,
        sessions=SessionBounds(**values["sessions"]),
        passkeys=Passkeys(**values["passkeys"]),
    )


def _tier(draft: Draft, name: str, rank: int, values: Mapping[str, Any], approvals: Approvals) -> Tier:
    place = Place(FILE, ("tiers", name))
    verify, share_ = values["verify"], values["verify_share"]
    if verify == "sampled" and share_ is None:
        draft.problems.add(place.at("verify"), '`verify = "sampled"` needs a share', "add `verify_share = 0.05`")
    if verify != "sampled" and share_ is not None:
        remedy = 'remove it, or write `verify = "sampled"`'
        draft.problems.add(place.at("verify_share"), f"`verify_share` has no meaning with `verify = {verify}`", remedy)
    _exceptions(draft, place, values, approvals)
    fixed = {"off": 0.0, "always": 1.0}.get(verify)
    return Tier(
        id=name,
        rank=rank,
        max_ttl=values["max_ttl"],
        verify=verify,
        verify_share=(share_ or 0.0) if fixed is None else fixed,
        description=values["description"],
        exception_max=values["exception_max"],
        exception_approvals=values["exception_approvals"] or 0,
    )


def _exceptions(draft: Draft, place: Place, values: Mapping[str, Any], approvals: Approvals) -> None:
    """Where a tier allows exceptions, enough people can approve them."""
    longest, needed = values["exception_max"], values["exception_approvals"]
    if longest and needed is None:
        what = "`exception_max` needs to say how many must approve"
        draft.problems.add(place.at("exception_max"), what, "add `exception_approvals = 2`")
    elif needed is not None and not longest:
        what = "`exception_approvals` has no meaning where there may be no exception"
        draft.problems.add(place.at("exception_approvals"), what, 'remove it, or add `exception_max = "7d"`')
    elif needed is not None:
        known = sum(bool(approver.user) for approver in approvals.approvers)
        if needed > known:
            lacking = so_many(needed, "approval is", "approvals are")
            what = f"{lacking} needed and {so_many(known, 'approver says', 'approvers say')} which `user` they are"
            remedy = 'name more `[[approvers]]`, each with its `user = "..."`'
            draft.problems.add(place.at("exception_approvals"), what, remedy)
