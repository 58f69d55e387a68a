from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time

import pytest

from mintwarden.app.cli import main
from tests.flow.company import PAYMENTS


async def cli(capsys, *words):
    """The command line in a thread, as it has an event loop of its own."""
    code = await asyncio.to_thread(main, words)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def config(company):
    return str(company.folder / "mintwarden.toml")


async def exchanged(company):
    person = company.signed_in("alice", int(time.time()), amr=["pwd"])
    answer = await company.exchange("helper", person, scope="payments:read payments:write", resource=PAYMENTS)
    return answer.json()["access_token"]


async def test_the_whole_story_of_a_token_on_one_page(company, config, capsys):
    token = await exchanged(company)
    code, out, err = await cli(capsys, "explain", token, "--config", config)
    assert code == 0, err
    for told in (
        "signature: good; it is the recorded one",
        "User:alice",
        "Agent:helper",
        "staff-read",
        "agent-acts",
        "finance reads",
        "payments:write refused",
        "require_amr mfa",
        "Token Governance (governance@example.com)",
        "subject/directory",
    ):
        assert told in out, (told, out)
    assert len(out.splitlines()) < 80


async def test_a_refusal_by_its_id_and_as_json(company, config, capsys):
    answer = await company.ask("batch", grant_type="client_credentials", scope="payments:write")
    decision = answer.json()["decision"]
    code, out, _ = await cli(capsys, "explain", decision, "--config", config, "--json")
    assert code == 0
    story = json.loads(out)
    assert (story["id"], story["outcome"], story["replay"]) == (decision, "refused", "same")
    assert story["why"]["scopes"][0]["reason"] == "client_ceiling"
    assert story["proof"]["leaf"]


async def test_from_standard_input(company, config):
    token = await exchanged(company)
    words = [sys.executable, "-m", "mintwarden", "explain", "-", "--config", config]
    told = await asyncio.to_thread(subprocess.run, words, input=token.encode(), capture_output=True, check=True)
    assert b"the recorded one" in told.stdout


async def test_a_changed_token_is_told_apart(company, config, capsys):
    head, payload, signature = (await exchanged(company)).split(".")
    changed = f"{head}.{payload}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    _, out, _ = await cli(capsys, "explain", changed, "--config", config)
    assert "signature: false; it is the recorded one" in out


async def test_an_act_that_governs(company, config, capsys):
    async def first_entry():
        for _ in range(100):
            answer = await company.http.get("/ledger/tile/entries/000.p/1")
            if answer.status_code == 200:
                return json.loads(answer.content[2:])
            await asyncio.sleep(0.02)
        raise AssertionError("no entry")

    entry = await first_entry()
    code, out, _ = await cli(capsys, "explain", entry["id"], "--config", config)
    assert code == 0
    assert "key rotation" in out
    assert "Workload:mintwarden" in out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["explain", "nonsense"], 2),
        (["explain", "a.b.c"], 2),
        (["explain"], 2),
        (["explain", "01999999-0000-7000-8000-000000000001"], 2),
        (["explain", "--ask", "client=nobody", "audience=payments"], 2),
        (["explain", "--ask", "client=batch"], 2),
        (["explain", "--ask", "client=batch", "audience=payments", "colour=red"], 2),
        (["explain", "--ask", "nonsense"], 2),
    ],
)
async def test_what_cannot_be_explained(company, config, capsys, words, code):
    told, out, err = await cli(capsys, *words, "--config", config)
    assert told == code
    assert out == ""
    assert err.startswith("mintwarden: ")


async def test_a_question_is_decided_and_leaves_nothing_behind(company, config, capsys):
    before = (await company.http.get("/metrics")).text.count("mintwarden_decisions_total{")
    words = ["client=helper", "grant=token_exchange", "subject=User:alice", "actors=Agent:helper"]
    words += ["audience=payments", "scopes=payments:read,payments:write", "amr=pwd,mfa"]
    code, out, err = await cli(capsys, "explain", "--ask", *words, "--config", config)
    assert code == 0, err
    assert "nothing was issued or recorded" in out
    assert "payments:write granted" in out
    code, out, _ = await cli(capsys, "explain", "--ask", *words, "--config", config, "--json")
    story = json.loads(out)
    assert story["outcome"] == "granted"
    assert story["claims"][0]["value"] == "finance"
    assert "proof" not in story
    assert (await company.http.get("/metrics")).text.count("mintwarden_decisions_total{") == before
