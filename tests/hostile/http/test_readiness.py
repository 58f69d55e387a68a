"""Anyone may ask whether the service is ready, and asking costs a commit: it must not cost the service its writer."""

from __future__ import annotations

import asyncio

from mintwarden.web.documents import Readiness
from tests.unit.web.stand_ins import Monotonic


async def test_a_flood_of_questions_is_answered_by_one_look() -> None:
    looks = 0
    go_on = asyncio.Event()

    async def store() -> None:
        nonlocal looks
        looks += 1
        await go_on.wait()

    monotonic = Monotonic()
    readiness = Readiness(checks={"store": store}, timeout=5, report=lambda *_: None, monotonic=monotonic)
    flood = [asyncio.create_task(readiness.reply()) for _ in range(500)]
    await asyncio.sleep(0)
    flood[0].cancel()  # whoever leaves takes nobody else's answer along
    await asyncio.sleep(0)
    go_on.set()
    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert looks == 1
    assert [answer.status for answer in answers[1:] if not isinstance(answer, BaseException)] == [200] * 499
    for _ in range(100):
        assert (await readiness.reply()).status == 200
    assert looks == 1
    monotonic.seconds += 0.1
    assert (await readiness.reply()).status == 200
    assert looks == 2
