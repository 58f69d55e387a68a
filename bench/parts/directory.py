"""The cost of a token exchange over the size of the directory."""

from __future__ import annotations

from contextlib import ExitStack

from bench.company import Size
from bench.compare import Contender, compare, enter_ours
from bench.part import Found, no_dearer
from bench.plan import RETURNING, Plan, prepared, write_requests
from bench.servers import Site

SUBJECTS, QUICK_SUBJECTS = 1_000_000, 100_000
SMALL = 1_000
KIND = "token_exchange"


def directory(plan: Plan) -> Found:
    """Exchanges of people's tokens, the people spread over the whole directory.

    A person's first token stores a sealing key for them, later ones do not: a cost of the first token, not of the
    directory. So those who take turns have had one before, and first tokens are measured apart.
    """
    subjects = QUICK_SUBJECTS if plan.quick else SUBJECTS
    with ExitStack() as stack:
        small = _enter(stack, plan, SMALL)
        large = _enter(stack, plan, subjects)
        first = _first_tokens(*large, plan, subjects)
        found = compare([small[0], large[0], first], plan, connections=plan.levels[0])
    verdict = no_dearer(f"{SMALL:,} -> {subjects:,} subjects", found[small[0].name], found[large[0].name], percent=15)
    return Found(figures=found, verdicts=(verdict,))


def _enter(stack: ExitStack, plan: Plan, count: int) -> tuple[Contender, Site]:
    """A server over so many subjects, of whom those that take turns have had a token before."""
    site, config = stack.enter_context(prepared(plan, Size(subjects=count)))
    file = write_requests(plan, site, KIND, extra=3 * RETURNING)
    server = enter_ours(stack, f"{count:,} subjects", site=site, config=config, requests=file)
    while server.position < RETURNING:
        plan.tell(f"{server.name}: first tokens, {server.position:,} of {RETURNING:,}")
        server.run(seconds=2, connections=plan.levels[0])
    return server, site


def _first_tokens(server: Contender, site: Site, plan: Plan, subjects: int) -> Contender:
    everyone = write_requests(plan, site, KIND, turns=subjects)
    return server.sending(f"{server.name}, first tokens", everyone)
