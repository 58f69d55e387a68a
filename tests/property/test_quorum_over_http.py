"""Fewer than a quorum change nothing either where it is served: over HTTP with everybody's sessions, and as commands."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mintwarden.app.cli import main
from mintwarden.policy.approve.statement import Statement
from mintwarden.policy.bundle.load import build_bundle
from tests.flow.company import JWT_TYPE, Company, running
from tests.flow.test_admin_governance import RULES, call, files_of, wanted
from tests.unit.govern.exceptional import key_of

APPROVERS = ("ann", "ben", "cem", "rita")
HELD = ("ann", "eve")
"""Whose keys the adversary holds: one approver's where two are needed, and one that nobody knows."""
QUORUM = """
[approvals]
required = 2
[approvals.higher_risk]
required = 2
tiers = ["high"]
[approvals.break_glass]
required = 2
max = "1h"
[approvals.rollback]
required = 2
""" + "".join(
    f'[[approvers]]\nname = "{name.title()}"\nuser = "{name}"\nkeys = ["{key_of(name).text}"]\n' for name in APPROVERS
)
RULES_FILE = "rules/all.cedar"
CHANGES: tuple[tuple[str, str, str], ...] = (
    (RULES_FILE, '@require_amr("mfa")\n', ""),
    (RULES_FILE, 'when { principal in Group::"finance" };', ";"),
    (RULES_FILE, 'principal == Workload::"batch"', 'principal == Workload::"nobody"'),
    ("bundle.toml", "required = 2", "required = 1"),
    ("bundle.toml", key_of("ben").text, key_of("eve").text),
    ("audiences/payments.toml", 'default_ttl = "5m"', 'default_ttl = "15m"'),
)
PERSON = st.sampled_from(["eve", "ann", "ben", "rita"])
NAME = st.sampled_from(["ann", "ben", "cem", "eve"])
CHANGE = st.integers(-1, len(CHANGES) - 1)
KIND = st.sampled_from(["activate", "rollback", "break_glass"])
STEP = st.one_of(
    st.tuples(st.just("version"), CHANGE, KIND, PERSON),
    st.tuples(st.just("exception"), st.sampled_from(["User:alice", "Workload:batch", "User:eve"]), PERSON, NAME),
    st.tuples(st.just("approval"), NAME, PERSON, st.integers(0, 9)),
    st.tuples(st.just("renewal"), NAME, PERSON, st.integers(0, 9)),
    st.tuples(st.just("command"), CHANGE, KIND, st.just("")),
)


def edit(bundle: Path) -> None:
    head, web = bundle / "bundle.toml", bundle / "clients/web.toml"
    reads, writes = 'description = "reads"', 'description = "writes"'
    excepted = 'exception_max = "7d"\nexception_approvals = 2'
    text = head.read_text().replace(reads, f"{reads}\n{excepted}").replace(writes, f"{writes}\n{excepted}")
    head.write_text(text)
    web.write_text(web.read_text() + 'mintwarden = "*"\n')


class Place:
    """The running company, what was recorded of it, and everything that the adversary may do there."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.files = files_of(company)
        self.exceptions: list[str] = []

    def version(self, change: int) -> tuple[Mapping[str, str], str]:
        files = dict(self.files)
        if change >= 0:
            file, old, new = CHANGES[change]
            assert old in files[file], old
            files[file] = files[file].replace(old, new)
        return files, build_bundle(files).digest

    async def word(self, digest: str, name: str, act: Any, key: str) -> str:
        active = (await call(self.company, "GET", "/activations")).json()["activations"]
        base, after = (active[0]["digest"], active[0]["number"]) if active else ("", 0)
        said = Statement(
            act=act, name=name.title(), issuer="https://tokens.example.com", bundle="small", digest=digest,
            base=base, after=after, at=int(time.time()),
        )  # fmt: skip
        return key_of(key).sign(said).text

    async def begin(self) -> None:
        """A first version, by its quorum."""
        files, digest = self.version(-1)
        words = [await self.word(digest, "rita", "author", "rita")]
        words += [await self.word(digest, name, "approve", name) for name in ("ben", "cem")]
        await call(self.company, "POST", "/versions", {"files": files, "signatures": words})
        active = await call(self.company, "POST", "/activations", {"digest": digest})
        assert active.status_code == 201, active.text

    async def issued(self) -> list[Any]:
        """What a few callers are issued now, without what differs from token to token."""
        found: list[Any] = []
        for amr in (["pwd"], ["pwd", "mfa"]):
            for person in ("alice", "eve"):
                token = self.company.signed_in(person, int(time.time()), amr=amr)
                answer = await self.company.exchange("web", token, JWT_TYPE, scope="payments:read payments:write")
                found.append(await self._told(answer.json()))
        batch = await self.company.ask("batch", grant_type="client_credentials", scope="payments:read")
        return [*found, await self._told(batch.json())]

    async def _told(self, answer: Mapping[str, Any]) -> Any:
        if "access_token" not in answer:
            return answer["error"]
        claims = await self.company.claims(answer["access_token"])
        life = claims["exp"] - claims["iat"]
        passing = ("jti", "iat", "exp", "ledger_leaf", "auth_time")
        return life, {name: value for name, value in claims.items() if name not in passing}

    async def do(self, step: tuple[Any, ...]) -> None:
        kind, *how = step
        await getattr(self, f"_{kind}")(*how)

    async def _version(self, change: int, kind: str, by: str) -> None:
        files, digest = self.version(change)
        act = "approve" if kind == "activate" else kind
        words = [await self.word(digest, "ann", "author", "ann")]
        words += [await self.word(digest, name, act, key) for key in HELD for name in APPROVERS]
        await call(self.company, "POST", "/versions", {"files": files, "signatures": words}, by=by)
        words = [await self.word(digest, "ann", act, "ann")]
        await call(self.company, "POST", f"/versions/{digest}/signatures", {"signatures": words}, by=by)
        asked: dict[str, Any] = {"kind": kind, "digest": digest, **({"reason": "mine"} if kind != "activate" else {})}
        asked |= {"seconds": 600} if kind == "break_glass" else {}
        answer = await call(self.company, "POST", "/activations", asked, by=by)
        assert answer.status_code in (400, 404, 409), answer.text

    async def _exception(self, principal: str, by: str, name: str) -> None:
        asked = wanted(principal=principal, scope="payments:write")
        answer = await call(self.company, "POST", "/exceptions", asked, by=by)
        assert answer.status_code == 201, answer.text
        self.exceptions.append(answer.json()["id"])
        for key in HELD:
            await self._approve(self.exceptions[-1], name, by, key)

    async def _approval(self, name: str, by: str, which: int) -> None:
        if self.exceptions:
            await self._approve(self.exceptions[which % len(self.exceptions)], name, by, HELD[which % 2])

    async def _renewal(self, name: str, by: str, which: int) -> None:
        if not self.exceptions:
            return
        ends = datetime.now(UTC) + timedelta(hours=2 + len(self.exceptions))
        body = {"expires_at": ends.isoformat(), "reason": "mine"}
        path = f"/exceptions/{self.exceptions[which % len(self.exceptions)]}/renewals"
        answer = await call(self.company, "POST", path, body, by=by)
        assert answer.status_code in (201, 400), answer.text
        if answer.status_code == 201:
            self.exceptions.append(answer.json()["id"])
            await self._approve(self.exceptions[-1], name, by, HELD[which % 2])

    async def _approve(self, exception: str, name: str, by: str, key: str) -> None:
        path = f"/exceptions/{exception}"
        told = await call(self.company, "GET", f"{path}/statement", name=name.title(), by=by)
        said = str(told.json().get("statement", ""))
        if said:
            text = f"{said}\n{key_of(key).armor(said.encode())}"
            answer = await call(self.company, "POST", f"{path}/approvals", {"approval": text}, by=by)
            assert answer.status_code != 200 or answer.json()["state"] == "requested", answer.text

    async def _command(self, change: int, kind: str, _by: str) -> None:
        _, digest = self.version(change)
        words = ["policy", "activate", digest]
        if kind == "rollback":
            words = ["policy", "rollback", digest, "--reason", "mine"]
        elif kind == "break_glass":
            words += ["--break-glass", "--reason", "mine", "--for", "1h"]
        code = await asyncio.to_thread(main, [*words, "--config", str(self.company.folder / "mintwarden.toml")])
        assert code in (1, 2), words


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Place]:
    often = "admin_rate = 10000\nadmin_burst = 10000\n"
    async with running(folder, server=often, registration=QUORUM, rules=RULES, edit=edit) as company:
        place = Place(company)
        await place.begin()
        yield place


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[asyncio.Runner, Place]]:
    """One service for all of it: whatever was tried before, nothing may have changed."""
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        entered = opened(Path(folder))
        yield runner, runner.run(entered.__aenter__())
        runner.run(entered.__aexit__(None, None, None))


def test_fewer_than_a_quorum_change_nothing_over_http_or_by_command(place: tuple[asyncio.Runner, Place]):
    runner, there = place
    before = runner.run(there.issued())
    assert {type(one) for one in before} == {tuple, str}, "somebody is refused, and somebody is not"

    @settings(max_examples=settings.get_profile("default").max_examples // 8)
    @given(steps=st.lists(STEP, min_size=1, max_size=4))
    def whatever_they_do(steps: list[tuple[Any, ...]]) -> None:
        for step in steps:
            runner.run(there.do(step))
        assert runner.run(there.issued()) == before

    whatever_they_do()


def test_one_word_more_and_it_changes(place: tuple[asyncio.Runner, Place]):
    """The last test of the module, for it does change something."""
    runner, there = place

    async def change() -> int:
        files, digest = there.version(0)
        words = [await there.word(digest, "ann", "author", "ann")]
        words += [await there.word(digest, name, "approve", name) for name in ("ben", "cem")]
        await call(there.company, "POST", "/versions", {"files": files, "signatures": words})
        return int((await call(there.company, "POST", "/activations", {"digest": digest}, by="eve")).status_code)

    before = runner.run(there.issued())
    assert runner.run(change()) == 201
    assert runner.run(there.issued()) != before
