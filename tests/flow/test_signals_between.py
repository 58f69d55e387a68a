"""One Mintwarden tells another: what ends at the first ends at the second, by push and by poll."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.flow.authorizing import desk
from tests.flow.signalling import SECRET
from tests.flow.signals import PUSH, SSF, signalling
from tests.flow.test_signals_in import active, acts, tokens


@pytest.mark.parametrize("delivery", ["push", "poll"])
async def test_one_mintwarden_tells_another(delivery: str, tmp_path: Path, free_port: Callable[[], int]) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    mine, first = free_port(), f"http://127.0.0.1:{(port := free_port())}"
    address = f"http://127.0.0.1:{mine}/ssf/events/first"
    pushed = {"delivery": {"method": PUSH, "endpoint_url": address, "authorization_header": SECRET}}
    async with signalling(there, port=port, server=f'issuer = "{first}"') as at:
        stream = await at.shop.stream(**(pushed if delivery == "push" else {}))
        transmitter: dict[str, Any] = {
            "id": "first",
            "issuer": first,
            "audiences": ["shop"],
            "events": ["session-revoked"],
            "delivery": delivery,
        }
        if delivery == "poll":
            transmitter["poll_endpoint"] = stream["delivery"]["endpoint_url"]

        def edit(bundle: Path) -> None:
            lines = [f"{name} = {json.dumps(value)}" for name, value in transmitter.items()]
            (bundle / "transmitters").mkdir()
            (bundle / "transmitters/first.toml").write_text("\n".join(["[transmitter]", *lines]))

        secret = here / "first.secret"
        secret.write_text(SECRET if delivery == "push" else at.company.secrets["shop"])
        secret.chmod(0o600)
        config = '[transmitters.first]\nsecret_file = "first.secret"\npoll_interval = "1s"\n'
        if delivery == "poll":
            config += f'token_url = "{first}/token"\nclient_id = "shop"\nresource = "{SSF}"\n'
        async with desk(here, edit=edit, config=config, port=mine) as second:
            given = await tokens(second)
            operator = await at.company.token(
                "operator", grant_type="client_credentials", scope="mintwarden:tokens.revoke"
            )
            revoked = await at.company.http.post(
                "/admin/v1/revocations",
                json={"subject": "User:alice", "reason": "left the company"},
                headers={"authorization": f"Bearer {operator}", "idempotency-key": "they-left-today"},
            )
            assert revoked.is_success, revoked.text
            async with asyncio.timeout(20):
                while await active(second, given):  # each look is a request, and nothing else is waited for
                    pass
            (entry,) = await acts(second)
            assert (entry["transmitter"], entry["event"]) == ("first", "session-revoked")
