"""One rule, one fact, one entitlement, one scope less: every way to a token, and to a decision about one, moves along.

INVARIANT: every grant of `issue.grants` has its way in `WAYS`; a new one without fails here, whatever else is tested.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import pytest_asyncio
from msgspec import Struct

from mintwarden.context.ports import FactRow
from mintwarden.issue import judge, pipeline
from mintwarden.issue.grants import GRANTS, ciba, device_code
from mintwarden.issue.grants.token_exchange import KINDS as REQUESTED
from mintwarden.store.store import DocumentChange
from tests.flow import test_across_domains
from tests.flow.authorizing import BACK, IDENTITY
from tests.flow.company import ACCESS_TOKEN, CLIENT, EXCHANGE, JWT_TYPE, PAYMENTS, public
from tests.flow.governed import activated, change, with_people
from tests.flow.notified import client_server
from tests.hostile.tokens import kinds
from tests.hostile.tokens.kinds import ISSUER, JWT_BEARER, KINDS, World, asking, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXTRA, PROFILE, CALENDAR, SETTLE = "payments:audit", "profile", "calendar:read", "payment:settle"
"""What everybody here may have for now: at the API beside `payments:read`; at user info; elsewhere; in a transaction."""
SCOPES = f"payments:read {EXTRA}"
SCOPE = f'[scopes."{EXTRA}"]\nmeaning = "Audit payments"\ntier = "low"\ncarries = ["{EXTRA}"]\n'
PERMIT = f"""
@id("audit") @owner("Payments") @reason("auditors audit")
permit (principal, action == Action::"issue", resource == Scope::"{EXTRA}") when {{ principal in Group::"auditors" }};
"""
ANY = " || ".join(f'resource == Scope::"{scope}"' for scope in (EXTRA, PROFILE, CALENDAR, SETTLE))
GUARDS = f"""
@id("alarm") @owner("Token Governance") @reason("at alarm nobody has more than they need")
forbid (principal, action == Action::"issue", resource)
when {{ principal has level && principal.level >= 3 && ({ANY}) }};
@id("auditors-alone") @owner("Token Governance") @reason("nobody else needs it")
forbid (principal, action == Action::"issue", resource) when {{ {ANY} }} unless {{ principal in Group::"auditors" }};
"""
SOURCE = """
[sources.alarm]
kind = "store"
about = ["User", "Workload"]
max_age = "24h"
missing = "absent"
description = "Alarms"
[sources.alarm.facts]
level = "long"
"""
SUBJECTS = ("User:corp/alice", "User:login/alice", "User:partner/ann", "Workload:app", "Workload:operator")


class Way(Struct, frozen=True, kw_only=True):
    """A way to a token, or to a decision about one.

    Attributes:
        grant: what the ledger calls it.
        prepare: everything that happens before, such as a person who signs in.
        ask: is the extra scope in what comes of it.
        extra: the scope that it is about.
        alone: nothing else is asked for.
        issued: the type of what comes of it (RFC 8693 section 3).
        entries: how many decisions are written down for one answer.
    """

    grant: str
    ask: Callable[[World, str], Awaitable[bool]]
    prepare: Callable[[World], Awaitable[str]]
    extra: str = EXTRA
    alone: bool = False
    issued: str = ACCESS_TOKEN
    entries: int = 1


def _has(answer: httpx2.Response) -> bool:
    if answer.status_code == 400:
        assert answer.json()["error"] in ("invalid_scope", "invalid_grant"), answer.text
        return False
    assert answer.status_code == 200, answer.text
    assert "payments:read" in answer.json()["scope"].split()
    return EXTRA in answer.json()["scope"].split()


def token(**form: Any) -> Callable[[World, str], Awaitable[bool]]:
    """A request to the token endpoint; the value of `...` is what was prepared."""

    async def ask(world: World, prepared: str) -> bool:
        return _has(await world.token(**{name: prepared if value is ... else value for name, value in form.items()}))

    return ask


def whole(**form: Any) -> Callable[[World, str], Awaitable[bool]]:
    """The same, for what is all or nothing."""

    async def ask(world: World, prepared: str) -> bool:
        sent = {name: prepared if value is ... else value for name, value in form.items()}
        answer = await world.token(**sent)
        assert answer.is_success or answer.json()["error"] == "invalid_scope", answer.text
        return answer.is_success

    return ask


async def nothing(_world: World) -> str:
    return ""


REQUEST = asking(scope=f"openid profile offline_access {SCOPES}")


async def code(world: World) -> str:
    return await world.code(REQUEST)


async def redeemed(world: World, name: str, resource: str = PAYMENTS) -> str:
    form = {"grant_type": "authorization_code", "code": await code(world), "redirect_uri": BACK, "resource": resource}
    return await world.made(name, code_verifier=REQUEST.verifier, **form)


async def token_of_a_person(world: World) -> str:
    assertion = await KINDS["assertion of a partner"](world)
    return await world.made(grant_type=JWT_BEARER, assertion=assertion, scope=SCOPES)


async def question(world: World) -> str:
    """Put to a person; what comes of it is pushed to who put it."""
    form = {"scope": f"openid {SCOPES}", "login_hint": "corp/alice", "client_notification_token": "n" * 32}
    answer = await world.http.post("/bc-authorize", data=world.assertion("till") | form)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["auth_req_id"])


async def pushed(world: World, prepared: str) -> bool:
    """The person allows it, and that is all that is asked."""
    page = await world.browser.get("/approvals", {"r": prepared.partition(".")[0]})
    await kinds.allowed(world, await world.desk.through(page, world.browser))
    assert world.notified is not None
    _, document = await world.notified.next()
    assert document["auth_req_id"] == prepared
    assert "payments:read" in document["scope"].split()
    return EXTRA in document["scope"].split()


async def introspected(world: World, prepared: str) -> bool:
    answer = (await world.http.post("/introspect", data=world.assertion() | {"token": prepared})).json()
    assert answer["active"]
    return EXTRA in answer["scope"].split()


async def user_info(world: World, prepared: str) -> bool:
    headers = {"Authorization": f"Bearer {prepared}"}
    answer = await world.http.get("/userinfo", headers=headers)
    assert answer.status_code == 200, answer.text
    return "department" in kinds.payload(answer.text)


async def point(world: World) -> str:
    scope = "authzen:evaluate authzen:issue"
    return await world.company.token("operator", grant_type="client_credentials", scope=scope)


async def evaluated(world: World, prepared: str) -> bool:
    question = {
        "subject": {"type": "user", "id": "login/alice"},
        "action": {"name": EXTRA},
        "resource": {"type": "audience", "id": PAYMENTS},
        "context": {"client_id": "app"},
    }
    return bool((await _at_the_point(world, prepared, "evaluation", question)).get("decision"))


async def issued_elsewhere(world: World, prepared: str) -> bool:
    question = {
        "subject": {"type": "user", "id": "login/alice"},
        "resource": {"type": "audience", "id": PAYMENTS},
        "context": {
            "client_id": "app",
            "issuance": {"capabilities": ["urn:ietf:params:authzen:token-issuance"]},
        },
        "evaluations": [
            {"action": {"name": "issue:access_token:token_exchange"}},
            *({"action": {"name": scope}} for scope in SCOPES.split()),
        ],
        "options": {"evaluations_semantic": "execute_all"},
    }
    gate, read, extra = (await _at_the_point(world, prepared, "evaluations", question))["evaluations"]
    assert gate["decision"]
    assert read["decision"]
    return bool(extra["decision"])


async def searcher(world: World) -> str:
    return await world.company.token("operator", grant_type="client_credentials", scope="authzen:search")


async def searched(world: World, prepared: str) -> bool:
    """What somebody may do there."""
    question = {
        "subject": {"type": "user", "id": "login/alice"},
        "resource": {"type": "audience", "id": PAYMENTS},
        "context": {"client_id": "app"},
    }
    found = {one["name"] for one in (await _at_the_point(world, prepared, "search/action", question))["results"]}
    assert "payments:read" in found
    return EXTRA in found


async def _at_the_point(world: World, bearer: str, path: str, question: Any) -> Any:
    headers = {"Authorization": f"Bearer {bearer}"}
    answer = await world.http.post(f"/access/v1/{path}", json=question, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


WAYS = {
    "client_credentials": Way(
        grant="client_credentials", prepare=nothing, ask=token(grant_type="client_credentials", scope=SCOPES)),
    "authorization_code": Way(
        grant="authorization_code", prepare=code,
        ask=token(grant_type="authorization_code", code=..., redirect_uri=BACK, code_verifier=REQUEST.verifier,
                  resource=PAYMENTS)),
    "refresh_token": Way(
        grant="refresh_token", prepare=lambda world: redeemed(world, "refresh_token"),
        ask=token(grant_type="refresh_token", refresh_token=..., resource=PAYMENTS)),
    "token_exchange": Way(
        grant="token_exchange", prepare=KINDS["ID token of a trusted issuer"],
        ask=token(grant_type=EXCHANGE, subject_token=..., subject_token_type=JWT_TYPE, scope=SCOPES)),
    "token_exchange, of a token of ours": Way(
        grant="token_exchange", prepare=token_of_a_person,
        ask=token(grant_type=EXCHANGE, subject_token=..., subject_token_type=JWT_TYPE, scope=SCOPES)),
    "token_exchange, for another domain": Way(
        grant="token_exchange", prepare=lambda world: redeemed(world, "id_token"), extra=CALENDAR, alone=True,
        issued=kinds.ID_JAG,
        ask=whole(grant_type=EXCHANGE, subject_token=..., subject_token_type=kinds.ID_TOKEN,
                  requested_token_type=kinds.ID_JAG, audience=test_across_domains.ELSEWHERE, scope=CALENDAR)),
    "token_exchange, for a transaction": Way(
        grant="token_exchange", prepare=token_of_a_person, extra=SETTLE, alone=True, issued=kinds.TXN_TOKEN,
        ask=whole(grant_type=EXCHANGE, subject_token=..., subject_token_type=ACCESS_TOKEN,
                  requested_token_type=kinds.TXN_TOKEN, audience=test_across_domains.DOMAIN, scope=SETTLE)),
    "jwt_bearer": Way(
        grant="jwt_bearer", prepare=KINDS["assertion of a partner"],
        ask=token(grant_type=JWT_BEARER, assertion=..., scope=SCOPES)),
    "device_code": Way(
        grant="device_code", prepare=lambda world: kinds.device_code(world, f"openid {SCOPES}"),
        ask=token(grant_type=device_code.GRANT_TYPE, device_code=..., resource=PAYMENTS)),
    "ciba": Way(
        grant="ciba", prepare=lambda world: kinds.auth_req_id(world, f"openid {SCOPES}"),
        ask=token(grant_type=ciba.GRANT_TYPE, auth_req_id=..., resource=PAYMENTS)),
    "ciba, pushed": Way(grant="ciba", prepare=question, ask=pushed),
    "introspection": Way(grant="", prepare=token_of_a_person, ask=introspected, entries=0),
    "user info": Way(
        grant="authorization_code", prepare=lambda world: redeemed(world, "access_token", ISSUER), ask=user_info,
        extra=PROFILE),
    "the decision point": Way(grant="", prepare=point, ask=evaluated, entries=0),
    "the decision point, searching": Way(grant="", prepare=searcher, ask=searched, entries=0),
    "the decision point, for another issuer": Way(grant="token_exchange", prepare=point, ask=issued_elsewhere),
}  # fmt: skip

CORE = frozenset(
    "v kind id at bundle evaluator mode issuer grant client method subject audience environment scopes granted lifetime "
    "facts".split()
)
"""What the entry of every answer that grants something has, whichever way it was asked for."""
MORE = {
    "prepared": "a token of ours came of it",
    "signer": "somebody else signs",
    "actors": "somebody acts for the subject",
    "identity": "an ID token came beside it",
    "claims": "there are claims in it",
}
"""What it has besides, and why."""
TOKENS = frozenset(WAYS) - {"user info", "the decision point, for another issuer"}


class House:
    """The world, and what the ledger says of each answer."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bundle = world.company.folder / "bundle"
        self.config = world.company.folder / "mintwarden.toml"
        self.read = 0
        self.shapes: dict[str, frozenset[str]] = {}
        self.less: dict[str, frozenset[str]] = {}
        self.refused: dict[str, frozenset[str]] = {}

    async def decisions(self) -> list[dict[str, Any]]:
        """Those that were written down since the last time."""
        store = self.world.base.store
        while await store.tree.sequence(1_000):
            pass
        found = await store.entries.by_index(self.read, 10_000)
        self.read += len(found)
        entries = [msgspec.json.decode(one.entry) for one in found]
        return [entry for entry in entries if entry["kind"] == "decision"]

    async def outcomes(
        self, do: Callable[[], Awaitable[object]] | None = None, *, nowhere: bool = False
    ) -> dict[str, bool]:
        """What each way leads to, when `do` happens after everything was prepared and before anything is asked.

        `nowhere`: the extra scope is in no catalogue by then, so that whoever names it is refused as a whole.
        """
        prepared = {name: await way.prepare(self.world) for name, way in WAYS.items()}
        if do is not None:
            await do()
        found = {}
        for name, way in WAYS.items():
            await self.decisions()
            found[name] = await way.ask(self.world, prepared[name])
            entries = await self.decisions()
            assert len(entries) == way.entries, (name, entries)
            for entry in entries:
                assert entry["grant"] == way.grant, (name, entry)
                assert entry["granted"] or ((way.alone or nowhere) and not found[name]), (name, entry)
                told = {one["scope"]: one["granted"] for one in entry["scopes"]}
                assert told.get(way.extra, False) is found[name], (name, told)
                if found[name]:
                    self.shapes[name] = frozenset(entry)
                elif entry["granted"]:
                    self.less[name] = frozenset(entry)
                else:
                    self.refused[name] = frozenset(entry)
        return found

    async def activate(self, *changes: tuple[str, str, str]) -> None:
        """Another version governs."""
        for file, old, new in changes:
            change(self.bundle, file, old, new)
        await activated(self.config, self.bundle)

    async def alarm(self, level: int) -> None:
        """One fact, about each of those who ask here."""
        store = self.world.base.store
        row = FactRow("alarm", json.dumps({"facts": {"level": level}}).encode(), self.world.base.clock.now())
        await store.facts.put([(subject, row) for subject in SUBJECTS])

    async def put_in(self, *groups: str) -> None:
        """One entitlement, likewise."""
        store, now = self.world.base.store, self.world.base.clock.now()
        row = json.dumps({"facts": {"department": "finance"}, "groups": ["finance", *groups]}).encode()
        await store.directory.apply([DocumentChange(subject, "directory", row, now) for subject in SUBJECTS])


def furnish(bundle: Path, notified_at: str) -> None:
    with_people(bundle)
    where = f'backchannel_token_delivery_mode = "push"\nbackchannel_client_notification_endpoint = "{notified_at}"'
    ceilings = 'identity = "*"\npayments = "*"'
    text = CLIENT.format(
        id="till", kind="web", method="private_key_jwt", grants='"ciba"', more=where, ceilings=ceilings
    )
    (bundle / "clients/till.toml").write_text(f"{text}[[client.keys]]\n{public(kinds.KEY, 'one')}\n")
    change(bundle, "sources.toml", 'about = ["User"]', 'about = ["User", "Workload"]')
    (bundle / "sources.toml").write_text((bundle / "sources.toml").read_text() + SOURCE)
    change(bundle, "audiences/payments.toml", "[claims]", "[introspection]\nfresh = true\n[claims]")
    change(bundle, "audiences/payments.toml", '[scopes."payments:write"]', f'{SCOPE}[scopes."payments:write"]')


@contextlib.asynccontextmanager
async def housed(folder: Path) -> AsyncIterator[House]:
    async with (
        client_server(204) as there,
        world(folder, rules=PERMIT + GUARDS, edit=lambda bundle: furnish(bundle, there.url)) as made,
    ):
        made.notified = there
        found = House(made)
        await found.put_in("auditors")
        await found.alarm(1)
        await made.code(asking())
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One for all; whoever changes something changes it back."""
    async with housed(tmp_path_factory.mktemp("ways")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def lost(tmp_path: Path) -> AsyncIterator[House]:
    """One for what is not changed back."""
    async with housed(tmp_path) as found:
        yield found


ALL, NONE = dict.fromkeys(WAYS, True), dict.fromkeys(WAYS, False)


async def test_every_grant_has_its_way() -> None:
    ways = {way.grant for way in WAYS.values()}
    assert [grant.name for grant in GRANTS if grant.name not in ways] == []
    issued = {way.issued for way in WAYS.values() if way.grant == "token_exchange"}
    assert issued == set(REQUESTED) - {JWT_TYPE}, "and whatever comes of an exchange; a JWT is an access token"


async def test_each_grant_is_a_file_and_the_line_knows_none_by_its_name() -> None:
    """What is walked is the same for every grant; a branch in it would be a way beside the others."""
    folder = Path(inspect.getfile(ciba)).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == {grant.name for grant in GRANTS}
    names = {name for grant in GRANTS for name in (grant.name, grant.grant_type)}
    for module in (pipeline, judge):
        tree = ast.walk(ast.parse(inspect.getsource(module)))
        found = {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        assert found & names == set(), module.__name__


async def test_one_rule(house: House) -> None:
    assert await house.outcomes() == ALL
    rule = ("rules/all.cedar", "principal.level >= 3", "principal.level >= 1")
    assert await house.outcomes(lambda: house.activate(rule)) == NONE
    await house.activate((rule[0], rule[2], rule[1]))
    assert await house.outcomes() == ALL


async def test_one_fact(house: House) -> None:
    assert await house.outcomes(lambda: house.alarm(5)) == NONE
    await house.alarm(1)
    assert await house.outcomes() == ALL


async def test_one_entitlement(house: House) -> None:
    assert await house.outcomes(house.put_in) == NONE
    await house.put_in("auditors")
    assert await house.outcomes() == ALL


def _table(header: str, text: str) -> str:
    """A table of TOML, up to the next."""
    return header + text.partition(header)[2].partition("\n[")[0] + "\n"


def _rule(name: str, text: str) -> str:
    head = f'@id("{name}")'
    return head + text.partition(head)[2].partition(";\n")[0] + ";\n"


async def test_one_scope_less(lost: House) -> None:
    """Nothing leads to what is not in the catalogue, from wherever and of whenever it was asked for.

    Whoever asks for it by its name gets nothing at all, and leaves an entry that says so, of the shape of all others.
    """
    assert await lost.outcomes() == ALL
    across = {name: test_across_domains.AUDIENCES[name] for name in ("elsewhere", "mesh")}
    gone = (
        ("audiences/payments.toml", SCOPE, ""),
        ("audiences/payments.toml", f', "{SETTLE}"', ""),
        ("audiences/identity.toml", '[claims]\ndepartment = ["profile"]\n', ""),
        ("audiences/identity.toml", _table("[scopes.profile]", IDENTITY), ""),
        ("audiences/elsewhere.toml", _table(f'[scopes."{CALENDAR}"]', across["elsewhere"]), ""),
        ("audiences/mesh.toml", _table(f'[scopes."{SETTLE}"]', across["mesh"]), ""),
        ("rules/all.cedar", PERMIT + GUARDS, ""),
        ("rules/all.cedar", _rule("calendar", test_across_domains.RULES), ""),
    )
    assert await lost.outcomes(lambda: lost.activate(*gone), nowhere=True) == NONE
    asking = {name for name, way in WAYS.items() if way.grant in ("client_credentials", "token_exchange", "jwt_bearer")}
    assert lost.refused.keys() == asking - {"the decision point, for another issuer"}
    for name, shape in lost.refused.items():
        assert shape == lost.shapes[name] - {"lifetime", "prepared", "claims", "identity"}, name


async def test_the_entries_of_all_have_the_same_shape(house: House) -> None:
    if not house.shapes:
        await house.outcomes()
    assert set(house.shapes) == {name for name, way in WAYS.items() if way.entries}
    for name, shape in house.shapes.items():
        assert shape >= CORE, (name, sorted(CORE - shape))
        assert shape <= CORE | MORE.keys(), (name, sorted(shape - CORE - MORE.keys()))
        assert ("prepared" in shape) == (name in TOKENS), name


async def test_and_so_have_those_of_answers_that_grant_less_or_nothing(house: House) -> None:
    """Of less, the very same members; of nothing, all but what only a token has."""
    if not house.refused:
        await house.outcomes()
        await house.outcomes(lambda: house.alarm(5))
        await house.alarm(1)
    assert house.refused.keys() == {name for name, way in WAYS.items() if way.alone}
    assert house.less.keys() | house.refused.keys() == house.shapes.keys()
    for name, shape in house.less.items():
        assert house.shapes[name] - shape <= {"claims"}, name
        assert shape <= house.shapes[name], name
    for name, shape in house.refused.items():
        assert shape == house.shapes[name] - {"lifetime", "prepared", "claims"}, name
