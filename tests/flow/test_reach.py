"""Who can get what, over a real store: confirmed by deciding anew, and by tokens that are really issued."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.demo.directory import generate_directory
from mintwarden.app.demo.stage import meridian
from mintwarden.app.reach import Ended, Ground, Search, census, ground, what_can, who_can, who_may_act
from mintwarden.context.assemble import Assembler
from mintwarden.context.ports import FactDocument
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.load import load_bundle
from mintwarden.policy.decide import decide
from mintwarden.review.reach.question import Line, Question
from mintwarden.review.reach.reach import Reach
from mintwarden.review.reach.subjects import uid_of_key
from mintwarden.store import open_store
from mintwarden.store.store import DocumentChange
from tests.flow.company import ACCESS_TOKEN, Company

KEY = "A" * 43
_encode = msgspec.json.Encoder(order="sorted").encode


async def answered(base: Ground, scope: str, search: Search = Search(), **fixed: Any) -> tuple[list[Line], Ended]:  # noqa: B008
    found = [one async for one in who_can(base, Question(scope=scope, at=base.at, **fixed), search)]
    assert isinstance(found[-1], Ended)
    return [one for one in found if isinstance(one, Line)], found[-1]


# -- the small company: lines become tokens -------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def opened(company: Company):
    async with ground(load_config(company.folder / "mintwarden.toml", environ={}), at=int(time.time() * 1000)) as base:
        yield base


async def issued(company: Company, line: Line) -> dict[str, Any]:
    """The claims of a token asked for as the line says."""
    form: dict[str, Any] = {"scope": line.scope}
    if line.grant == "client_credentials":
        token = await company.token(line.client, grant_type="client_credentials", **form)
    else:
        now = int(time.time())
        claims = {"amr": ["mfa"]} if line.needs else {}
        subject = company.signed_in(line.subject.partition(":")[2], now, **claims)
        kind = {}
        if line.via:
            # the earlier token: the helper's, which the API was called with
            earlier = await company.exchange("helper", subject, scope=line.via[0])
            subject, kind = earlier.json()["access_token"], {"kind": ACCESS_TOKEN}
        answer = await company.exchange(line.client, subject, **kind, **form)
        assert answer.status_code == 200, (line, answer.text)
        token = answer.json()["access_token"]
    return await company.claims(token)


async def test_every_line_of_the_small_company_becomes_a_token(company):
    async with opened(company) as base:
        seen = 0
        for scope in ("payments:read", "payments:write", "ledger:read", "mintwarden:facts.write"):
            lines, _ = await answered(base, scope, Search(each_client=True))
            for line in lines:
                if line.client == "signer":
                    continue  # authenticates by key
                claims = await issued(company, line)
                seen += 1
                assert claims["scope"] == scope
                assert claims["sub"] == line.subject.partition(":")[2]
                assert claims["exp"] - claims["iat"] <= line.lifetime
                actors, act = [], claims.get("act")
                while act is not None:
                    actors.append(act["sub"])
                    act = act.get("act")
                assert actors == [actor.partition(":")[2] for actor in line.actors]
        assert seen >= 5


async def test_who_has_no_line_is_refused(company):
    async with opened(company) as base:
        lines, ended = await answered(base, "payments:read", Search(each_client=True))
        assert {line.principal for line in lines} == {"User:alice", "Workload:batch", "Workload:signer"}
        assert "web" not in {line.client for line in lines if line.principal == "User:alice"}
        assert ended.looked_at >= 7
    refused = await company.exchange("web", company.signed_in("alice", int(time.time())), scope="payments:read")
    assert refused.status_code == 400


# -- Meridian: every line is what `decide` says over the store ---------------------------------------------------------


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    """Meridian's generated directory in a store, and the configuration beside it."""
    folder = tmp_path_factory.mktemp("meridian")
    config = folder / "mintwarden.toml"
    (folder / "master.key").write_text(KEY)
    (folder / "master.key").chmod(0o600)
    config.write_text(f'[bundle]\npath = "{meridian()}"\n[keys]\nmaster_key_file = "master.key"\n')

    async def fill() -> None:
        now = int(time.time() * 1000)
        store = await open_store(f"sqlite:///{folder / 'mintwarden.db'}", create=True)
        changes = []
        for entity, documents in generate_directory(now, people=90).documents().items():
            pushed = {"User": ("risk", {"risk_score": 10})}.get(entity.partition(":")[0])
            said = {**documents, **({pushed[0]: FactDocument(facts=pushed[1])} if pushed else {})}
            if entity == "Agent:refunds-agent":
                running = {"model": "atlas-3", "tools": ["refund"], "budget_remaining": 90_000, "risk": 1}
                said["agent_state"] = FactDocument(facts=running)
            changes += [DocumentChange(entity, source, _encode(document), now) for source, document in said.items()]
        await store.directory.apply(changes)
        await store.close()

    asyncio.run(fill())
    return config


def at_meridian(config: Path, **settings: Any):
    return ground(load_config(config, environ={}), at=int(time.time() * 1000), **settings)


async def test_every_line_about_meridian_is_confirmed_over_the_store(directory):
    bundle = load_bundle(meridian())
    store = await open_store(f"sqlite:///{directory.parent / 'mintwarden.db'}", read_only=True)
    assembler = Assembler(catalogue=bundle.catalogue, facts=store.facts, external={})
    confirmed = 0
    async with at_meridian(directory) as base:
        for scope in bundle.catalogue.scopes:
            question = Question(scope=scope, at=base.at)
            reach = Reach(base.bundle, question, await base.world(question))
            lines, _ = await answered(base, scope)
            for line in lines:
                uid = uid_of_key(line.principal)
                found = reach.best(uid, (await base.known([line.principal]))[line.principal])
                assert found is not None
                assert msgspec.structs.replace(found.line) == line
                asked, _, at = found.situation
                if any(need.name == "require_approval" for need in line.needs):
                    continue
                facts = (await assembler.assemble(asked, None, at)).facts
                decision = decide(bundle, asked, facts, at)
                assert decision == found.decision
                assert decision.granted_scopes == (scope,)
                confirmed += 1
    await store.close()
    assert confirmed > 300


async def test_what_was_pushed_while_a_source_took_facts_approves_nothing_in_an_answer(directory):
    """Meridian's approvals come from people; a row of that name is from a time when its bundle had it pushed."""
    approvals = {f"people-lead:{scope}" for scope in load_bundle(meridian()).catalogue.scopes}
    row = FactDocument(facts={"approvals": sorted(approvals)})
    now = int(time.time() * 1000)
    store = await open_store(f"sqlite:///{directory.parent / 'mintwarden.db'}")
    await store.directory.apply([DocumentChange("Agent:refunds-agent", "approved", _encode(row), now)])
    try:
        async with at_meridian(directory) as base:
            seen = {key: answers async for batch in base.members() for key, answers in batch}
            assert "approved" not in seen["Agent:refunds-agent"]
            assert await base.known(list(seen)) == seen, "one by one and page by page are the same"
    finally:
        await store.directory.apply([DocumentChange("Agent:refunds-agent", "approved", None, now)])
        await store.close()


async def test_pages_put_together_are_the_whole(directory):
    async with at_meridian(directory) as base:
        whole, _ = await answered(base, "customers:notes", Search(each_client=True))
        found: list[Line] = []
        after = ""
        while True:
            lines, ended = await answered(base, "customers:notes", Search(each_client=True, limit=7, after=after))
            found += lines
            if not ended.next:
                break
            after = ended.next
    assert found == whole
    assert len(whole) > 14


async def test_other_processes_say_the_same(directory):
    async with at_meridian(directory) as base:
        here, ended = await answered(base, "payments:approve")
        most = len(here) - 1
        there, cut = await answered(base, "payments:approve", Search(processes=2, inline=0, limit=most))
    assert there == here[:most]
    assert cut.next == here[most - 1].principal
    assert ended.next == ""


async def test_who_may_act_at_meridian(directory):
    async with at_meridian(directory) as base:
        question = Question(scope="payments:refund", at=base.at)
        found = [one async for one in who_may_act(base, question, Search())]
        lines = {one.principal: one for one in found if isinstance(one, Line)}
        assert set(lines) == {"Agent:refunds-agent", "Workload:mcp-payments", "Workload:support-desk"}
        assert lines["Workload:mcp-payments"].via == ("tools:refund",)
        assert found[-1].remarks[0].startswith("tried for ")
        named = [one async for one in who_may_act(base, question, Search(), named=[EntityUid("User", "nobody")])]
        assert [one for one in named if isinstance(one, Line)] == []


async def test_what_somebody_can_get_is_what_who_can_says_scope_by_scope(directory):
    async with at_meridian(directory) as base:
        scopes = list(base.bundle.catalogue.scopes)
        for key in ("User:greta.hall", "Agent:refunds-agent"):
            lines = [x async for x in what_can(base, uid_of_key(key), lambda s: Question(scope=s, at=base.at), scopes)]
            assert {line.principal for line in lines} == {key}
            assert ("actor" in {line.role for line in lines}) == key.startswith("Agent:")
            for line in [line for line in lines if line.role == "subject"][:4]:
                there, _ = await answered(base, line.scope)
                assert line in there
            assert lines


async def test_groups_of_meridian(directory):
    async with at_meridian(directory) as base:
        reports, open_rules = await census(base, tried=2)
    by_name = {report.group: report for report in reports}
    assert open_rules == ()
    assert {one.scope: one.how for one in by_name["people-managers"].carries} == {
        "hr:leave.read": "decided",
        "mintwarden:approvals.read": "decided",
        "mintwarden:approvals.decide": "decided",
    }
    assert "payments-all" in by_name["dept-payment-operations"].within
    assert not by_name["dept-payment-operations"].could_go


# -- the command line ----------------------------------------------------------------------------------------------


def run(config: Path, *words: str) -> int:
    return main(["policy", *words, "--config", str(config)])


def test_the_command_prints_lines_their_reasons_and_where_to_go_on(directory, capsys):
    assert run(directory, "who-can", "ledger:close", "--limit", "1") == 0
    out = capsys.readouterr().out
    assert "through workbench in production  by ledger-close, ledger-workbench-alone  with require_acr=phr" in out
    assert "  ledger-close: " in out
    assert "note: rules look at the time" in out


def test_json_lines_end_with_how_it_ended(directory, capsys):
    assert run(directory, "who-can", "payments:cancel", "--json", "--limit", "2") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["line"] for line in lines] == ["found", "found", "end"]
    assert lines[-1]["next"] == lines[1]["principal"]
    assert run(directory, "who-can", "payments:cancel", "--json", "--after", lines[-1]["next"]) == 0
    more = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert more[0]["principal"] > lines[1]["principal"]


def test_csv_has_a_row_for_each_and_no_formulas(directory, capsys):
    assert run(directory, "who-can", "payments:cancel", "--csv") == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("principal,role,subject,scope,client")
    assert rows[1].startswith("User:")


def test_suppositions_change_the_answer_and_nothing_else(directory, capsys, tmp_path):
    supposed = tmp_path / "if.toml"
    supposed.write_text('[facts."User:new.hire".directory]\ngroups = ["privacy-office"]\n')
    assert run(directory, "what-can", "User:greta.hall", "--brief") == 0
    before = capsys.readouterr().out
    supposed.write_text('[facts."User:greta.hall".directory]\nfacts = { active = false }\n')
    assert run(directory, "what-can", "User:greta.hall", "--brief", "--under", str(supposed)) == 0
    after = capsys.readouterr().out
    assert before.splitlines()[-1].split()[0] != "0"
    assert after.splitlines()[-1].startswith("0 found")


def test_the_groups_command_lists_what_could_go(directory, capsys):
    assert run(directory, "groups", "--tried", "0", "--unused", "--json") == 0
    groups = json.loads(capsys.readouterr().out)["groups"]
    assert all(not group["carries"] for group in groups)
    assert any(group["could_go"] for group in groups)
    assert run(directory, "groups", "--tried", "0") == 0
    assert "carries nothing itself; all of them are in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["who-can", "payments:aprove"], "there is no scope `payments:aprove`"),
        (["who-can", "payments:read", "--client", "nobody"], "there is no client `nobody`"),
        (["who-can", "payments:read", "--purpose", "fun"], "there is no purpose `fun`"),
        (["who-can", "payments:read", "--at", "noon"], "`noon` is not a time"),
        (["who-can", "payments:read", "--hops", "9"], "out of range"),
        (["who-can", "payments:read", "--json", "--csv"], "exclude each other"),
        (["who-can", "payments:read", "--act", "--actor", "Agent:x"], "exclude each other"),
        (["who-can", "payments:read", "--actor", "x"], "`x` is not a principal"),
        (["what-can", "alice"], "`alice` is not a principal"),
        (["what-can", "User:alice", "--audience", "moon"], "there is no audience `moon`"),
        (["groups", "--tried", "-1"], "`--tried` is out of range"),
    ],
)
def test_what_makes_no_sense_is_refused(directory, capsys, words, said):
    assert run(directory, *words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("twice.json", '{"facts": {}, "facts": {}}', "a key is there twice"),
        ("deep.json", "[" * 100_000, "cannot be read"),
        ("list.json", "[]", "holds no table"),
        ("bad.toml", "facts = ", "cannot be read"),
        ("odd.toml", '[facts."User:x".nowhere]\n', "odd.toml:1:17: no source `nowhere` is about `User`"),
        ("key.toml", '# a\n\n[fact."User:x".hr]\n', "key.toml:3:2: unknown key `fact` in `suppositions`"),
        ("state.json", '{"facts": {\n "User:x": {"directory": {\n"state": "odd"}}}}', "state.json:3:10: unknown value"),
        ("empty.toml", "", "empty.toml: nothing is supposed"),
    ],
)
def test_a_file_of_suppositions_that_cannot_be_taken_is_refused(directory, capsys, tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    assert run(directory, "who-can", "payments:read", "--under", str(tmp_path / name)) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_not_there_is_refused(directory, capsys, tmp_path):
    assert run(directory, "who-can", "payments:read", "--under", str(tmp_path / "none.toml")) == 2
    assert "cannot be read: no such file" in capsys.readouterr().err
