"""`docs/facts.md` as it stands: its sources, connections and messages in a running service, from the database to the token."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import sqlite3
import time
import tomllib

import httpx2
import pytest
from joserfc.jwk import ECKey

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.server import serving
from mintwarden.app.wiring import open_service
from mintwarden.context.sources.breaker import FAILURES
from tests.docs.pages import blocks
from tests.flow.company import ADMIN, PAYMENTS, Company, furnish, write_company
from tests.flow.process import run
from tests.unit.authn.loopback import Loopback, answer, json_answer
from tools.findings import ROOT

BLOCKS = [(block.info, "\n".join(block.lines) + "\n") for block in blocks(ROOT / "docs" / "facts.md")]


def block(*info):
    return "".join(text for found, text in BLOCKS if found == info)


def stated(name):
    return json.loads(block("json", name))


RULE = 'when { principal in Group::"finance" };'


class People:
    """A database and a service of the operator's own."""

    def __init__(self, folder, service):
        self.service = service
        self.file = folder / "hr.db"
        self.sql("create table employees (login text primary key, synced_at text, grade integer, manager text)")
        self.row(grade=7)
        self.managed(stated("answer")["User:alice"]["facts"]["managed"])

    def sql(self, text, *values):
        with contextlib.closing(sqlite3.connect(self.file)) as database, database:
            database.execute(text, values)

    def row(self, *, grade, hours=0):
        at = f"-{hours} hours"
        self.sql("replace into employees values ('alice', datetime('now', ?), ?, null)", at, grade)

    def managed(self, managed):
        said = {"facts": {"managed": managed}, "observed_at": round(time.time() * 1000)}
        assert stated("answer")["User:alice"].keys() == said.keys()
        self.service.routes["/facts"] = json_answer({"User:alice": said})

    def down(self):
        self.service.routes["/facts"] = answer("500 Nonsense")


@contextlib.asynccontextmanager
async def company_of(folder):
    signer, login = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    async with Loopback({}) as service:
        connections = block("toml", "configuration")
        for name in tomllib.loads(connections)["connections"]:
            assert name in ("hr", "posture")
        local = service.url.replace("://", "://user:password@")
        more = connections.replace("https://user:password@posture.example", local)
        config = write_company(folder, signer, login, more=more)
        rules = folder / "bundle/rules/all.cedar"
        rules.write_text(rules.read_text().replace(RULE, "when { principal.grade >= 5 && principal.managed };", 1))
        with (folder / "bundle/sources.toml").open("a") as sources:
            sources.write(block("toml", "bundle"))
        people, given = People(folder, service), await furnish(config)
        running = await open_service(load_config(config, environ={}))
        try:
            async with (
                serving(running.surface, socket.create_server(("127.0.0.1", 0))) as base,
                httpx2.AsyncClient(base_url=base) as http,
            ):
                yield Company(folder=folder, base=base, http=http, secrets=given, signer=signer, login=login), people
        finally:
            await running.close()


async def ask(company):
    """Granted or the reason of the refusal, as the recorded story tells it; and the story."""
    person = company.signed_in("alice", int(time.time()))
    told = (await company.exchange("helper", person, scope="payments:read", resource=PAYMENTS)).json()
    decision = (await company.claims(told["access_token"]))["jti"] if "access_token" in told else told["decision"]
    form = {"grant_type": "client_credentials", "scope": "mintwarden:decisions.read", "resource": ADMIN}
    headers = {"authorization": f"Bearer {await company.token('operator', **form)}"}
    story = (await company.http.get(f"/admin/v1/decisions/{decision}", headers=headers)).json()
    (scope,) = story["scopes"]
    assert scope["granted"] is ("access_token" in told)
    return scope.get("reason") or "granted", story


def states(story):
    return {source["reading"]: source["state"] for source in story["facts"]["sources"]}


async def test_a_database_and_a_service_shape_the_next_token(tmp_path):
    async with company_of(tmp_path) as (company, people):
        outcome, story = await ask(company)
        assert outcome == "granted"
        assert states(story) | {"subject/hr": "present", "subject/posture": "present"} == states(story)
        assert story["facts"]["subject"]["facts"] == {"department": "finance", "grade": 7, "managed": True}
        path, head, body = people.service.seen[0]
        assert (path, json.loads(body)) == ("/facts", stated("request"))
        assert base64.b64encode(b"user:password") in head

        people.row(grade=4)
        assert (await ask(company))[0] == "no_route"
        people.row(grade=8)
        people.managed(False)
        assert (await ask(company))[0] == "no_route"
        people.managed(True)
        assert (await ask(company))[0] == "granted"


async def test_missing_stale_and_failing_are_three_refusals(tmp_path):
    async with company_of(tmp_path) as (company, people):
        people.row(grade=9, hours=25)
        outcome, story = await ask(company)
        assert (outcome, states(story)["subject/hr"]) == ("fact_stale", "stale")
        people.sql("delete from employees")
        outcome, story = await ask(company)
        assert (outcome, states(story)["subject/hr"]) == ("fact_missing", "missing")
        people.row(grade=9)
        people.down()
        outcome, story = await ask(company)
        assert (outcome, states(story)["subject/posture"]) == ("source_failing", "failing")
        people.managed(True)
        assert (await ask(company))[0] == "granted"
        people.file.rename(tmp_path / "elsewhere.db")
        outcome, story = await ask(company)
        assert (outcome, states(story)["subject/hr"]) == ("source_failing", "failing")


async def test_a_source_that_keeps_failing_is_left_alone(tmp_path):
    async with company_of(tmp_path) as (company, people):
        people.down()
        for _ in range(FAILURES):
            assert (await ask(company))[0] == "source_failing"
        asked = len(people.service.seen)
        people.managed(True)
        assert (await ask(company))[0] == "source_failing"
        assert len(people.service.seen) == asked


async def test_a_question_reads_the_same_sources(tmp_path, capsys):
    async with company_of(tmp_path) as (company, _people):
        words = ["grant=token_exchange", "subject=User:alice", "actors=Agent:helper", "audience=payments"]
        words = ["explain", "--ask", "client=helper", *words, "--config", str(company.folder / "mintwarden.toml")]
        assert await asyncio.to_thread(main, words) == 0
        out = capsys.readouterr().out
        assert "subject.grade = 7  (hr, " in out
        assert "subject.managed = true  (posture, " in out


async def test_facts_are_pushed_as_the_page_says(company):
    form = {"grant_type": "client_credentials", "scope": "mintwarden:facts.write", "resource": ADMIN}
    headers = {"authorization": f"Bearer {await company.token('operator', **form)}"}
    pushed = await company.http.put("/admin/v1/facts", json=stated("push"), headers=headers)
    assert (pushed.status_code, pushed.json()) == (200, stated("pushed"))
    code, out, err = await run("facts", "show", "User:alice", "--config", str(company.folder / "mintwarden.toml"))
    assert code == 0, err
    assert "score = 95" in out


@pytest.mark.parametrize("connection", ["hr", "posture"])
async def test_a_connection_that_is_not_configured_refuses_to_start(tmp_path, connection):
    config = write_company(tmp_path, ECKey.generate_key("P-256"), ECKey.generate_key("P-256"), server="port = 0")
    sources = tmp_path / "bundle/sources.toml"
    sources.write_text(sources.read_text() + block("toml", "bundle"))
    other = "posture" if connection == "hr" else "hr"
    kind = tomllib.loads(block("toml", "configuration"))["connections"][other]["kind"]
    with config.open("a") as file:
        file.write(
            f'[connections.{other}]\nkind = "{kind}"\nurl = "{"https://x.example/" if kind == "http" else "sqlite:///x"}"\n'
        )
    code, out, err = await run("serve", "--config", str(config))
    assert (code, out) == (2, "")
    assert err.splitlines()[-2].startswith(f"mintwarden: source `{connection}` needs the ")
    assert f"[connections.{connection}]" in err.splitlines()[-1]
