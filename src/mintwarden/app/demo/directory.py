"""The directory of Meridian Payments: some 400 people, 250 groups and 60 programs, made from a seed.

Deterministic: the same seed and day give the same directory, byte for byte. The cast stands in it among people
whom nobody names.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from mintwarden.app.demo.cast import (
    DAY,
    HOME_REGION,
    PEOPLE,
    PROGRAMS,
    TENANTS,
    Documents,
    Person,
    Program,
    agent_documents,
    partner_documents,
    person_documents,
    program_documents,
    spell,
)
from mintwarden.context.ports import FactDocument

SEED = 20_261_124
PEOPLE_COUNT, GROUP_COUNT, PROGRAM_COUNT, AGENT_COUNT = 400, 250, 60, 8

_GIVEN = (
    "ada amir anna arne bea boris carla cem dana david elif emma erik esra eva felix finn greta hugo ida ilse ivan "
    "jana jens joan karl kaya lars lea leon lina luca mara mats mia milan mina nora olaf olga oskar paula pia rafa "
    "rana rolf rosa sami sara selma sven tara theo tilda uwe vera willem yara zoe"
).split()
_FAMILY = (
    "abel adler andersen aydin baker bauer becker bianchi blom bruno costa cruz dahl dubois duarte ekman fabre ferrari "
    "fischer garcia gruber hansen hoffmann ivanov jansen kaplan keller kovacs kowal larsen lehmann lopez marino meyer "
    "moreau moser nagy nilsen novak olsen ortiz peeters petrov popov ricci romano rossi santos schmid silva sorensen "
    "tanaka torres vidal vogt weber wolf yilmaz zeman"
).split()


class Department(NamedTuple):
    """A part of the company: its share of the people, its broad group, and what some of its people may do."""

    name: str
    slug: str
    share: int
    broad: str
    rights: tuple[str, ...]
    trainings: tuple[str, ...]


DEPARTMENTS: tuple[Department, ...] = (
    Department(
        "Payment Operations",
        "payment-operations",
        16,
        "payments-all",
        ("payments-initiator", "payments-refunder", "payments-approver"),
        ("chargeback-rules", "data-protection"),
    ),
    Department("Customer Care", "customer-care", 18, "support-all", (), ("data-protection",)),
    Department("Engineering", "engineering", 24, "engineering-all", ("flag-editor", "on-call"), ()),
    Department("Finance", "finance", 10, "finance-all", ("ledger-adjuster", "period-close"), ()),
    Department("Merchant Success", "merchant-success", 10, "payments-all", (), ("data-protection",)),
    Department("Data", "data", 7, "data-all", ("warehouse-analyst",), ("data-protection",)),
    Department("Fraud", "fraud", 4, "fraud-all", ("pii-reader", "warehouse-analyst"), ("data-protection",)),
    Department("People", "people", 4, "people-all", ("hr-partner",), ()),
    Department("Compliance", "compliance", 3, "compliance-all", ("regulatory-reporter", "report-editor"), ()),
    Department("Security", "security", 4, "security-all", ("on-call",), ()),
)
_COUNTRIES = ("DE", "SE", "NL", "ES", "PL", "DK", "AT", "US", "SG")
_EMEA = frozenset({"DE", "SE", "NL", "ES", "PL", "DK", "AT"})
_WORKSPACES = ("operations", "merchants", "data", "fraud", "compliance", "executive")
_PROJECTS = ("refund-quality", "churn-model", "fraud-signals", "pricing", "onboarding", "settlement-v3")
_PLURALS: Mapping[str, str] = {"User": "people", "Workload": "workloads", "Agent": "agents", "client": "clients"}
_MODELS = ("atlas-3", "atlas-3.1", "atlas-mini")


class Directory(NamedTuple):
    """A directory as its systems of record know it.

    Attributes:
        groups: each group and those it is directly nested in.
        said: what each source says about each entity, with the groups that it is directly in.
    """

    groups: Mapping[str, tuple[str, ...]]
    said: Documents

    def documents(self) -> Documents:
        """The same as it ends up in the store: every group, near and far."""
        return {
            entity: {source: _nested(document, self.groups) for source, document in sources.items()}
            for entity, sources in self.said.items()
        }

    def records(self) -> dict[str, list[dict[str, object]]]:
        """The same as records of `docs/directory.md`: one an entity, one a group, one an entitlement with its span."""
        found: dict[str, list[dict[str, object]]] = {
            "groups": [{"id": name, "member_of": list(above)} for name, above in self.groups.items()],
            **{plural: [] for plural in _PLURALS.values()},
            "entitlements": [],
        }
        for entity, sources in self.said.items():
            about, _, name = entity.partition(":")
            record: dict[str, object] = {"id": name}
            for document in sources.values():
                record |= document.facts
                if document.groups:
                    record["groups"] = list(document.groups)
                found["entitlements"] += _entitlements(entity, document)
            found[_PLURALS[about]].append(record)
        return found


def generate_directory(now: int, *, seed: int = SEED, people: int = PEOPLE_COUNT) -> Directory:
    """The whole directory as it stands at `now` (`Millis`); spans of entitlements are relative to that day.

    Pushed facts (risk, sessions, agent state, incidents) are not in it: nobody has pushed any yet.
    """
    chance = random.Random(seed)  # noqa: S311 - a made-up company, not a secret
    today = now - now % DAY
    groups = _groups(chance)
    documents: Documents = {}
    for person in (*PEOPLE, *_people(chance, people - len(PEOPLE), groups)):
        documents |= person_documents(person, today)
    for program in (*PROGRAMS, *_programs(chance, PROGRAM_COUNT - len(PROGRAMS))):
        documents |= program_documents(program)
    registered = {entity: {"agents": said["agents"]} for entity, said in agent_documents().items()}
    documents |= _agents(chance, AGENT_COUNT - len(registered)) | registered | partner_documents(today)
    return Directory(groups, documents)


def ancestors(group: str, groups: Mapping[str, tuple[str, ...]]) -> Iterable[str]:
    """The group and every group it is nested in, near and far, once each."""
    found: dict[str, None] = {}
    waiting = [group]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting.extend(groups.get(name, ()))
    return found


def _nested(document: FactDocument, groups: Mapping[str, tuple[str, ...]]) -> FactDocument:
    every = sorted({name for group in document.groups for name in ancestors(group, groups)})
    return FactDocument(facts=document.facts, groups=every, spans=document.spans)


def _entitlements(entity: str, document: FactDocument) -> list[dict[str, object]]:
    return [
        {
            "entity": entity,
            "fact": fact,
            "element": element,
            **{name: spell(at) for name, at in zip(("start", "end"), span, strict=True) if at is not None},
        }
        for fact, spans in document.spans.items()
        for element, span in spans.items()
    ]


def _groups(chance: random.Random) -> dict[str, tuple[str, ...]]:
    """Many, broad and nested: regions within staff, teams within departments, and lists that nobody weeds."""
    groups: dict[str, tuple[str, ...]] = {"all-staff": (), "contractors": (), "everyone": ()}
    groups |= {"emea-staff": ("all-staff",), "amer-staff": ("all-staff",), "apac-staff": ("all-staff",)}
    for country in _COUNTRIES:
        region = "emea-staff" if country in _EMEA else "amer-staff" if country == "US" else "apac-staff"
        groups[f"staff-{country.lower()}"] = (region,)
    for department in DEPARTMENTS:
        groups.setdefault(department.broad, ())
        groups[f"dept-{department.slug}"] = (department.broad,)
        for team in range(1, 2 + department.share // 2):
            groups[f"team-{department.slug}-{team}"] = (f"dept-{department.slug}",)
    roles = (
        "people-managers accountants controllers auditors analysts fraud-analysts privacy-office care-second-line "
        "backoffice-admins incident-responders payment-agents research-agents payments-readers ledger-readers "
        "ledger-writers report-runners flag-relays test-runners deployable fact-feeds token-operations erp-bridges"
    )
    groups |= dict.fromkeys(roles.split(), ())
    groups |= {f"project-{name}": () for name in _PROJECTS} | {f"workspace-{name}": () for name in _WORKSPACES}
    number = 0
    while len(groups) < GROUP_COUNT:
        number += 1
        nested = (chance.choice(("everyone", "all-staff", f"list-{number - 1:03}")),) if number > 1 else ()
        groups[f"list-{number:03}"] = nested
    return groups


def _people(chance: random.Random, count: int, groups: Mapping[str, tuple[str, ...]]) -> list[Person]:
    taken = {person.name for person in PEOPLE}
    lists = [name for name in groups if name.startswith("list-")]
    weights = [department.share for department in DEPARTMENTS]
    found: list[Person] = []
    while len(found) < count:
        name = f"{chance.choice(_GIVEN)}.{chance.choice(_FAMILY)}"
        department = chance.choices(DEPARTMENTS, weights)[0]
        person = _person(chance, name, department, lists)
        if name not in taken:
            taken.add(name)
            found.append(person)
    return found


def _person(chance: random.Random, name: str, department: Department, lists: Sequence[str]) -> Person:
    country = chance.choice(_COUNTRIES)
    contractor = chance.random() < 0.12
    team = chance.randrange(1, 2 + department.share // 2)
    groups = [f"team-{department.slug}-{team}", *chance.sample(lists, chance.randrange(2, 9))]
    groups.append("contractors" if contractor else f"staff-{country.lower()}")
    if chance.random() < 0.1 and not contractor:
        groups.append("people-managers")
    if department.slug in ("data", "fraud"):
        groups.append("analysts")
    rights: dict[str, int | None] = {}
    if department.rights and chance.random() < 0.6:
        rights[chance.choice(department.rights)] = chance.choice((None, 5, 30, 90, 180, -10))
    return Person(
        name=name,
        department=department.name,
        title=chance.choice(("Specialist", "Senior Specialist", "Lead", "Associate")),
        employment="contractor" if contractor else chance.choices(("employee", "temporary"), (19, 1))[0],
        country=country,
        groups=groups,
        tenants=chance.sample(TENANTS, chance.randrange(1, 3)),
        workspaces=chance.sample(_WORKSPACES, chance.randrange(0, 3)),
        projects=chance.sample(_PROJECTS, chance.randrange(0, 3)),
        trainings=department.trainings if chance.random() < 0.8 else (),
        entitlements=rights,
        approval_limit=1_000_000 if "payments-approver" in rights else None,
        active=chance.random() > 0.03,
        on_leave=chance.random() < 0.04,
        contract_days=chance.randrange(-20, 300) if contractor else None,
    )


def _programs(chance: random.Random, count: int) -> list[Program]:
    kinds = ("api", "worker", "gateway", "sync", "scheduler", "indexer", "notifier")
    subjects = ("checkout", "invoices", "merchants", "refunds", "rates", "identity", "archive", "alerts")
    names = [f"{subject}-{kind}" for subject in subjects for kind in kinds]
    return [
        Program(
            name=name,
            team=chance.choice(DEPARTMENTS).name,
            environment=chance.choices(("production", "staging"), (4, 1))[0],
            lifecycle=chance.choices(("active", "retiring", "retired"), (9, 1, 1))[0],
            groups=("deployable",),
            tenants=chance.sample(TENANTS, 2),
            region=chance.choices((HOME_REGION, "us-east-1"), (5, 1))[0],
            image_signed=chance.random() > 0.05,
        )
        for name in chance.sample(names, count)
    ]


def _agents(chance: random.Random, count: int) -> Documents:
    """Registered, but not running: nobody has pushed their state."""
    return {
        f"Agent:helper-{number}": {
            "agents": FactDocument(
                facts={
                    "owner": chance.choice(DEPARTMENTS).slug,
                    "approved_models": [chance.choice(_MODELS)],
                    "tenants": chance.sample(TENANTS, 1),
                    "workspaces": [],
                    "projects": [],
                },
                groups=["research-agents"],
            )
        }
        for number in range(1, count + 1)
    }
