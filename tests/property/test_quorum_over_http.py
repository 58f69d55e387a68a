"""Fewer than a quorum change nothing either where it is served: over HTTP with everybody's sessions, and as commands."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from mintwarden.app.cli import main
from mintwarden.policy.approve.statement import Statement
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.web.admin.api import OPERATIONS
from tests.flow.company import JWT_TYPE, Company, running
from tests.flow.test_admin_clients import NEW, REGISTRATION
from tests.flow.test_admin_governance import ALL, RULES, call, files_of, token_of, wanted
from tests.flow.test_open_registration import CREDENTIALS, table
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
TOMORROW = f"{datetime.now(UTC) + timedelta(hours=20):%Y-%m-%dT%H:%M:%SZ}"
ENDS = f'reason = "mine"\nuntil = "{TOMORROW}"\n'
OBSERVED = '[audience]\nmode = "observe"\n'
CHANGES: tuple[tuple[str, str, str], ...] = (
    (RULES_FILE, '@require_amr("mfa")\n', ""),
    (RULES_FILE, 'when { principal in Group::"finance" };', ";"),
    (RULES_FILE, 'principal == Workload::"batch"', 'principal == Workload::"nobody"'),
    ("bundle.toml", "required = 2", "required = 1"),
    ("bundle.toml", key_of("ben").text, key_of("eve").text),
    ("audiences/payments.toml", 'default_ttl = "5m"', 'default_ttl = "15m"'),
    (
        "audiences/payments.toml",
        "[audience]\n",
        f'[downgrade]\n{ENDS}[legacy]\neveryone = ["payments:read"]\n{OBSERVED}',
    ),
    (
        RULES_FILE,
        '@id("no-writing-at-risk")',
        f'@id("no-writing-at-risk") @mode("observe") @observe_until("{TOMORROW}")',
    ),
    ("sources.toml", 'users = ["cem"]', 'users = ["cem", "eve"]'),
    ("bundle.toml", "per_hour = 1000", "per_hour = 999"),
)
PERSON = st.sampled_from(["eve", "ann", "ben", "rita"])
NAME = st.sampled_from(["ann", "ben", "cem", "eve"])
CHANGE = st.integers(-1, len(CHANGES) - 1)
WHICH = st.integers(0, 9)
KIND = st.sampled_from(["activate", "rollback", "break_glass"])
STEPS = (
    st.tuples(st.just("version"), CHANGE, KIND, PERSON),
    st.tuples(st.just("exception"), st.sampled_from(["User:alice", "Workload:batch", "User:eve"]), PERSON, NAME),
    st.tuples(st.just("approval"), NAME, PERSON, WHICH),
    st.tuples(st.just("renewal"), NAME, PERSON, WHICH),
    st.tuples(st.just("command"), CHANGE, KIND, st.just("")),
    st.tuples(st.just("registered"), PERSON),
    st.tuples(st.just("self_registered")),
    st.tuples(st.just("credentials"), PERSON),
    st.tuples(st.just("bundled"), PERSON, WHICH),
    st.tuples(st.just("demanded"), PERSON, st.booleans()),
    st.tuples(st.just("facts"), PERSON, WHICH),
    st.tuples(st.just("upkeep"), PERSON, WHICH),
)
ALONE: Mapping[str, str] = {
    **dict.fromkeys(
        ("facts.push", "directory.change"), "facts are no policy: whoever the rules give the scope says them"
    ),
    "directory.erase": "whoever is forgotten is known no more: a scope of its own",
    "exceptions.revoke": "what was granted outside the rules is taken back in one command",
    "approvals.revoke": "so is what somebody approved",
    "clients.retire": "a registered client, of which the bundle says nothing, is refused",
    **dict.fromkeys(("keys.revoke", "revocations.make"), "tokens end; what is issued is as before"),
}
"""What one person may do by the scope alone, and why: it lies within the rules that a quorum approved, or only takes
away. Everything else that changes something is tried below."""
TRIED = (
    "versions.submit", "versions.sign", "activations.activate", "exceptions.request", "exceptions.approve",
    "exceptions.renew", "approvals.answer", "clients.register", "clients.change", "clients.rotate", "clients.keys",
    "findings.say", "findings.close", "keys.rotate",
)  # fmt: skip
FEEDS = ("facts.write", "directory.write", "subjects.erase")
"""Scopes that the adversary does not have: with them facts are changed, see `ALONE`."""
EVERYTHING = " ".join(
    f"mintwarden:{name}"
    for name in (
        *(one.removeprefix("mintwarden:") for one in ALL.split()),
        "proposals.read", "impact.read", "reach.read", "decisions.read", "facts.read", "directory.read", "owners.read",
        "clients.read", "clients.write", "keys.read", "keys.manage", "approvals.read", "approvals.decide",
    )
)  # fmt: skip
APPROVED = """
[sources.approved]
kind = "approvals"
about = ["Workload"]
description = "What Cem looked at"
[sources.approved.approvers.lead]
meaning = "I looked at the payment"
users = ["cem"]
lasts = "10m"
once = false
"""
DEMANDING = """
@id("batch-pays") @owner("Payments") @reason("the batch pays once Cem has looked at it")
@require_approval("lead")
permit (principal == Workload::"batch", action == Action::"issue", resource == Scope::"payments:write");
"""


def edit(bundle: Path) -> None:
    head, web = bundle / "bundle.toml", bundle / "clients/web.toml"
    reads, writes = 'description = "reads"', 'description = "writes"'
    excepted = 'exception_max = "7d"\nexception_approvals = 2'
    text = head.read_text().replace(reads, f"{reads}\n{excepted}").replace(writes, f"{writes}\n{excepted}")
    head.write_text(text)
    web.write_text(web.read_text() + 'mintwarden = "*"\n')
    batch, sources = bundle / "clients/batch.toml", bundle / "sources.toml"
    batch.write_text(batch.read_text().replace('["payments:read"]', '["payments:read", "payments:write"]'))
    sources.write_text(sources.read_text() + APPROVED)


class Place:
    """The running company, what was recorded of it, and everything that the adversary may do there."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.files = files_of(company)
        self.exceptions: list[str] = []
        self.registered = itertools.count()
        self.tokens: dict[tuple[str, str], str] = {}

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
                answer = await self.company.exchange("helper", token, JWT_TYPE, scope="payments:read payments:write")
                found.append(await self._told(answer.json()))
        for scope in ("payments:read", "payments:write"):
            batch = await self.company.ask("batch", grant_type="client_credentials", scope=scope)
            found.append(await self._told(batch.json()))
        return found

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
        if change >= 0 and kind == "activate":
            assert "is not approved" in answer.text, "nothing else keeps it from governing"

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

    async def _call(
        self, method: str, path: str, body: object = None, *, by: str, scopes: str = EVERYTHING, if_match: str = ""
    ) -> httpx2.Response:
        """By somebody who has every scope but those of the feeds, or some."""
        if (by, scopes) not in self.tokens:
            self.tokens[by, scopes] = await token_of(self.company, by, scopes)
        token = self.tokens[by, scopes]
        answer: httpx2.Response = await call(self.company, method, path, body, token=token, if_match=if_match)
        return answer

    async def _gets_nothing(self, client: str, secret: str, scope: str = "payments:read payments:write") -> None:
        form = {"grant_type": "client_credentials", "scope": scope}
        answer = await self.company.http.post("/token", data=form, auth=(client, secret))
        assert answer.status_code == 400, answer.text

    async def _registered(self, by: str) -> None:
        """A client of one's own, and more than the bundle lets anybody register."""
        name = f"reg-{next(self.registered)}"
        made = await self._call("POST", "/clients", {**NEW, "id": name}, by=by)
        assert made.status_code == 201, made.text
        await self._gets_nothing(name, made.json()["client_secret"])
        for wide in (
            {"id": "batch"}, {"kind": "batch"}, {"ceilings": {"payments": "*"}}, {"ceilings": {"mintwarden": "*"}},
        ):  # fmt: skip
            refused = await self._call("POST", "/clients", {**NEW, "id": f"{name}-wide", **wide}, by=by)
            assert refused.status_code in (400, 409), refused.text

    async def _self_registered(self) -> None:
        made = (await self.company.http.post("/register", json=CREDENTIALS)).json()
        await self._gets_nothing(made["client_id"], made["client_secret"])

    async def _credentials(self, by: str) -> None:
        """Another secret of a client: whoever has it is that client, and gets what it gets."""
        made = await self._call("POST", "/clients/batch/secrets", {}, by=by, if_match="*")
        assert made.status_code == 201, made.text
        await self._gets_nothing("batch", made.json()["client_secret"], "payments:write")

    async def _bundled(self, by: str, which: int) -> None:
        """What the bundle says of a client stays with it."""
        key = ECKey.generate_key("P-256")
        jwk = {**key.as_dict(private=False), "kid": "mine", "alg": "ES256", "use": "sig"}
        method, path, body = (
            ("PATCH", "/clients/batch", {"owner": "Eve"}),
            ("POST", "/clients/web/retirement", {"reason": "mine"}),
            ("PUT", "/clients/batch/keys", {"keys": [jwk]}),
        )[which % 3]  # fmt: skip
        refused = await self._call(method, path, body, by=by, if_match="*")
        assert refused.status_code in (400, 409), refused.text

    async def _demanded(self, by: str, approve: bool) -> None:
        """Whoever is not named answers nothing that a rule wants approved, whatever their token says."""
        form = {"grant_type": "client_credentials", "scope": "payments:write"}
        asked = await self.company.http.post(
            "/approval-requests", data=form, auth=("batch", self.company.secrets["batch"])
        )
        assert asked.status_code == 200, asked.text
        listed = (await self._call("GET", "/approval-requests", by=by)).json()["approval_requests"]
        assert [one["state"] for one in listed] == ["pending"]
        said = {"decision": "approve" if approve else "refuse", "seen": listed[0]["seen"]}
        refused = await self._call("POST", f"/approval-requests/{listed[0]['id']}/answer", said, by=by)
        assert refused.status_code in (403, 404, 409), refused.text

    async def _facts(self, by: str, which: int) -> None:
        """Facts are pushed by whoever has the scope of their source, and what is approved here is pushed by nobody."""
        risk = {"entity": "User:alice", "source": "risk", "facts": {"score": 99}}
        approved = {"entity": "Workload:batch", "source": "approved", "facts": {"approvals": ["lead:payments:write"]}}
        some = {"documents": [(risk, approved)[which % 2]]}
        for scopes in (EVERYTHING, "mintwarden:facts.write:directory"):
            assert (await self._call("PUT", "/facts", some, by=by, scopes=scopes)).status_code == 403
        refused = await self._call("PUT", "/facts", {"documents": [approved]}, by=by, scopes="mintwarden:facts.write")
        assert refused.status_code == 400, refused.text
        for path, body in (
            ("/sources/directory/changes", {"forget": ["User:alice"]}),
            ("/erasures", {"subject": "User:alice", "ticket": "X-1"}),
        ):
            assert (await self._call("POST", path, body, by=by)).status_code == 403

    async def _upkeep(self, by: str, which: int) -> None:
        """Findings are talked about, keys turned: nothing of it is policy."""
        if which % 3 == 2:
            turned = {"algorithm": "ES256", "at_once": True}
            assert (await self._call("POST", "/keys/rotations", turned, by=by)).status_code in (200, 201, 409)
            return
        found = (await self._call("GET", "/findings", by=by)).json()["findings"][0]["id"]
        if which % 3:
            answer = await self._call("POST", f"/findings/{found}/closure", {"note": "nothing to see"}, by=by)
            assert answer.status_code in (404, 409), answer.text
            return
        answer = await self._call("PUT", f"/findings/{found}/state", {"state": "acknowledged"}, by=by, if_match="*")
        assert answer.status_code == 200, answer.text


@contextlib.asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Place]:
    often = "admin_rate = 10000\nadmin_burst = 10000\n"
    heads = QUORUM + REGISTRATION + table()
    async with running(folder, server=often, registration=heads, rules=RULES + DEMANDING, edit=edit) as company:
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

    once = [find(kind, lambda _step: True) for kind in STEPS]
    once += [("version", change, "activate", "eve") for change in range(len(CHANGES))]
    once += [(kind, "eve", which) for kind in ("bundled", "facts", "upkeep") for which in range(3)]
    for step in once:  # each at least once, in order
        runner.run(there.do(step))
        assert runner.run(there.issued()) == before, step

    @settings(max_examples=settings.get_profile("default").max_examples // 8)
    @given(steps=st.lists(st.one_of(*STEPS), min_size=1, max_size=4))
    def whatever_they_do(steps: list[tuple[Any, ...]]) -> None:
        for step in steps:
            runner.run(there.do(step))
        assert runner.run(there.issued()) == before

    whatever_they_do()


def test_everything_that_changes_something_is_tried_or_it_is_said_why_one_person_may():
    changing = [one.id for one in OPERATIONS if one.method != "GET" and not one.id.startswith("reviews.")]
    assert sorted(changing) == sorted([*TRIED, *ALONE])


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
