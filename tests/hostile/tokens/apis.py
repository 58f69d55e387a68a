"""Places outside the service, in an API with our verifier, that take something of its."""

from __future__ import annotations

from mintwarden.consumer import KeyCache, NoStatus, Refused, StatusLists, TokenVerifier
from mintwarden.consumer.fetch import Fetched
from mintwarden.consumer.verify import Presented
from tests.flow.company import PAYMENTS
from tests.hostile.tokens.kinds import ISSUER, World


async def _keys(world: World) -> KeyCache:
    keys = (await world.http.get("/jwks.json")).content

    async def fetch(_url: str) -> bytes:
        return keys

    return KeyCache(issuer=ISSUER, jwks_uri=f"{ISSUER}/jwks.json", fetch=fetch)


async def at_an_api(world: World, text: str) -> tuple[bool, str]:
    """As the token of a request: was it taken; if not, the error by which it was refused."""
    try:
        await TokenVerifier(issuer=ISSUER, audience=PAYMENTS, keys=await _keys(world)).verify(
            Presented(token=text, scheme="bearer", method="GET", url=PAYMENTS)
        )
    except Refused as refused:
        return False, refused.code
    return True, ""


async def for_a_status_list(world: World, text: str) -> tuple[bool, str]:
    """In place of the list in which a token stands."""

    async def fetch(_url: str) -> Fetched:
        return Fetched(text.encode(), {"content-type": "application/statuslist+jwt"})

    place = {"uri": f"{ISSUER}/status/0", "idx": 0}
    try:
        lists = StatusLists(ISSUER, keys=await _keys(world), fetch=fetch)
        await lists.check({"status": {"status_list": place}})
    except NoStatus:
        return False, "no list"
    return True, ""
