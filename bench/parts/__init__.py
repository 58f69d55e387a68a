"""Every part of the benchmark, in the order in which they run."""

from __future__ import annotations

from bench.part import Part
from bench.parts.activation import activation
from bench.parts.diff import diff
from bench.parts.directory import directory
from bench.parts.flows import flows
from bench.parts.impact import impact
from bench.parts.ledger import ledger
from bench.parts.memory import memory
from bench.parts.mutants import mutants
from bench.parts.overload import overload
from bench.parts.prove import prove
from bench.parts.rates import rates
from bench.parts.reviews import reviews
from bench.parts.rules import rules
from bench.parts.start import start
from bench.parts.status import status
from bench.parts.steps import steps
from bench.parts.verify import verify

PARTS: tuple[Part, ...] = (
    Part(name="rates", about="tokens per second against oidc-provider, by way of authentication", measure=rates),
    Part(name="flows", about="codes, refreshes, DPoP and introspection against oidc-provider", measure=flows),
    Part(name="status", about="what a million tokens with places in a status list cost", measure=status),
    Part(name="steps", about="what each step of the straight line costs", measure=steps),
    Part(name="verify", about='what `verify = "always"` costs', measure=verify),
    Part(name="rules", about="cost of a request with 10 and with 10,000 rules", measure=rules),
    Part(name="ledger", about="cost of a request with an empty ledger and with 1,000,000 entries", measure=ledger),
    Part(name="directory", about="cost of an exchange with 1,000 and with 1,000,000 subjects", measure=directory),
    Part(name="impact", about="decisions replayed a second, and memory of 1,000,000 of them", measure=impact),
    Part(name="start", about="seconds to readiness with 10,000 rules", measure=start),
    Part(name="memory", about="memory over 300,000 tokens", measure=memory),
    Part(name="overload", about="tokens per second with four times the clients that are admitted", measure=overload),
    Part(name="prove", about="seconds to prove what must never be granted, over all inputs", measure=prove),
    Part(
        name="diff",
        about="seconds to say what a change of the policy changes, or prove that nothing does",
        measure=diff,
    ),
    Part(name="activation", about="milliseconds until an activation is in effect on three nodes", measure=activation),
    Part(name="reviews", about="tokens per second while a review of the policy runs", measure=reviews),
    Part(name="mutants", about="seconds to see which slips of the hand the scenarios notice", measure=mutants),
)
