"""What holds between a client and the people who come with it, beyond what it may have."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Refresh(Struct, frozen=True, kw_only=True):
    """How a client renews. Seconds.

    Attributes:
        rotate: each refresh hands out another refresh token and uses up the one before.
        idle: a refresh token that is not used for so long has ended.
        absolute: so long after the person allowed it, everything has ended.
    """

    rotate: bool = True
    idle: int = 14 * 86_400
    absolute: int = 90 * 86_400

    def ends(self, absolute: int, now: int) -> int:
        """When a refresh token of `now` ends for certain, for a grant that ends at `absolute`; all `Millis`.

        One that is kept does not know when it was last used: its grant does (`Memory.use`).
        """
        return min(absolute, now + self.idle * 1000) if self.rotate else absolute


class Authorization(Struct, frozen=True, kw_only=True):
    """What holds for a client's authorization requests.

    Attributes:
        consent: `explicit`, the person is asked; `implicit`, the bundle's word stands for theirs.
        remember: seconds for which what a person allowed is not asked again; 0 for asking each time.
        pushed: only pushed requests are taken (RFC 9126).
        signed: only signed requests are taken (RFC 9101).
        response_algorithm: of signed responses (JARM); empty for that of ID tokens.
        userinfo_algorithm: of signed user info; empty for plain JSON.
    """

    consent: Literal["explicit", "implicit"] = "explicit"
    remember: int = 90 * 86_400
    pushed: bool = False
    signed: bool = False
    response_algorithm: str = ""
    userinfo_algorithm: str = ""


class Protections(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client is held to at its own wish or by its file, beyond what `Client` says of every client.

    Attributes:
        assertion_algorithm: what alone its assertions may be signed with (`token_endpoint_auth_signing_alg`, RFC 7591
            section 2 as OpenID Connect Dynamic Client Registration 1.0 extends it); empty for any of its algorithms.
        object_algorithm: the same of its signed requests (`request_object_signing_alg`).
        id_token_algorithm: what its ID tokens are signed with, and no other; empty for whatever that is.
        introspection_algorithm: what signed answers to it are signed with (RFC 9701); empty as `algorithm_for` says.
        max_age, acr_values: what holds for each authorization request that says none (`default_max_age` in seconds,
            `default_acr_values`); None, and empty, for nothing.
        auth_time: it wants `auth_time` in ID tokens (`require_auth_time`), which each of ours has.
        dpop: it proves a key by DPoP with every token request (`dpop_bound_access_tokens`, RFC 9449 section 5.2).
    """

    assertion_algorithm: str = ""
    object_algorithm: str = ""
    dpop: bool = False
    id_token_algorithm: str = ""
    introspection_algorithm: str = ""
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()
    auth_time: bool = False


class ApprovalKind(Struct, frozen=True, kw_only=True):
    """An approval that rules demand by its name (`@require_approval`), and that is asked for and given here.

    Attributes:
        id: its name.
        meaning: what whoever gives it says by that.
        users, groups: who may give it: people by id, or everybody in a group.
        lasts: seconds that it counts, from when it is given.
        once: the first token that comes of it uses it up.
        waits: seconds that a request for it waits.
        acr: levels, at one of which whoever gives it must have signed in; empty for any.
    """

    id: str
    meaning: str
    users: tuple[str, ...]
    groups: tuple[str, ...]
    lasts: int
    once: bool
    waits: int
    acr: tuple[str, ...]


class Backchannel(Struct, frozen=True, kw_only=True):
    """How a client learns that a person answered elsewhere (OpenID CIBA Core 1.0 section 4).

    Attributes:
        delivery: `poll`, it asks; `ping`, it is told to ask; `push`, its tokens are sent to it.
        endpoint: where it is told, or where they are sent.
        signing: what it signs its requests with, each of them; empty where it need not (section 7.1.1).
    """

    delivery: Literal["poll", "ping", "push"] = "poll"
    endpoint: str = ""
    signing: str = ""
