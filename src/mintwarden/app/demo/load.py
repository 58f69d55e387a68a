"""Two servers on one store under load, while a command changes which version governs; and whether anybody noticed.

What is looked for afterwards, in the answers and in the ledger: a request that was refused or failed, a decision that
is not there once or names no single version, one under the new version before its activation was recorded, and one
under the old version of a request that began when the command had ended.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import secrets
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import msgspec
from msgspec import Struct

from mintwarden.app.config import Config, load_config
from mintwarden.app.demo.calls import claims_of
from mintwarden.app.demo.errands import Company
from mintwarden.app.demo.process import Finished, command, serving
from mintwarden.app.demo.stage import free_port
from mintwarden.app.foundation import Foundation, foundation
from mintwarden.app.sequencing import Sequencing
from mintwarden.app.telemetry import Telemetry, open_telemetry
from mintwarden.app.wiring import ensure_keys
from mintwarden.authn.ports import ClientSecret
from mintwarden.authn.secrets import generate_secret, hash_secret
from mintwarden.context.ports import FactRow
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import decision_bytes

NODES = 2
UNDER_WAY, PAUSE = 8, 0.04
"""Requests under way at each node, and the seconds before each asks again: some hundred requests a second."""
BEFORE, AFTER = 0.7, 0.7
"""Seconds of load before and after the command."""
SECRET_LIFE = 3_600_000
_PAGE = 1_000

ASKS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("flags-relay", {"audience": "feature-flags", "scope": "flags:evaluate flags:read"}),
    ("ledger-service", {"audience": "reports", "scope": "reports:view reports:run"}),
    ("ledger-service", {"audience": "feature-flags", "scope": "flags:evaluate"}),
    ("staging-runner", {"audience": "payments-staging", "scope": "staging-payments:read"}),
)
"""Who asks for what: services, with a secret each."""


class Answer(NamedTuple):
    """What came of one request: when it began and was answered (monotonic), and the decision behind its token."""

    node: int
    begun: float
    ended: float
    status: int
    decision: str


class Seen(Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        words, code: the command and its exit code; `told` is what it printed.
        answered, refused: requests, and those of them without a token.
        versions: decisions by the digest of the version they were made under.
        effect: milliseconds from the making of the activation's entry to the first decision under it, by node.
        faults: what must not be, in words.
    """

    words: tuple[str, ...]
    code: int
    told: str
    answered: int
    refused: int
    versions: Mapping[str, int]
    effect: tuple[int, ...]
    faults: tuple[str, ...]


def run_load(config: Path, words: Sequence[str], *, nodes: int = NODES) -> Seen:
    """Start `nodes` servers, ask them all the while, run `mintwarden <words>` in the middle, look at what came of it.

    Raises `UNAVAILABLE` when a server does not come up.
    """
    loaded = load_config(config)
    given, first = asyncio.run(_prepared(loaded))
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(_node(config, number)) for number in range(nodes)]
        answers, done, ended = asyncio.run(_under_load(urls, given, config, words))
    entries = asyncio.run(_read(loaded, first))
    return look(answers, entries, words, done, ended, nodes=nodes)


@contextlib.contextmanager
def _node(config: Path, number: int) -> Iterator[str]:
    port = free_port()
    log = config.parent / f"node-{number + 1}.log"
    with serving(config, log=log, overrides={"MINTWARDEN_SERVER_PORT": str(port)}):
        yield f"http://127.0.0.1:{port}"


async def _prepared(config: Config) -> tuple[Mapping[str, str], int]:
    """A secret for each client that asks, good for an hour, with their facts as of now; how many entries there are.

    Each entry has its place in the log then.
    """
    async with _opened(config) as base:
        if base.bundle.catalogue.name != "meridian":
            raise MintwardenError(
                ErrorKind.CONFLICT, "this is not the example company", hint="`mintwarden demo company FOLDER` makes one"
            )
        given = await _introduced(base, base.clock.now())
        return given, await base.store.entries.sequenced()


async def _introduced(base: Foundation, now: int) -> Mapping[str, str]:
    given = {name: generate_secret(secrets.token_bytes) for name in sorted({client for client, _ in ASKS})}
    await base.store.credentials.add_secrets(
        [
            ClientSecret(
                client_id=name,
                scheme="hmac-sha256",
                digest=hash_secret(base.pepper, secret),
                created_at=now,
                expires_at=now + SECRET_LIFE,
            )
            for name, secret in given.items()
        ]
    )
    said = Company(now).said
    await base.store.facts.put(
        [
            (f"Workload:{name}", FactRow(source, msgspec.json.encode(document), now))
            for name in given
            for source, document in said[f"Workload:{name}"].items()
        ]
    )
    return given


@contextlib.asynccontextmanager
async def _opened(config: Config) -> AsyncIterator[Foundation]:
    """The deployment, every entry of its ledger in its place."""
    telemetry = open_telemetry(config)
    try:
        async with foundation(config, create=True) as base:
            await publish(base, telemetry)
            yield base
    finally:
        telemetry.close()


async def _under_load(
    urls: Sequence[str], given: Mapping[str, str], config: Path, words: Sequence[str]
) -> tuple[list[Answer], Finished, float]:
    answers: list[Answer] = []
    over = asyncio.Event()
    async with httpx2.AsyncClient(timeout=20.0) as http:
        askers = [
            asyncio.create_task(_ask(http, node, url, given, answers, over))
            for node, url in enumerate(urls)
            for _ in range(UNDER_WAY)
        ]
        await asyncio.sleep(BEFORE)
        done = await asyncio.to_thread(command, *words, folder=config.parent)
        ended = time.monotonic()
        await asyncio.sleep(AFTER)
        over.set()
        await asyncio.gather(*askers)
    return answers, done, ended


async def _ask(
    http: httpx2.AsyncClient, node: int, url: str, given: Mapping[str, str], answers: list[Answer], over: asyncio.Event
) -> None:
    for client, form in itertools.cycle(ASKS):
        if over.is_set():
            return
        basic = base64.b64encode(f"{client}:{given[client]}".encode()).decode()
        begun = time.monotonic()
        try:
            answer = await http.post(
                f"{url}/token",
                data={"grant_type": "client_credentials", **form},
                headers={"Authorization": f"Basic {basic}"},
            )
            status, content = answer.status_code, answer.json()
        except (httpx2.HTTPError, ValueError):
            status, content = 0, {}
        token = content.get("access_token")
        decision = str(claims_of(token)["jti"]) if token else str(content.get("decision", ""))
        answers.append(Answer(node, begun, time.monotonic(), status, decision))
        await asyncio.sleep(PAUSE)


async def _read(config: Config, first: int) -> list[dict[str, Any]]:
    """Every ledger entry from `first` on, in order."""
    found: list[dict[str, Any]] = []
    async with _opened(config) as base:
        while page := await base.store.entries.by_index(first + len(found), _PAGE):
            found += [msgspec.json.decode(stored.entry) for stored in page]
    return found


async def publish(base: Foundation, telemetry: Telemetry) -> None:
    """Give every entry its place in the log, where no server is there to do it. Raises what keeps it from that."""
    await ensure_keys(base)
    sequencing = Sequencing(base, watch=telemetry.watch)
    size = -1
    while size < sequencing.size:
        size = sequencing.size
        await sequencing.run()
    await sequencing.finish()
    sequencing.check()


def look(
    answers: Sequence[Answer],
    entries: Sequence[Mapping[str, Any]],
    words: Sequence[str],
    done: Finished,
    ended: float,
    *,
    nodes: int = NODES,
) -> Seen:
    """What came of it, by the answers and by the ledger's entries since the servers started, in order."""
    refused = [one for one in answers if one.status != 200]
    places: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        if entry["kind"] == "decision":
            places.setdefault(entry["id"], []).append(place)
    changes = [(place, entry) for place, entry in enumerate(entries) if entry["kind"] == "policy_activation"]
    faults: list[str] = []
    if len(changes) != 1:
        faults.append(f"the command recorded {len(changes)} activations")
    # The time of its entry: the checks before it took a while. The first 48 bits of an id are milliseconds.
    at = int.from_bytes(decision_bytes(changes[0][1]["id"])[:6], "big") if changes else 0
    digest = changes[0][1]["detail"]["bundle"] if changes else ""
    before = changes[0][0] if changes else sys.maxsize
    versions: Counter[str] = Counter()
    effect: dict[int, int] = {}
    for answer in answers:
        if answer.status != 200:
            continue
        found = places.get(answer.decision, [])
        if len(found) != 1:
            faults.append(f"decision {answer.decision} stands in the ledger {len(found)} times")
            continue
        entry = entries[found[0]]
        versions[entry["bundle"]] += 1
        if entry["bundle"] == digest:
            effect[answer.node] = min(effect.get(answer.node, sys.maxsize), entry["at"] - at)
            if found[0] < before:
                faults.append(f"decision {answer.decision} was made before its version was activated")
        elif answer.begun > ended:
            faults.append(f"decision {answer.decision} was made under a version that had been replaced")
    if changes and len(versions) > 2:
        faults.append(f"decisions were made under {len(versions)} versions")
    if changes and len(effect) < nodes:
        faults.append(f"the new version governs on {len(effect)} of {nodes} nodes")
    if refused:
        faults.append(f"{len(refused)} requests were refused or failed, the first with {refused[0].status}")
    return Seen(
        words=tuple(words),
        code=done.code,
        told=done.output + done.complaint,
        answered=len(answers),
        refused=len(refused),
        versions=dict(versions),
        effect=tuple(effect[node] for node in sorted(effect)),
        faults=tuple(faults[:20]),
    )
