"""scim2-tester walks through all of SCIM by what the service says of itself."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from tests.flow.feeding import Provider, fed, provider

LEAST = 100
"""Checks that it makes, at least: one that finds nothing to check says nothing."""


def checked(idp: Provider) -> list[tuple[str, Status, str]]:
    """Every check, with what came of it and why."""
    headers = {"authorization": f"Bearer {idp.token}"}
    with httpx2.Client(base_url=f"{idp.company.base}/scim/v2", headers=headers, timeout=30) as http:
        results = check_server(SyncSCIMClient(http))
    return [(one.title or "", one.status, one.reason or "") for one in results]


async def test_it_finds_nothing_wrong(tmp_path: Path, record_property: Callable[[str, object], None]):
    server = "admin_rate = 1000\nadmin_burst = 10000\n"
    async with provider(tmp_path, server=server, edit=functools.partial(fed, optional=True)) as idp:
        results = await asyncio.to_thread(checked, idp)
    counts = Counter(status for _, status, _ in results)
    record_property("counts", f"{counts[Status.SUCCESS]} of {len(results)} checks, {counts[Status.SKIPPED]} skipped")
    wrong = [one for one in results if one[1] not in (Status.SUCCESS, Status.SKIPPED)]
    for one in wrong:
        print(one)
    assert wrong == []
    assert counts[Status.SUCCESS] >= LEAST
