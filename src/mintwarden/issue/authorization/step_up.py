"""The sign-in that would give more of a request than the present one does, and whether somebody can make it (RFC 9470).

Pure: what is refused, what the client demands and which ways the person has go in. Whether the person is led there is
the endpoint's to say, and what comes of it is a new decision's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.authn.sign_in import Demand
from mintwarden.authn.ways import Way
from mintwarden.model.decision import Obligation, ScopeDecision
from mintwarden.policy.obligations import seconds_of


class Better(Struct, frozen=True, kw_only=True):
    """A sign-in that would give more.

    Attributes:
        ways: ids of the ways that can give it.
        levels: one of them is to be reached; empty where the level is no matter.
        methods: all of them are to be used.
        max_age: how old it may be, in seconds, or None.
        lacking: what the present sign-in lacks of it apart from being new, as one text; empty where that is all.
    """

    ways: tuple[str, ...]
    levels: tuple[str, ...] = ()
    methods: frozenset[str] = frozenset()
    max_age: int | None = None
    lacking: str = ""


def better_sign_in(refused: Iterable[ScopeDecision], demand: Demand, ways: Sequence[Way]) -> Better | None:
    """The sign-in that would give most of `refused`, taken in order; None where no way leads to any of it.

    `refused` lacks nothing but another sign-in. INVARIANT: what the client demands is demanded still: a level that it
    does not take (`demand.essential`) is none that its person is led to.
    """
    own = demand.acr_values if demand.essential else ()
    found: Better | None = None
    begun = Better(ways=tuple(way.id for way in ways), levels=own)
    for answer in refused:
        more = _with(found or begun, answer.unmet, ways)
        if more is not None:
            found = more
    return found


def demanded(demand: Demand, better: Better, *, voluntary: bool) -> Demand:
    """What is demanded of that sign-in: what the client demands, and what the rules do."""
    ages = [age for age in (demand.max_age, better.max_age) if age is not None]
    return replace(
        demand,
        acr_values=better.levels or demand.acr_values,
        essential=bool(better.levels) or demand.essential,
        max_age=min(ages, default=None),
        # Both were done already: whoever is led is signed in as the client wanted, and is to stay who they are.
        again=False,
        choose=False,
        ways=better.ways,
        voluntary=voluntary,
    )


def was_tried(demand: Demand, better: Better) -> bool:
    """Would a sign-in made for `demand` have been `better`, had the person been able to."""
    if better.methods:
        return False
    strong = not better.levels or (bool(demand.acr_values) and set(demand.acr_values) <= set(better.levels))
    asked_age = 0 if demand.again else demand.max_age
    return strong and (better.max_age is None or (asked_age is not None and asked_age <= better.max_age))


def _with(so_far: Better, unmet: Iterable[Obligation], ways: Sequence[Way]) -> Better | None:
    """`so_far` and `unmet` together; None where they exclude each other, or no way gives both."""
    levels, methods, ages = so_far.levels, so_far.methods, [so_far.max_age] if so_far.max_age is not None else []
    told = False
    for obligation in unmet:
        values = obligation.value.split()
        if obligation.name == "require_acr":
            levels, told = tuple(v for v in values if not levels or v in levels), True
            if not levels:
                return None
        elif obligation.name == "require_amr":
            methods |= frozenset(values)
        else:
            ages.append(seconds_of(obligation.value))
            told = True
    # A provider is asked for a level and for an age; how somebody signs in there it cannot be told.
    able = [
        way.id
        for way in ways
        if way.id in so_far.ways
        and (told or way.sure)
        and (not levels or not way.levels.isdisjoint(levels))
        and methods <= way.methods
    ]
    if not able:
        return None
    stated = {o.value for o in unmet if o.name != "require_auth_age"}
    return Better(
        ways=tuple(able),
        levels=levels,
        methods=methods,
        max_age=min(ages, default=None),
        lacking=" ".join(sorted({*so_far.lacking.split(), *" ".join(stated).split()})),
    )
