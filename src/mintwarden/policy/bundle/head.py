"""`bundle.toml`: who owns the bundle, who may approve changes to it, its tiers and purposes."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from mintwarden.model.catalogue import Purpose, Tier
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.kinds import choice, duration, entity_id, https_url, identifier, integer, share, text
from mintwarden.policy.bundle.model import Approvals, Approver
from mintwarden.policy.bundle.problem import Place, Problems, quote
from mintwarden.policy.bundle.shape import BAD, Key, Table, each_named, list_of, read_table, table_of

FILE = "bundle.toml"

_KEY_TYPES = ("ssh-ed25519", "sk-ssh-ed25519@openssh.com", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ssh-rsa")


def ssh_key(value: Any, place: Place, problems: Problems) -> Any:
    """An OpenSSH public key (`ssh-ed25519 AAAA...`), a comment after it left off."""
    words = value.split() if isinstance(value, str) and len(value) <= 4_000 else []
    if len(words) >= 2 and words[0] in _KEY_TYPES:
        try:
            blob = base64.b64decode(words[1], validate=True)
        except binascii.Error:
            blob = b""
        name = words[0].encode()
        if blob.startswith(len(name).to_bytes(4, "big") + name):
            return f"{words[0]} {words[1]}"
    problems.add(place, "is not an OpenSSH public key", "write the one line of the `.pub` file")
    return BAD


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
APPROVALS = Table("[approvals]", (Key("required", integer(0, 16), 0),))
APPROVER = Table(
    "[[approvers]]",
    (
        Key("name", text(most=200), "", required=True),
        Key("contact", text(most=200), ""),
        Key("user", entity_id, ""),
        Key("keys", list_of(ssh_key, least=1, most=16), (), required=True),
    ),
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
PURPOSE = Table("[purposes.<id>]", (Key("meaning", text(), "", required=True),))
HEAD = Table(
    FILE,
    (
        Key("bundle", table_of(BUNDLE), required=True),
        Key("owner", table_of(OWNER), required=True),
        Key("approvals", table_of(APPROVALS), {"required": 0}),
        Key("approvers", list_of(table_of(APPROVER), unique=False), ()),
        Key("tiers", each_named(identifier, table_of(TIER), most=64), {}, required=True),
        Key("purposes", each_named(identifier, table_of(PURPOSE)), {}),
    ),
)
TABLES = (BUNDLE, OWNER, APPROVALS, APPROVER, TIER, PURPOSE)


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


def read_head(draft: Draft) -> Head:
    """`bundle.toml` as values; what is wrong with it goes to the draft's findings."""
    place = Place(FILE)
    document = draft.documents.get(FILE)
    if document is None:
        draft.problems.put(FILE, 0, 0, "is missing or unreadable", "write it; `mintwarden init` shows how")
        document = {}
        return _head(draft, {key.name: key.default for key in HEAD.keys})
    return _head(draft, read_table(HEAD, document, place, draft.problems))


def _head(draft: Draft, values: Mapping[str, Any]) -> Head:
    bundle = values["bundle"] or {key.name: key.default for key in BUNDLE.keys}
    owner = values["owner"] or {key.name: key.default for key in OWNER.keys}
    if values["tiers"] == {} and FILE in draft.documents and draft.documents[FILE].get("tiers") == {}:
        draft.problems.add(Place(FILE, ("tiers",)), "there is no tier", "add `[tiers.<id>]`")
    approvals = _approvals(draft, values)
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
            what = f"{needed} approvals are needed and {known} approvers say which `user` they are"
            remedy = 'name more `[[approvers]]`, each with its `user = "..."`'
            draft.problems.add(place.at("exception_approvals"), what, remedy)


def _approvals(draft: Draft, values: Mapping[str, Any]) -> Approvals:
    required = values["approvals"]["required"]
    approvers = tuple(
        Approver(name=entry["name"], contact=entry["contact"], keys=entry["keys"], user=entry["user"])
        for entry in values["approvers"]
    )
    seen: set[str] = set()
    for index, approver in enumerate(approvers):
        place = Place(FILE, ("approvers", index))
        draft.declare("approver", approver.name, place.at("name"))
        if approver.user:
            draft.declare("approver's user", approver.user, place.at("user"))
        for key in approver.keys:
            if key in seen:
                draft.problems.add(
                    place.at("keys"), f"a key of {quote(approver.name)} stands twice", "one person, one key"
                )
            seen.add(key)
    if required > len(approvers):
        what = f"{required} approvals are required and {len(approvers)} approvers are named"
        draft.problems.add(Place(FILE, ("approvals", "required")), what, "name more `[[approvers]]`")
    return Approvals(required=required, approvers=approvers)
