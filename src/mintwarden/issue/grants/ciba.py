"""The answer to a request that a person allowed out of band (OpenID CIBA Core 1.0, section 10.1)."""

from __future__ import annotations

from mintwarden.issue.answered import answered
from mintwarden.issue.confines import CONFINES
from mintwarden.issue.details import DETAILS
from mintwarden.issue.granted import Recalled, asked_of
from mintwarden.issue.limits import LIMITS
from mintwarden.issue.memory import Memory
from mintwarden.model.asked import Asked
from mintwarden.model.caller import Caller
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.request import TokenRequest

NAME = "ciba"
GRANT_TYPE = "urn:openid:params:grant-type:ciba"
PARAMETERS = frozenset({"grant_type", "auth_req_id", "resource", "audience", *DETAILS, *CONFINES, *LIMITS})


async def recall(
    request: TokenRequest, caller: Caller, client: Client, memory: Memory, now: int
) -> tuple[Caller, Recalled]:
    """What was allowed; raises as `Waiting.asked`."""
    return await answered("auth_req_id", request, caller, client, memory, now)


async def recall_pushed(
    request: TokenRequest, caller: Caller, client: Client, memory: Memory, now: int, *, delivery: int
) -> tuple[Caller, Recalled]:
    """The same for tokens that are sent to the client (section 10.3.1), which may not ask for them itself."""
    return await answered("auth_req_id", request, caller, client, memory, now, delivery=delivery)


def resolve(request: TokenRequest, caller: Caller, client: Client, catalogue: Catalogue, recalled: Recalled) -> Asked:
    """The question of the first token of the grant."""
    return asked_of(NAME, recalled, request, caller, client, catalogue, narrows=False)
