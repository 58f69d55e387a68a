"""Trusted issuers that could call two principals by one name: the one's `alice` would have all that the other's may.

A principal has no issuer in its name, so the names that issuers give have to be apart: by `subject_prefix`, or by how
every subject of theirs begins, which a condition of its own or of its profile says.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping

from mintwarden.model.catalogue import TrustedIssuer
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.problem import Place

_BEGINS = re.compile(r"""\s*claims\.([^\s()]+)\.startsWith\(\s*(["'])([^"'\\]+)\2\s*\)\s*""")
_BY_PROFILE: Mapping[str, str] = {"kubernetes": "system:serviceaccount:", "aws": "arn:aws"}
"""How every `sub` begins that the profile's conditions let through (`authn/issuers/profiles`)."""


def check_namesakes(draft: Draft, issuers: Iterable[TrustedIssuer]) -> None:
    """Refuse issuers for one type of principal of which one could give a name of the other's."""
    apart = {issuer.issuer: issuer for issuer in issuers if issuer.issuer}.values()
    named = sorted((issuer.principal, beginning_of(issuer), issuer.id) for issuer in apart)
    # In this order, whatever begins like a name follows it directly, or follows others that do.
    for (kind, beginning, one), (next_kind, next_beginning, other) in itertools.pairwise(named):
        if kind == next_kind and next_beginning.startswith(beginning):
            file = draft.place("issuer", other).file
            draft.problems.add(
                Place(file, ("issuer", "id")),
                f"`{one}` and `{other}` could both call somebody `{kind}:{next_beginning}...`",
                "give each a `subject_prefix`, or a condition such as `claims.sub.startsWith('repo:example/')`",
            )


def beginning_of(issuer: TrustedIssuer) -> str:
    """What every name that the issuer gives begins with."""
    begins = [_BY_PROFILE.get(issuer.profile, "") if issuer.subject == "sub" else ""]
    if issuer.profile == "spiffe":
        begins.append(f"{issuer.issuer}/")
    for condition in issuer.conditions:
        found = _BEGINS.fullmatch(condition)
        if found and found[1] == issuer.subject:
            begins.append(found[3])
    return issuer.subject_prefix + max(begins, key=len)
