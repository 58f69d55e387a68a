"""A device's code for a token, once somebody allowed it elsewhere (RFC 8628)."""

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

NAME = "device_code"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
PARAMETERS = frozenset({"grant_type", "device_code", "resource", "audience", *DETAILS, *CONFINES, *LIMITS})


async def recall(
    request: TokenRequest, caller: Caller, client: Client, memory: Memory, now: int
) -> tuple[Caller, Recalled]:
    """What was allowed for the device; raises as `Waiting.asked`."""
    return await answered("device_code", request, caller, client, memory, now)


def resolve(request: TokenRequest, caller: Caller, client: Client, catalogue: Catalogue, recalled: Recalled) -> Asked:
    """The question of the first token of the grant."""
    return asked_of(NAME, recalled, request, caller, client, catalogue, narrows=False)
