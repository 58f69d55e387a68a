"""Codes, refreshes, proofs of possession and introspection, ours against the peer."""

from __future__ import annotations

import base64
import json
import secrets
import urllib.parse
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from bench import requests as make
from bench.company import AUDIENCE, REDIRECT, SCOPES, Size
from bench.compare import Contender, compare, enter_ours, enter_peer, ratio
from bench.part import Found, Verdict, at_least
from bench.plan import Plan, prepared
from bench.servers import Site, run_async
from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.memory import memory_of
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.granted import Granted
from mintwarden.issue.memory import Code
from mintwarden.mint.sign import b64
from mintwarden.model.ids import entity_key
from mintwarden.model.values import EntityUid

WANTED = {"refresh_token": 1.2, "introspection": 1.2, "dpop": 1.1, "authorization_code": None}
"""How many times the peer's rate; None where no target is set."""

PEER = "oidc-provider"
FIRST = ", first looks"
"""Introspection of tokens that nobody has shown before, so that each signature is verified."""

TOKENS = 2_000
"""Tokens that take turns where a request does not use its token up."""

BATCH = 1_000
HOUR = 3_600_000

Owned = list[tuple[str, str]]
"""The `Authorization` header of a client, and something that was given to it."""


def flows(plan: Plan) -> Found:
    """Each flow at each number of connections."""
    figures: dict[str, Any] = {}
    verdicts: list[Verdict] = []
    for kind, wanted in WANTED.items():
        for connections in plan.levels:
            figure = _measure(plan, kind, connections)
            title = f"{kind} {connections}"
            figures |= {f"{name} {title}": figure[name] for name in figure}
            for name in (name for name in figure if name != PEER):
                how = name.removeprefix("mintwarden")
                times = figures[f"ratio {title}{how}"] = ratio(figure[name], figure[PEER])
                if wanted is not None:
                    what = f"{kind}{how}, {connections} connections, against oidc-provider"
                    verdicts.append(at_least(what, times["rate"], wanted))
    return Found(figures=figures, verdicts=tuple(verdicts))


def _measure(plan: Plan, kind: str, connections: int) -> dict[str, dict[str, Any]]:
    count = plan.lines(kind, 1)
    with prepared(plan, Size()) as (site, config), ExitStack() as stack:
        site.opaque = kind == "introspection"
        site.codes = count if kind == "authorization_code" else 0
        site.renewals = TOKENS if kind == "refresh_token" else 0
        codes = run_async(_seed(site, config, site.codes or (TOKENS if site.renewals else 0)))
        nothing = make.write(site.root / "nothing.txt", [])
        own = "/introspect" if kind == "introspection" else "/token"
        its = "/token/introspection" if kind == "introspection" else "/token"
        base = f"http://127.0.0.1:{site.peer_port}"
        ours = enter_ours(stack, "mintwarden", site=site, config=config, requests=nothing, url=f"{site.issuer}{own}")
        peer = enter_peer(stack, site=site, requests=nothing, url=f"{base}{its}")
        plan.tell(f"{kind}: writing {count:,} requests for each")
        seeds = json.loads(site.peer_seeds.read_text())
        theirs = [(_basic(site, client), value) for client, value in (*seeds["codes"], *seeds["renewals"])]
        for contender, url, given in ((ours, site.token_url, codes), (peer, f"{base}/token", theirs)):
            file = site.root / f"{contender.name}.txt"
            contender.requests = _write(file, kind, count, site, contender, url, given)
        contenders = [ours, peer]
        if kind == "introspection" and connections == plan.levels[0]:
            unseen = run_async(_unseen(config, ours.requests, plan.lines("first_look", 1)))
            file = make.write(site.root / "first.txt", unseen)
            contenders.insert(1, ours.sending(f"mintwarden{FIRST}", file))
        found = compare(contenders, plan, connections=connections)
        if kind == "introspection":
            _require_good(contenders)
        return found


def _require_good(contenders: Sequence[Contender]) -> None:
    """What was said of the tokens was that they are good: that a token has ended is a shorter answer, and no error."""
    for contender in contenders:
        with contender.requests.open() as file, contender.turns.running():
            authorization, body = file.readline().rstrip("\n").split("\t")
            if _ask(contender.url, authorization, dict(urllib.parse.parse_qsl(body)))["active"] is not True:
                raise SystemExit(f"bench: the tokens of {contender.name} ended before they were all looked at")


def _write(file: Path, kind: str, count: int, site: Site, server: Contender, url: str, given: Owned) -> Path:
    """The requests of `kind` for one of the servers, at work while it hands out what they need."""
    size = site.size
    if kind == "dpop":
        key, salt = site.client_keys[0], secrets.token_hex(8)
        return make.write(file, make.with_proof(size.clients, site.secrets, key, url, count, salt))
    if kind == "authorization_code":
        return make.write(file, make.with_code(given))
    with server.turns.running():
        if kind == "introspection":
            lines = make.looking(_tokens(site, url), count)
        elif server.name == "oidc-provider":
            lines = make.renewing(given, count)
        else:
            lines = make.renewing(_redeemed(url, given), count)
    return make.write(file, lines)


async def _seed(site: Site, config: Path, count: int) -> Owned:
    """Codes of people, as the authorization endpoint would have stored them, with an hour to redeem them in."""
    made: Owned = []
    async with foundation(load_config(config), create=True) as base:
        memory, now = memory_of(base), base.clock.now()
        states = []
        for index in range(count):
            client, person = f"c{index % site.size.clients}", EntityUid("User", f"u{index % site.size.subjects}")
            granted = Granted(
                grant_id=secrets.token_urlsafe(16),
                client_id=client,
                sign_in=SignIn(subject=person, provider="login", authenticated_at=now, session=f"s{index}"),
                scopes={"bench": SCOPES},
                granted_at=now,
                ends=now + 24 * HOUR,
            )
            code, ends = secrets.token_urlsafe(32), now + HOUR
            known = Code(granted=granted, redirect_uri=REDIRECT, challenge=make.CHALLENGE, ends=ends, renewable=True)
            states.append(memory.codes.state(code, known, ends=ends))
            states.append(memory.grants.state(granted.grant_id, granted, ends=granted.ends, owner=entity_key(person)))
            made.append((_basic(site, client), code))
            if len(states) >= BATCH or index == count - 1:
                await base.store.states.add(states)
                states = []
    return made


def _redeemed(url: str, codes: Owned) -> Owned:
    """The refresh tokens that codes lead to."""
    return [
        (authorization, str(_ask(url, authorization, form)["refresh_token"]))
        for authorization, form in make.with_code(codes)
    ]


def _tokens(site: Site, url: str) -> Owned:
    """Access tokens of clients of their own."""
    form = {"grant_type": "client_credentials", "scope": " ".join(SCOPES), "resource": AUDIENCE}
    found: Owned = []
    for index in range(TOKENS):
        authorization = _basic(site, f"c{index % site.size.clients}")
        found.append((authorization, str(_ask(url, authorization, form)["access_token"])))
    return found


async def _unseen(config: Path, known: Path, count: int) -> list[tuple[str, dict[str, str]]]:
    """Introspection of `count` tokens that differ from those in the requests of `known` in their `jti` alone."""
    with known.open() as file:
        lines = [line.rstrip("\n").split("\t") for line in islice(file, TOKENS)]
    shown = [(authorization, urllib.parse.parse_qs(body)["token"][0]) for authorization, body in lines]
    made: list[tuple[str, dict[str, str]]] = []
    async with foundation(load_config(config)) as base:
        signer = base.ring.signer_for("ES256")
        for index in range(count):
            authorization, token = shown[index % len(shown)]
            head, body, _ = token.split(".")
            claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
            claims["jti"] = f"{claims['jti']}-{index}"
            data = f"{head}.{b64(json.dumps(claims, separators=(',', ':')).encode()).decode()}"
            made.append((authorization, {"token": f"{data}.{b64(await signer.sign(data.encode())).decode()}"}))
    return made


def _ask(url: str, authorization: str, form: dict[str, str]) -> dict[str, Any]:
    body = urllib.parse.urlencode(form).encode()
    asked = urllib.request.Request(url, body, {"authorization": authorization})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def _basic(site: Site, client: str) -> str:
    secret = site.secrets[int(client.removeprefix("c"))]
    return f"Basic {base64.b64encode(f'{client}:{secret}'.encode()).decode()}"
