"""What the sources of Meridian Payments say while a month goes by: made up from a seed.

Deterministic like the errands. One day the personnel system is late, one afternoon there is an incident, and the risk
of some people and agents goes up for a while.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from mintwarden.app.demo.cast import DAY, agent_documents, quiet_world
from mintwarden.app.demo.errands import HOUR, Company, Errand
from mintwarden.context.ports import FactDocument, FactRow

Row = tuple[str, FactRow]

LATE_BY = 11 * HOUR
"""How late the personnel system is, on its one day."""
INCIDENT = (13 * HOUR, 15 * HOUR, 17 * HOUR)
"""When on its day the incident is declared, becomes critical, and is over."""


class Days:
    """What is pushed when. `begin`: when the month begins; `length`: how long it is; both `Millis`.

    INVARIANT: times handed in never go back, and each row is observed no later than the time it is handed out for.
    """

    def __init__(self, company: Company, chance: random.Random, *, begin: int, length: int) -> None:
        self._chance = chance
        self._daily: dict[str, list[tuple[str, str, bytes]]] = {"hr": [], "": []}
        for entity, sources in company.said.items():
            for source, document in sources.items():
                self._daily["hr" if source == "hr" else ""].append((entity, source, msgspec.json.encode(document)))
        for person in company.people:
            posture = {"managed": chance.random() < 0.85, "compliant": chance.random() < 0.93}
            self._daily[""].append((f"device:dev-{person.name}", "device", _document(posture)))
        self._calm = {person.name: min(60, int(chance.expovariate(1 / 9))) for person in company.people}
        first = begin - begin % DAY
        self._late = first + int(length * 0.4) // DAY * DAY
        self._incident = first + int(length * 0.6) // DAY * DAY
        self._done: dict[str, int] = {"hr": -1, "": -1}
        self._world = ""

    def until(self, at: int, errands: Iterable[Errand]) -> Iterator[Row]:
        """Everything that is pushed up to `at`, given what is about to be asked."""
        for group, rows in self._daily.items():
            late = LATE_BY if group == "hr" and at - at % DAY == self._late else 0
            today = at // DAY
            if self._done[group] < today and at % DAY >= late:
                self._done[group] = today
                yield from ((entity, FactRow(source, document, at)) for entity, source, document in rows)
        yield from self._of_the_world(at)
        yield from self._of_people(at, errands)
        for name, sources in agent_documents().items():
            facts = dict(sources["agent_state"].facts)
            facts["risk"] = self._chance.choices((facts["risk"], 55, 80), (17, 2, 1))[0]
            facts["budget_remaining"] = self._chance.choices((facts["budget_remaining"], 3_000, 0), (17, 2, 1))[0]
            yield name, FactRow("agent_state", _document(facts), at)

    def _of_the_world(self, at: int) -> Iterator[Row]:
        declared, critical, over = (self._incident + hour for hour in INCIDENT)
        state, facts = "quiet", dict(quiet_world()["world:"]["incidents"].facts)
        if declared <= at < over:
            state = "critical" if at >= critical else "declared"
            facts = {"incident_level": 3 if at >= critical else 2, "frozen_audiences": ["deployments"]}
        if state != self._world:
            self._world = state
            yield "world:", FactRow("incidents", _document(facts), at)

    def _of_people(self, at: int, errands: Iterable[Errand]) -> Iterator[Row]:
        """The risk engine pushes with every change; so those who are about to ask have a fresh score."""
        known: set[str] = set()
        for errand in errands:
            who = errand.subject
            if who is None or who.issuer != "login" or who.name in known:
                continue
            known.add(who.name)
            score = self._calm[who.name] + self._chance.randrange(6)
            if self._chance.random() < 0.02:
                score = self._chance.randrange(50, 100)
            yield f"User:{who.name}", FactRow("risk", _document({"risk_score": score}), at)
            if self._chance.random() < 0.004:
                yield f"session:{who.claims['sid']}", FactRow("session", _document({"revoked": True}), at)


def _document(facts: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(FactDocument(facts=dict(facts)))
