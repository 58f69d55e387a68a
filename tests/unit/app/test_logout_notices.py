"""Notices that a session has ended: tried a few times, given up loudly, and never in anybody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from mintwarden.app.logout_notices import LogoutNotices
from mintwarden.authn.jose import decode_json, parse
from mintwarden.authn.ports import Posted
from mintwarden.authn.sessions import Session
from mintwarden.authn.sign_in import SignIn
from mintwarden.mint.signers import LocalSigner
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from tests.conftest import FrozenClock

SIGNER = LocalSigner(kid="k", algorithm="ES256", private_key=ec.generate_private_key(ec.SECP256R1()))
SESSION = Session(
    sign_in=SignIn(subject=EntityUid("User", "alice"), provider="corp", authenticated_at=1, session="sid"),
    digest="",
    began_at=1,
    ends_at=2,
    clients=("web",),
)
FAILED = MintwardenError(ErrorKind.SOURCE, "no answer")


class Stage:
    """The client's end, and what was told of failures."""

    def __init__(self, *answers: Posted | MintwardenError, where: str = "https://app.example.com/told") -> None:
        self.answers = list(answers)
        self.posted: list[tuple[str, str]] = []
        self.told: list[BaseException] = []
        self.where = where
        clock = FrozenClock()
        base = SimpleNamespace(
            clock=clock, issuer="https://tokens.example.com", ring=SimpleNamespace(signer_for=lambda _a: SIGNER)
        )
        catalogue = SimpleNamespace(identity="", audiences={"a": SimpleNamespace(algorithm="ES256")})
        current = SimpleNamespace(authenticator=self, bundle=SimpleNamespace(catalogue=catalogue))
        self.notices = LogoutNotices(
            cast("Any", base),
            governing=cast("Any", SimpleNamespace(current=current)),
            poster=self,
            stumbled=lambda _name, error: self.told.append(error),
            pauses=(0, 0),
        )

    async def find(self, client_id: str, _now: int) -> Any:
        if client_id == "broken":
            raise RuntimeError("unforeseen")
        return SimpleNamespace(backchannel_logout_uri=self.where) if client_id == "web" else None

    async def post(self, url: str, form: Mapping[str, str], *, authorization: str = "") -> Posted:
        self.posted.append((url, form["logout_token"]))
        answer = self.answers.pop(0) if self.answers else FAILED
        if isinstance(answer, MintwardenError):
            raise answer
        return answer

    async def done(self) -> None:
        await asyncio.gather(*self.notices._under_way)


@pytest.mark.parametrize("status", [200, 204])
async def test_a_client_is_told_once(status: int) -> None:
    stage = Stage(Posted(status, b""))
    stage.notices.tell(SESSION)
    await stage.done()
    ((where, token),) = stage.posted
    assert where == "https://app.example.com/told"
    assert decode_json(parse(token).payload)["aud"] == "web"
    assert stage.told == []


async def test_a_client_that_fails_is_told_again_with_another_token() -> None:
    stage = Stage(FAILED, Posted(503, b""), Posted(200, b""))
    stage.notices.tell(SESSION)
    await stage.done()
    assert len({token for _, token in stage.posted}) == 3
    assert stage.told == []


async def test_a_client_that_never_takes_it_is_given_up_loudly() -> None:
    stage = Stage(Posted(302, b""), Posted(400, b""))
    stage.notices.tell(SESSION)
    await stage.done()
    assert len(stage.posted) == 3
    assert stage.told == [FAILED]


async def test_who_wants_to_hear_nothing_hears_nothing() -> None:
    from msgspec.structs import replace

    stage = Stage(where="")
    stage.notices.tell(replace(SESSION, clients=("web", "gone", "broken")))
    await stage.done()
    assert stage.posted == []
    assert [str(error) for error in stage.told] == ["unforeseen"]


async def test_there_are_not_endlessly_many_under_way() -> None:
    from msgspec.structs import replace

    stage = Stage()
    stage.notices.tell(replace(SESSION, clients=tuple(f"client-{number}" for number in range(1_100))))
    assert [error.kind for error in stage.told if isinstance(error, MintwardenError)] == [ErrorKind.OVERLOADED]
    await stage.notices.close()
    assert not stage.notices._under_way
