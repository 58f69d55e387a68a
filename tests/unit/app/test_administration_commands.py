"""`mintwarden review owners` and `mintwarden store reindex`."""

from __future__ import annotations

import asyncio
import json

import pytest
from joserfc.jwk import ECKey

from mintwarden.app.cli import main
from tests.flow.company import furnish, running, write_company
from tests.flow.test_admin_frame import bearer


@pytest.fixture
async def config(tmp_path):
    path = write_company(tmp_path, ECKey.generate_key("P-256"), ECKey.generate_key("P-256"))
    await furnish(path)
    return str(path)


def run(capsys, *words: str) -> tuple[int, str]:
    code = main(words)
    return code, capsys.readouterr().out


async def test_owners_who_are_gone_are_told_with_what_they_own(config, capsys):
    code, told = await asyncio.to_thread(run, capsys, "review", "owners", "--config", config)
    assert code == 1
    assert told.startswith("Payments: is not known to the directory\n")
    assert "  audience payments\n" in told
    assert told.endswith("2 owners, 1 of them gone\n")
    code, told = await asyncio.to_thread(run, capsys, "review", "owners", "--config", config, "--json")
    said = json.loads(told)
    assert (code, said["ok"], [one["state"] for one in said["owners"]]) == (1, False, ["unknown", "present"])


async def test_the_index_is_made_anew_while_the_store_is_in_use(tmp_path, capsys):
    async with running(tmp_path) as company:
        for _ in range(3):
            await company.token("batch", grant_type="client_credentials")
        where = str(tmp_path / "mintwarden.toml")
        code, told = await asyncio.to_thread(run, capsys, "store", "reindex", "--config", where, "--json")
        assert (code, json.loads(told)["entries"] >= 4) == (0, True)
        headers = await bearer(company, "decisions.read")
        found = await company.http.get("/admin/v1/decisions", params={"client": "batch"}, headers=headers)
        assert len(found.json()["decisions"]) == 3
