"""Whose ways to sign in are whose: names tell at which provider, and passkeys are those that somebody has."""

from __future__ import annotations

from typing import Any, cast

from msgspec.structs import replace

from mintwarden.app.ways import ways_under
from mintwarden.authn.passkeys import Passkey
from mintwarden.authn.shelf import Held
from mintwarden.authn.ways import Way
from mintwarden.model.catalogue import Passkeys, Provider
from mintwarden.model.values import EntityUid
from tests.unit.issue.catalogue import CATALOGUE

NOW = 1_795_000_000_000
MO = EntityUid("User", "staff-mo")


def provider(name: str, **values: Any) -> Provider:
    return Provider(
        id=name, name=name, issuer=f"https://{name}.example", client_id="us", authentication="none", **values
    )


class Kept:
    """Passkeys that somebody made: `synced` of each."""

    def __init__(self, *synced: bool) -> None:
        self._synced = synced

    async def of(self, subject: EntityUid, _now: int) -> list[Held[Passkey]]:
        kept = [
            Passkey(id="x", subject=subject, public_key=b"", sign_count=0, synced=one, label="", made_at=NOW)
            for one in self._synced
        ]
        return [Held(value=one, state=cast("Any", None)) for one in kept]


PROVIDERS = (
    provider("staff", subject_prefix="staff-", acr={"2f": "mfa"}, amr={"otp": "otp"}),
    provider("again", subject_prefix="staff-", acr={"3f": "phr"}),
    provider("partners", subject_prefix="partner-", acr={"2f": "mfa"}),
    provider("others", conditions=("claims.sub.startsWith('other-')",)),
)
BUNDLE = replace(
    CATALOGUE,
    providers={one.id: one for one in PROVIDERS},
    passkeys=Passkeys(enabled=True, acr="phrh", amr=("hwk", "user")),
)


async def test_the_providers_that_call_somebody_so() -> None:
    ways_of = ways_under(BUNDLE, None)
    assert list(await ways_of(MO, NOW)) == [
        Way(id="staff", levels=frozenset({"mfa"}), methods=frozenset({"otp"})),
        Way(id="again", levels=frozenset({"phr"}), methods=frozenset()),
    ]
    assert [way.id for way in await ways_of(EntityUid("User", "other-1"), NOW)] == ["others"]
    assert await ways_of(EntityUid("Workload", "staff-mo"), NOW) == []


async def test_passkeys_count_for_who_has_some_as_what_theirs_are() -> None:
    none = await ways_under(BUNDLE, cast("Any", Kept()))(EntityUid("User", "new"), NOW)
    assert none == []
    for synced, methods in (
        ((False,), {"hwk", "user"}),
        ((True,), {"swk", "user"}),
        ((True, False), {"hwk", "swk", "user"}),
    ):
        (way,) = await ways_under(BUNDLE, cast("Any", Kept(*synced)))(EntityUid("User", "new"), NOW)
        assert way == Way(id="passkey", levels=frozenset({"phrh"}), methods=frozenset(methods), sure=True)
