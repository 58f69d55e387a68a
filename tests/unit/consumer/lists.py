"""An issuer's status lists in a nutshell, for what the consumer's side asks of them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from joserfc.jwk import ECKey

from mintwarden.consumer import StatusLists, TokenVerifier
from mintwarden.consumer.fetch import Fetched
from tests.unit.consumer.tokens import ISSUER, KEY, NOW, Site, b64, keys, presented, signed, token, verifier

URI = f"{ISSUER}/status/0"
KIND = "application/statuslist+jwt"


def placed(index: Any = 0, uri: Any = URI, **claims: Any) -> str:
    """A good token with a place in a list."""
    return token(**{"exp": NOW + 90_000, "status": {"status_list": {"idx": index, "uri": uri}}, **claims})


def lst(packed: bytes) -> str:
    return b64(zlib.compress(packed, 9))


def segment(part: Any) -> str:
    return b64(part if isinstance(part, bytes) else json.dumps(part).encode())


def listing(packed: Any = b"\0", header: Mapping[str, Any] | None = None, key: ECKey = KEY, **claims: Any) -> str:
    """A list of which every token is good, with changes; `...` takes a member away."""
    said = {"bits": 1, "lst": lst(packed)} if isinstance(packed, bytes) else packed
    head = {"typ": "statuslist+jwt", "alg": "ES256", "kid": "one", **(header or {})}
    body = {"sub": URI, "iss": ISSUER, "iat": NOW, "exp": NOW + 90_000, "ttl": 60, "status_list": said, **claims}
    made = [{name: value for name, value in part.items() if value is not ...} for part in (head, body)]
    return signed(made[0], made[1], key)


class Lists(Site):
    """A site whose lists are fetched with their headers. `asked` counts the fetches; `down` has them fail."""

    def __init__(self, text: str | bytes | None = None, **headers: str) -> None:
        super().__init__()
        self.lists = {URI: text or listing()}
        self.headers = {"content-type": KIND, **{name.replace("_", "-"): value for name, value in headers.items()}}
        self.asked: list[str] = []
        self.down = False

    async def fetch_list(self, url: str) -> Fetched:
        self.asked.append(url)
        if self.down:
            raise OSError("nobody answers")
        text = self.lists[url]
        return Fetched(text if isinstance(text, bytes) else text.encode(), self.headers)

    def status(self, **more: Any) -> StatusLists:
        made = {"keys": keys(self), "fetch": self.fetch_list, "clock": self.clock, "monotonic": self.clock, **more}
        return StatusLists(ISSUER, **made)

    def verifier(self, **more: Any) -> TokenVerifier:
        return verifier(self, status=self.status(**more))


async def taken(at: TokenVerifier, text: str) -> bool:
    return bool(await at.verify(presented(text)))
