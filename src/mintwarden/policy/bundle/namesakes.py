"""Trusted issuers that could call two principals by one name: the one's `alice` would have all that the other's may.

A principal has no issuer in its name, so the names that issuers give have to be apart: by `subject_prefix`, or by how
every subject of theirs begins, which a condition of its own or of its profile says.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping

from mintwarden.model.catalogue import Provider, TrustedIssuer
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.problem import Place

_BEGINS = re.compile(r"""\s*claims\.([^\s()]+)\.startsWith\(\s*(["'])([^"'\\]+)\2\s*\)\s*""")
_BY_PROFILE: Mapping[str, str] = {"kubernetes": "system:serviceaccount:", "aws": "arn:aws"}
"""How every `sub` begins that the profile's conditions let through (`authn/issuers/profiles`)."""


def check_namesakes(draft: Draft, issuers: Iterable[TrustedIssuer], providers: Iterable[Provider] = ()) -> None:
    """Refuse issuers for one type of principal of which one could give a name of the other's.

    A provider that people sign in at gives names like an issuer. Where both are one issuer, they name the same people,
    if they name them in the same way. An issuer that is good for hints alone says of nobody that they are there: it
    only names whom to ask, and may name those of others.
    """
    apart: dict[tuple[str, str], tuple[str, str, str, str, str]] = {}
    for issuer in issuers:
        if issuer.issuer and issuer.uses != ("login_hint",):
            begins = beginning_of(issuer)
            apart[issuer.issuer, ""] = (
                issuer.principal,
                begins,
                issuer.id,
                "issuer",
                f"{issuer.issuer} {issuer.subject}",
            )
    for provider in providers:
        begins = beginning_of_provider(provider)
        told = f"{provider.issuer} {provider.subject}"
        apart[provider.issuer, provider.id] = ("User", begins, provider.id, "provider", told)
    # In this order, whatever begins like a name follows it directly, or follows others that do.
    for first, second in itertools.pairwise(sorted(apart.values())):
        kind, beginning, one, _, source = first
        next_kind, next_beginning, other, what, next_source = second
        if kind == next_kind and next_beginning.startswith(beginning):
            if source == next_source and beginning == next_beginning:
                continue
            file = draft.place(what, other).file
            draft.problems.add(
                Place(file, (what, "id")),
                f"`{one}` and `{other}` could both call somebody `{kind}:{next_beginning}...`",
                "give each a `subject_prefix`, or a condition such as `claims.sub.startsWith('repo:example/')`",
            )


def beginning_of_provider(provider: Provider) -> str:
    """What every name that the provider gives begins with."""
    return provider.subject_prefix + _begun(provider.conditions, provider.subject)


def _begun(conditions: Iterable[str], subject: str) -> str:
    begins = [""]
    for condition in conditions:
        found = _BEGINS.fullmatch(condition)
        if found and found[1] == subject:
            begins.append(found[3])
    return max(begins, key=len)


def beginning_of(issuer: TrustedIssuer) -> str:
    """What every name that the issuer gives begins with."""
    begins = [_BY_PROFILE.get(issuer.profile, "") if issuer.subject == "sub" else ""]
    if issuer.profile == "spiffe":
        begins.append(f"{issuer.issuer}/")
    begins.append(_begun(issuer.conditions, issuer.subject))
    return issuer.subject_prefix + max(begins, key=len)
