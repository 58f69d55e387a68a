"""What each step costs, in process: the same parts that serve, over another client and other facts every time."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from bench.company import AUDIENCE, SCOPES
from bench.servers import Site

GROUP = 24
"""How many requests are under way at once: about the commit batch of a busy server."""


async def measure_steps(site: Site, config: Path, count: int) -> dict[str, float]:
    """Microseconds of wall time per request and step, one process, `GROUP` requests at a time."""
    import uvloop

    from mintwarden.app.config import load_config
    from mintwarden.app.foundation import foundation
    from mintwarden.app.wiring import ensure_keys
    from mintwarden.authn.authenticate import Authenticator
    from mintwarden.authn.evidence import Evidences
    from mintwarden.authn.own import OwnTokens
    from mintwarden.authn.secrets import SecretVerifier
    from mintwarden.context.assemble import Assembler
    from mintwarden.issue.grants import client_credentials
    from mintwarden.issue.judge import Judge
    from mintwarden.issue.line import Regime
    from mintwarden.mint.prepare import prepare
    from mintwarden.mint.sign import sign
    from mintwarden.model.ids import decision_id, decision_text, entity_key
    from mintwarden.web.form import parse_form
    from mintwarden.model.request import TokenRequest

    del uvloop
    found: dict[str, float] = {}
    async with foundation(load_config(config), create=True) as base:
        await ensure_keys(base)
        bundle, catalogue = base.bundle, base.bundle.catalogue

        class Silent:
            def disagreement(self, *_: Any) -> None: ...

        judge = Judge(bundle, alarm=Silent(), later=lambda _: False)
        authenticator = Authenticator(
            issuer=base.issuer,
            clients=catalogue.clients,
            credentials=base.store.credentials,
            secrets=SecretVerifier(pepper=base.pepper),
            evidence=Evidences(own=OwnTokens(issuer=base.issuer, keys=_NoKeys()), trusted=None),  # type: ignore[arg-type]
        )
        await authenticator.refresh()
        assembler = Assembler(catalogue=catalogue, facts=base.store.facts, external={})
        regime = Regime(bundle, judge=judge, authenticate=authenticator.authenticate, assemble=assembler.assemble)

        from bench.requests import with_secret
        from urllib.parse import urlencode

        bodies = [(a.encode(), urlencode(f).encode()) for a, f in with_secret(site.size.clients, site.secrets, count)]
        now = base.clock.now()
        signer = base.ring.signer_for("ES256")

        def timed(name: str, function: Callable[[int], Any]) -> list[Any]:
            begun = time.perf_counter()
            results = [function(index) for index in range(count)]
            found[name] = round((time.perf_counter() - begun) / count * 1e6, 2)
            return results

        async def grouped(name: str, function: Callable[[int], Awaitable[Any]]) -> list[Any]:
            results: list[Any] = []
            begun = time.perf_counter()
            for start in range(0, count, GROUP):
                results += await asyncio.gather(*(function(i) for i in range(start, min(start + GROUP, count))))
            found[name] = round((time.perf_counter() - begun) / count * 1e6, 2)
            return results

        def parse(index: int) -> TokenRequest:
            authorization, body = bodies[index]
            return TokenRequest(
                unverified_form=parse_form(body), unverified_authorization=authorization, address="127.0.0.1",
                received_at=now, reference="r",
            )  # fmt: skip

        requests = timed("1 parse", parse)
        callers = await grouped("2 authenticate", lambda i: authenticator.authenticate(requests[i], now))
        asked = timed(
            "3 resolve",
            lambda i: client_credentials.resolve(
                requests[i], callers[i], catalogue.clients[callers[i].client_id], catalogue
            ),
        )
        assembled = await grouped("4 assemble", lambda i: assembler.assemble(asked[i], callers[i], now))
        ids = [decision_id(now, secrets.token_bytes(10)) for _ in range(count)]
        decisions = timed("5 decide", lambda i: judge.decide(asked[i], assembled[i].facts, now, ids[i]))
        assert all(len(decision.granted_scopes) == len(SCOPES) for decision in decisions)
        audience = next(a for a in catalogue.audiences.values() if a.identifier == AUDIENCE)
        prepared = timed(
            "6 prepare",
            lambda i: prepare(
                decisions[i], asked[i], catalogue.clients[asked[i].client_id], audience, issuer=base.issuer,
                key=signer, now=now, decision_id=decision_text(ids[i]),
            ),
        )  # fmt: skip
        kept = timed("7 keep", lambda i: regime.kept(asked[i], assembled[i].facts))
        receipts = await grouped(
            "7 record",
            lambda i: base.recorder.record(
                decision_id=ids[i], decision=decisions[i], asked=asked[i], facts=kept[i], prepared=prepared[i],
                once=(), key=assembled[i].subject_keys.get(entity_key(asked[i].subject)),
            ),
        )  # fmt: skip
        await grouped("8 sign", lambda i: sign(prepared[i], receipts[i], signer))
    found["sum"] = round(sum(found.values()), 2)
    return found


class _NoKeys:
    def public_key(self, _kid: str) -> None:
        return None


def table(found: dict[str, float]) -> Sequence[tuple[str, float]]:
    """Rows for printing."""
    return tuple(found.items())
