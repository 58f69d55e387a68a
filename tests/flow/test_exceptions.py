"""An exception from its request to its end, on two nodes, by the command line and over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import shutil
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx2
import pytest
from joserfc.jwk import ECKey

from mintwarden.app.cli import main
from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.server import serving
from mintwarden.app.wiring import open_service
from mintwarden.context.ports import FactRow
from tests.flow.company import HEAD, PAYMENTS, Company, furnish, write_company
from tests.unit.govern.exceptional import key_of
from tests.unit.policy.approve.signing import KEYGEN, ssh_keygen

TIERS = {
    'description = "reads"': 'exception_max = "7d"\nexception_approvals = 2',
    'description = "writes"': 'exception_max = "1d"\nexception_approvals = 2',
}


class Nodes:
    """Two nodes on one store."""

    def __init__(self, companies: list[Company], config: Path) -> None:
        self.companies = companies
        self.config = config

    async def ask(self, node: int, *, person: str = "bob", scope: str = "payments:read") -> httpx2.Response:
        company = self.companies[node]
        token = company.signed_in(person, int(time.time()), amr=["pwd"])
        return await company.exchange("helper", token, scope=scope, resource=PAYMENTS)


def _bundle(folder: Path, keys: dict[str, str]) -> None:
    head = HEAD
    for tier, allows in TIERS.items():
        head = head.replace(tier, f"{tier}\n{allows}")
    head += "".join(
        f'[[approvers]]\nname = "{name.title()}"\nuser = "{name}"\nkeys = ["{key}"]\n' for name, key in keys.items()
    )
    (folder / "bundle/bundle.toml").write_text(head)


@contextlib.asynccontextmanager
async def two_nodes(folder: Path, keys: dict[str, str]) -> AsyncIterator[Nodes]:
    signer, login = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    config = write_company(folder, signer, login)
    _bundle(folder, keys)
    given = await furnish(config)
    async with foundation(load_config(config, environ={})) as base:
        said = json.dumps({"facts": {"department": "sales"}, "groups": []}).encode()
        await base.store.facts.put([("User:bob", FactRow("directory", said, base.clock.now()))])
    async with contextlib.AsyncExitStack() as stack:
        companies = []
        for _ in range(2):
            service = await open_service(load_config(config, environ={}))
            stack.push_async_callback(service.close)
            base_url = await stack.enter_async_context(serving(service.surface, socket.create_server(("127.0.0.1", 0))))
            http = await stack.enter_async_context(httpx2.AsyncClient(base_url=base_url))
            companies.append(
                Company(folder=folder, base=base_url, http=http, secrets=given, signer=signer, login=login)
            )
        yield Nodes(companies, config)


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    async with two_nodes(tmp_path, {name: key_of(name).text for name in ("ann", "ben", "cem")}) as made:
        yield made


async def cli(capsys: Any, nodes: Nodes, *words: str, code: int = 0) -> Any:
    found = await asyncio.to_thread(main, [*words, "--config", str(nodes.config), "--json"])
    out, err = capsys.readouterr()
    assert found == code, (out, err)
    return json.loads(out if code in (0, 1) and out else err)


REQUEST = (
    "exception", "request", "User:bob", "payments:read", "--for", "12h", "--reason", "settles while the batch is down",
    "--ticket", "OPS-7", "--control", "his tokens are looked at daily",
)  # fmt: skip


async def signed_by(capsys: Any, nodes: Nodes, exception: str, name: str, folder: Path) -> Path:
    """The statement as the command prints it, signed elsewhere."""
    await asyncio.to_thread(
        main, ["exception", "statement", exception, "--name", name.title(), "--config", str(nodes.config)]
    )
    text, _ = capsys.readouterr()
    file = folder / f"{name}.statement"
    file.write_text(text)
    Path(f"{file}.sig").write_text(key_of(name).armor(text.encode()))
    return file


async def granted(capsys: Any, nodes: Nodes, folder: Path) -> str:
    """An exception in force; its id."""
    asked = await cli(capsys, nodes, *REQUEST)
    name = str(asked["id"])
    for person in ("ann", "ben"):
        file = await signed_by(capsys, nodes, name, person, folder)
        await cli(capsys, nodes, "exception", "approve", name, "--statement", str(file))
    return name


async def test_from_request_to_end_on_two_nodes(nodes: Nodes, capsys: Any, tmp_path: Path):
    for node in (0, 1):
        assert (await nodes.ask(node)).json()["error"] == "invalid_scope"
    asked = await cli(capsys, nodes, *REQUEST)
    name = asked["id"]
    assert (asked["state"], asked["needed"], asked["approvers"]) == ("requested", 2, ["Ann", "Ben", "Cem"])
    file = await signed_by(capsys, nodes, name, "ann", tmp_path)
    one = await cli(capsys, nodes, "exception", "approve", name, "--statement", str(file))
    assert (one["state"], one["approved_by"]) == ("requested", ["Ann"])
    assert (await nodes.ask(0)).status_code == 400, "one of two is not enough"
    file = await signed_by(capsys, nodes, name, "ben", tmp_path)
    assert (await cli(capsys, nodes, "exception", "approve", name, "--statement", str(file)))["counts"]

    tokens = []
    for node in (1, 0):  # the very next request, on every node
        answer = await nodes.ask(node)
        assert answer.status_code == 200, answer.text
        tokens.append(answer.json()["access_token"])
    assert (await nodes.ask(0, scope="payments:write")).status_code == 400, "only the scope that it names"

    story = await cli(capsys, nodes, "explain", tokens[0])
    (scope,) = story["why"]["scopes"]
    assert (scope["exceptions"][0]["id"], scope["exceptions"][0]["approvals"]) == (name, 2)
    assert story["scopes"][0]["route"] == f"exception:{name}"
    assert story["replay"] == "same"
    (known,) = story["exceptions"]
    assert (known["reason"], known["ticket"]) == ("settles while the batch is down", "OPS-7")
    assert known["approved_by"] == ["Ann", "Ben"]
    await asyncio.to_thread(main, ["explain", tokens[0], "--config", str(nodes.config)])
    page, _ = capsys.readouterr()
    for told in (f"permitted by exception {name}", "settles while the batch is down (OPS-7)", "approved   Ann, Ben"):
        assert told in page, page

    ended = await cli(capsys, nodes, "exception", "revoke", name, "--reason", "the batch is back")
    assert ended["state"] == "revoked"
    for node in (1, 0):
        assert (await nodes.ask(node)).status_code == 400
    assert await cli(capsys, nodes, "exception", "list") == []
    (row,) = await cli(capsys, nodes, "exception", "list", "--all")
    assert (row["id"], row["state"]) == (name, "revoked")


async def test_the_report_as_json_text_and_picture(nodes: Nodes, capsys: Any, tmp_path: Path):
    name = await granted(capsys, nodes, tmp_path)
    unused = await granted(capsys, nodes, tmp_path)
    for node in (0, 1, 0):
        assert (await nodes.ask(node)).status_code == 200
    await cli(capsys, nodes, "exception", "revoke", name)
    debt = await cli(capsys, nodes, "exception", "report", "--svg", str(tmp_path / "debt.svg"))
    longest = {name: 3, unused: 0}
    assert debt["used"] in (longest, {name: 0, unused: 3})  # of two that fit, the one that ends last is the route
    assert [one["id"] for one in debt["open"]] == [unused]
    assert (debt["by_owner"], debt["by_tier"], debt["by_age"]) == ({"Payments": 1}, {"low": 1}, {"up to a day": 1})
    assert debt["burn_down"][-1]["open"] == 1
    assert (debt["burn_down"][-1]["began"], debt["burn_down"][-1]["ended"]) == (2, 1)
    root = ElementTree.parse(tmp_path / "debt.svg").getroot()
    assert root.tag.endswith("svg")
    await asyncio.to_thread(main, ["exception", "report", "--config", str(nodes.config)])
    page, _ = capsys.readouterr()
    assert "by owner     Payments: 1" in page
    assert "payments:read for User:bob" in page


async def test_a_renewal_is_a_new_decision_with_the_use_in_view(nodes: Nodes, capsys: Any, tmp_path: Path):
    name = await granted(capsys, nodes, tmp_path)
    for _ in range(2):
        assert (await nodes.ask(0)).status_code == 200
    again = await cli(capsys, nodes, "exception", "renew", name, "--for", "1d", "--reason", "still down")
    assert (again["renews"], again["used_before"], again["state"]) == (name, 2, "requested")
    assert again["from"] == (await cli(capsys, nodes, "exception", "show", name))["until"]
    file = await signed_by(capsys, nodes, again["id"], "cem", tmp_path)
    assert f"renews: {name} used 2\n" in file.read_text()


@pytest.mark.parametrize("variable", ["LOGNAME", "USER", "LNAME", "USERNAME"])
async def test_who_asks_is_what_the_system_says_and_not_what_the_environment_says(
    nodes: Nodes, capsys: Any, monkeypatch: pytest.MonkeyPatch, variable: str
):
    """Otherwise an approver would ask as somebody else, and approve that."""
    monkeypatch.setenv(variable, "somebody.else")
    asked = await cli(capsys, nodes, *REQUEST)
    assert asked["requester"] == f"User:{pwd.getpwuid(os.getuid()).pw_name}"


async def test_what_is_refused_is_told(nodes: Nodes, capsys: Any, tmp_path: Path):
    for words, told in (
        ((*REQUEST[:5], "8d", *REQUEST[6:]), "the tier `low` allows 7d"),
        ((*REQUEST[:4], *REQUEST[6:]), "it needs an end"),
        ((*REQUEST[:2], "bob", *REQUEST[3:]), "`bob` is no principal"),
        ((*REQUEST[:5], "soon", *REQUEST[6:]), "`soon` is no duration"),
        (("exception", "approve", "x"), "nothing to approve with"),
        (("exception", "revoke", "x"), "there is no exception `x`"),
    ):
        assert told in (await cli(capsys, nodes, *words, code=2))["message"]
    name = (await cli(capsys, nodes, *REQUEST))["id"]
    file = await signed_by(capsys, nodes, name, "ann", tmp_path)
    other = (await cli(capsys, nodes, *REQUEST))["id"]
    told = await cli(capsys, nodes, "exception", "approve", other, "--statement", str(file), code=2)
    assert told["message"] == "the approval does not count: it is a statement about another request than this one"


@pytest.mark.skipif(KEYGEN is None, reason="explained: there is no ssh-keygen here")
async def test_approving_with_a_key_that_ssh_keygen_reads(tmp_path: Path, capsys: Any):
    key = ssh_keygen(tmp_path, "-t", "ed25519")
    text = " ".join(Path(f"{key}.pub").read_text().split()[:2])
    (tmp_path / "company").mkdir()
    async with two_nodes(tmp_path / "company", {"ann": text, "ben": key_of("ben").text}) as nodes:
        name = (await cli(capsys, nodes, *REQUEST))["id"]
        known = await cli(capsys, nodes, "exception", "approve", name, "--key", str(key), "--name", "Ann")
        assert known["approved_by"] == ["Ann"]
        await cli(capsys, nodes, "exception", "approve", name, "--key", str(tmp_path / "none"), code=2)
    assert shutil.which("ssh-keygen") == KEYGEN
