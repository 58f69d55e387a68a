"""What a client's file holds it to beyond the rest, named as clients that introduce themselves name it (RFC 7591).

One mechanism serves both: `Protections`. What is the same under another key of a client's file has no second one here:
`algorithms` (`token_endpoint_auth_signing_alg`) and `signed` (`require_signed_request_object`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mintwarden.model.profiles import PROFILES
from mintwarden.model.terms import Protections
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.kinds import boolean, choice, duration, text
from mintwarden.policy.bundle.problem import Place
from mintwarden.policy.bundle.shape import Key, list_of

DPOP: Final = "dpop_bound_access_tokens"
OBJECTS: Final = "request_object_signing_alg"
MAX_AGE: Final = "default_max_age"
ACR_VALUES: Final = "default_acr_values"


def keys(algorithms: tuple[str, ...]) -> tuple[Key, ...]:
    """The keys of `[client]`; `algorithms` are those that any client may sign with."""
    return (
        Key(DPOP, boolean, False),
        Key(OBJECTS, choice(*algorithms), ""),
        Key(MAX_AGE, duration(least=0), None),
        Key(ACR_VALUES, list_of(text(most=200), most=10), ()),
    )


def protections_of(values: Mapping[str, Any]) -> Protections:
    """What they come to."""
    return Protections(
        object_algorithm=values[OBJECTS],
        dpop=values[DPOP],
        max_age=values[MAX_AGE],
        acr_values=values[ACR_VALUES],
    )


def check_protections(draft: Draft, place: Place, values: Mapping[str, Any]) -> None:
    """Each is about something that the client sends or gets, and can be kept."""
    grants, algorithm = values["grants"], values[OBJECTS]
    known = values["algorithms"] or PROFILES[values["profile"]].assumed
    if algorithm and not ("authorization_code" in grants and values["keys"]):
        what = f"`{OBJECTS}` is for clients with `authorization_code` that have a key to sign with"
        draft.problems.add(place.at(OBJECTS), what, "remove it, or add the grant and `[[client.keys]]`", key=True)
    elif algorithm and algorithm not in known:
        what = f"no signature of this client with `{algorithm}` is taken"
        draft.problems.add(place.at(OBJECTS), what, f"add it to `algorithms`, or use one of {_listed(known)}")
    for name, takers in ((MAX_AGE, ("authorization_code",)), (ACR_VALUES, ("authorization_code", "ciba"))):
        if values[name] not in (None, ()) and not set(takers) & set(grants):
            what = f"`{name}` has no meaning without {' or '.join(f'`{one}`' for one in takers)}"
            draft.problems.add(place.at(name), what, "remove it, or add the grant", key=True)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
