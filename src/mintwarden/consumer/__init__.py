"""For APIs and MCP servers that take our tokens: what they say of themselves, what they check, what they answer."""

from mintwarden.consumer.challenge import Challenges
from mintwarden.consumer.keys import KeyCache, NoKeys
from mintwarden.consumer.middleware.asgi import Guard, InsufficientScope, InsufficientSignIn, token_of
from mintwarden.consumer.proof import Proofs
from mintwarden.consumer.resource import ProtectedResource
from mintwarden.consumer.status import NoStatus, StatusLists
from mintwarden.consumer.verify import AccessToken, Refused, TokenVerifier

__all__ = [
    "AccessToken",
    "Challenges",
    "Guard",
    "InsufficientScope",
    "InsufficientSignIn",
    "KeyCache",
    "NoKeys",
    "NoStatus",
    "Proofs",
    "ProtectedResource",
    "Refused",
    "StatusLists",
    "TokenVerifier",
    "token_of",
]
