"""`mintwarden demo traffic`: a month of the example company's traffic, recorded within seconds."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
import msgspec

from mintwarden.app.config import Config, load_config
from mintwarden.app.spelling import moment, progress_bar

if TYPE_CHECKING:
    from mintwarden.app.demo.traffic import Tally, Wishes

ConfigFile = Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")]
Count = Annotated[
    int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=1), help="How many decisions to have recorded.")
]
Seed = Annotated[int, cyclopts.Parameter(help="What is asked follows from it.")]
Days = Annotated[
    int,
    cyclopts.Parameter(
        validator=cyclopts.validators.Number(gte=1, lte=365), help="Over how many days, up to ten minutes ago."
    ),
]
AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")]


def run(
    *,
    config: ConfigFile = Path("mintwarden.toml"),
    count: Count = 50_000,
    seed: Seed = 7,
    days: Days = 30,
    json: AsJson = False,
) -> None:
    """Have people, programs and agents of the example company ask for tokens, and every decision recorded.

    Each request is authenticated, decided, recorded and signed by the parts that serve, with the time handed in; their
    facts are pushed as the days go by. Needs a new store, under the bundle of `examples/meridian`; no server need run.
    """
    import uvloop

    from mintwarden.app.demo.traffic import Wishes

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tally = runner.run(_made(load_config(config), Wishes(count=count, seed=seed, days=days)))
    if json:
        print(msgspec.json.format(msgspec.json.encode(as_json(tally))).decode())
        return
    turned_away = sum(tally.turned_away.values())
    print(f"{tally.decisions} decisions recorded, from {moment(tally.first)} to {moment(tally.last)}")
    print(f"granted: {tally.granted}, {tally.narrowed} of them less than was asked for; refused: {tally.refused}")
    print(f"turned away before a decision: {turned_away}")
    for audience, decisions in tally.audiences.most_common():
        print(f"  {audience:<18} {decisions:>8}")


def as_json(tally: Tally) -> dict[str, Any]:
    """The tally for a machine."""
    return {
        "decisions": tally.decisions,
        "granted": tally.granted,
        "narrowed": tally.narrowed,
        "refused": tally.refused,
        "turned_away": dict(sorted(tally.turned_away.items())),
        "audiences": dict(sorted(tally.audiences.items())),
        "first": moment(tally.first),
        "last": moment(tally.last),
    }


async def _made(config: Config, wishes: Wishes) -> Tally:
    from mintwarden.app.demo.load import publish
    from mintwarden.app.demo.traffic import make_traffic
    from mintwarden.app.foundation import foundation
    from mintwarden.app.server import COLLECT
    from mintwarden.app.telemetry import open_telemetry

    telemetry = open_telemetry(config)
    try:
        async with foundation(config, create=True) as base:
            gc.freeze()  # as the server does
            gc.set_threshold(*COLLECT)
            with progress_bar("asking") as progress:
                tally = await make_traffic(base, wishes, now=base.clock.now(), progress=progress)
            await publish(base, telemetry)
            return tally
    finally:
        telemetry.close()
