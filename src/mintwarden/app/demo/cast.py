"""The people, programs and agents of Meridian Payments whom its scenarios, documentation and quickstart name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from mintwarden.app.spelling import moment
from mintwarden.context.ports import FactDocument, Span

Documents = dict[str, dict[str, FactDocument]]
"""Entity key to source id to what the source says."""

DAY = 86_400_000
TENANTS = ("nordic", "alpine", "iberia", "benelux")
HOME_REGION = "eu-north-1"


class Person(Struct, frozen=True, kw_only=True):
    """Someone of the company. `entitlements` maps each to the days it still runs, None for no end."""

    name: str
    department: str
    groups: Sequence[str]
    title: str = ""
    employment: str = "employee"
    country: str = "DE"
    manager: str = ""
    tenants: Sequence[str] = ()
    workspaces: Sequence[str] = ()
    projects: Sequence[str] = ()
    trainings: Sequence[str] = ()
    entitlements: Mapping[str, int | None] = {}
    approvals: Sequence[str] = ()
    approval_limit: int | None = None
    active: bool = True
    on_leave: bool = False
    contract_days: int | None = None


class Program(Struct, frozen=True, kw_only=True):
    """A workload. `region` is empty for what runs elsewhere: nobody vouches for its image."""

    name: str
    team: str
    groups: Sequence[str] = ()
    environment: str = "production"
    lifecycle: str = "active"
    tenants: Sequence[str] = ()
    workspaces: Sequence[str] = ()
    projects: Sequence[str] = ()
    entitlements: Sequence[str] = ()
    region: str = HOME_REGION
    image_signed: bool = True


def span(now: int, days: int | None) -> Span:
    """From a year before `now` for `days` more days; a negative number has ended already."""
    return (now - 365 * DAY, None if days is None else now + days * DAY)


def spell(millis: int) -> str:
    """A moment as facts spell it."""
    return moment(millis)


def person_documents(person: Person, now: int) -> Documents:
    """What the directory, the personnel system and identity governance say about `person`."""
    facts: dict[str, object] = {
        "active": person.active,
        "department": person.department,
        "employment": person.employment,
        "display_name": " ".join(part.capitalize() for part in person.name.split(".")),
        "email": f"{person.name}@meridian.example",
        "country": person.country,
        "tenants": list(person.tenants),
        "workspaces": list(person.workspaces),
        "projects": list(person.projects),
        "cost_centre": f"CC-{1000 + sum(map(ord, person.department)) % 9000}",
    }
    facts |= {name: value for name, value in (("title", person.title), ("manager", person.manager)) if value}
    personnel: dict[str, object] = {"on_leave": person.on_leave, "trainings": list(person.trainings)}
    if person.contract_days is not None:
        personnel["contract_end"] = spell(now + person.contract_days * DAY)
    granted: dict[str, object] = {"entitlements": list(person.entitlements)}
    if person.approvals:
        granted["approvals"] = list(person.approvals)
    if person.approval_limit is not None:
        granted["approval_limit"] = person.approval_limit
    spans = {name: span(now, days) for name, days in person.entitlements.items() if days is not None}
    return {
        f"User:{person.name}": {
            "directory": FactDocument(facts=facts, groups=list(person.groups)),
            "hr": FactDocument(facts=personnel),
            "entitlements": FactDocument(facts=granted, spans={"entitlements": spans} if spans else {}),
        }
    }


def program_documents(program: Program) -> Documents:
    """What the service catalogue, identity governance and admission control say about `program`."""
    documents = {
        "workloads": FactDocument(
            facts={
                "team": program.team,
                "environment": program.environment,
                "lifecycle": program.lifecycle,
                "tenants": list(program.tenants),
                "workspaces": list(program.workspaces),
                "projects": list(program.projects),
            },
            groups=list(program.groups),
        ),
        "entitlements": FactDocument(facts={"entitlements": list(program.entitlements)}),
    }
    if program.region:
        posture = {"image_signed": program.image_signed, "region": program.region}
        documents["posture"] = FactDocument(facts=posture)
    return {f"Workload:{program.name}": documents}


_OPERATIONS = ("all-staff", "emea-staff", "payments-all")
_CARE = ("all-staff", "emea-staff", "support-all")
_FINANCE = ("all-staff", "emea-staff", "finance-all")
_ENGINEERING = ("all-staff", "emea-staff", "engineering-all")
_HOME = ("nordic", "alpine")

PEOPLE: tuple[Person, ...] = (
    Person(
        name="maya.lindqvist",
        department="Payment Operations",
        title="Payment Specialist",
        country="SE",
        manager="jonas.weber",
        groups=_OPERATIONS,
        tenants=_HOME,
        workspaces=("operations",),
        projects=("refund-quality",),
        trainings=("chargeback-rules", "data-protection"),
        entitlements={"payments-initiator": 90, "payments-refunder": 30},
    ),
    Person(
        name="nils.ek",
        department="Payment Operations",
        title="Dispute Analyst",
        country="SE",
        manager="jonas.weber",
        groups=_OPERATIONS,
        tenants=("nordic",),
        workspaces=("operations",),
        trainings=("chargeback-rules",),
    ),
    Person(
        name="jonas.weber",
        department="Payment Operations",
        title="Head of Payment Operations",
        groups=(*_OPERATIONS, "people-managers"),
        tenants=_HOME,
        workspaces=("operations",),
        entitlements={"payments-approver": 60},
        approval_limit=5_000_000,
    ),
    Person(
        name="dario.conti",
        department="Payment Operations",
        title="Payment Specialist",
        groups=_OPERATIONS,
        tenants=_HOME,
        entitlements={"payments-initiator": 90, "payments-approver": 90},
        approval_limit=1_000_000,
    ),
    Person(
        name="emil.sorensen",
        department="Payment Operations",
        title="Payment Specialist",
        groups=_OPERATIONS,
        tenants=_HOME,
        entitlements={"payments-refunder": 90},
        on_leave=True,
    ),
    Person(
        name="petra.vogel",
        department="Payment Operations",
        groups=_OPERATIONS,
        tenants=_HOME,
        entitlements={"payments-initiator": 90},
        active=False,
    ),
    Person(
        name="astrid.holm",
        department="Payment Risk",
        title="Limits Officer",
        groups=_OPERATIONS,
        tenants=_HOME,
        entitlements={"payments-limits": 30},
        approvals=("risk-officer:payments:limits.write",),
    ),
    Person(
        name="lena.fischer",
        department="Customer Care",
        title="Senior Agent",
        groups=(*_CARE, "care-second-line"),
        tenants=_HOME,
        trainings=("data-protection",),
        approvals=("manager:payments:refund",),
    ),
    Person(
        name="omar.haddad",
        department="Customer Care",
        title="Agent",
        employment="contractor",
        groups=_CARE,
        tenants=("nordic",),
        contract_days=120,
    ),
    Person(
        name="clara.nowak",
        department="Finance",
        title="Assistant",
        country="PL",
        groups=_FINANCE,
        tenants=_HOME,
    ),
    Person(
        name="priya.nair",
        department="Finance",
        title="Controller",
        country="NL",
        groups=(*_FINANCE, "accountants", "controllers", "people-managers"),
        tenants=_HOME,
        entitlements={"period-close": 45},
    ),
    Person(
        name="anton.berg",
        department="Finance",
        title="Accountant",
        country="SE",
        manager="priya.nair",
        groups=(*_FINANCE, "accountants", "controllers"),
        tenants=_HOME,
        entitlements={"ledger-adjuster": 20, "period-close": 45},
        approvals=("controller:ledger:adjust",),
    ),
    Person(
        name="greta.hall",
        department="Finance Systems",
        title="Administrator",
        groups=("all-staff", "emea-staff", "backoffice-admins"),
        entitlements={"backoffice-admin": 200},
    ),
    Person(
        name="yusuf.demir",
        department="Internal Audit",
        title="Auditor",
        groups=("all-staff", "emea-staff", "auditors"),
        tenants=_HOME,
        entitlements={"audit-engagement": 14},
    ),
    Person(
        name="sofia.rossi",
        department="People",
        title="People Partner",
        groups=("all-staff", "emea-staff"),
        entitlements={"hr-partner": None, "compensation-review": 10},
    ),
    Person(
        name="marek.novak",
        department="Engineering",
        title="Engineer",
        groups=_ENGINEERING,
        entitlements={"flag-editor": 180, "on-call": 3},
    ),
    Person(
        name="ines.okafor",
        department="Security",
        title="Incident Lead",
        groups=(*_ENGINEERING, "incident-responders"),
        entitlements={"flag-editor": 180, "on-call": 3},
    ),
    Person(
        name="hana.kim",
        department="Privacy Office",
        title="Privacy Officer",
        groups=("all-staff", "emea-staff", "privacy-office"),
        tenants=_HOME,
        entitlements={"privacy-officer": None},
        approvals=("privacy-head:customers:erase",),
    ),
    Person(
        name="viktor.lund",
        department="Fraud",
        title="Fraud Analyst",
        groups=("all-staff", "emea-staff", "fraud-analysts", "analysts"),
        tenants=_HOME,
        workspaces=("fraud",),
        projects=("fraud-signals",),
        trainings=("data-protection",),
        entitlements={"pii-reader": 60, "raw-data-reader": 7, "warehouse-analyst": 60},
        approvals=("privacy-head:warehouse:query.raw",),
    ),
    Person(
        name="tom.becker",
        department="Data",
        title="Analyst",
        employment="contractor",
        groups=("contractors", "analysts"),
        workspaces=("data",),
        projects=("churn-model",),
        entitlements={"warehouse-analyst": 25},
        contract_days=25,
    ),
    Person(
        name="paul.martin",
        department="Data",
        employment="contractor",
        groups=("contractors", "analysts"),
        workspaces=("data",),
        projects=("churn-model",),
        entitlements={"warehouse-analyst": 25},
        contract_days=-2,
    ),
    Person(
        name="rosa.marin",
        department="Compliance",
        title="Reporting Officer",
        groups=("all-staff", "emea-staff"),
        workspaces=("compliance",),
        entitlements={"regulatory-reporter": 90, "report-editor": 90},
        approvals=("manager:reports:publish",),
    ),
    Person(
        name="kai.jensen",
        department="Merchant Success",
        title="Account Manager",
        groups=("all-staff", "emea-staff", "payments-all"),
        tenants=("alpine",),
        workspaces=("merchants",),
    ),
)

PROGRAMS: tuple[Program, ...] = (
    Program(name="workbench", team="Payments Platform"),
    Program(name="merchant-portal", team="Merchant Success"),
    Program(name="pocket", team="Merchant Success", region=""),
    Program(name="till", team="Merchant Success", region=""),
    Program(name="payments-api", team="Payments Platform", groups=("ledger-writers", "ledger-readers"), tenants=_HOME),
    Program(name="ledger-service", team="Finance Systems", groups=("report-runners",), tenants=_HOME),
    Program(name="flags-relay", team="Developer Platform", groups=("flag-relays",)),
    Program(
        name="settlement-batch",
        team="Payments Platform",
        groups=("payments-readers", "ledger-writers"),
        tenants=_HOME,
        entitlements=("settlement-run",),
    ),
    Program(
        name="reporting-batch", team="Data and Reporting", groups=("payments-readers", "report-runners"), tenants=_HOME
    ),
    Program(
        name="warehouse-loader",
        team="Data and Reporting",
        groups=("payments-readers",),
        tenants=_HOME,
        projects=("refund-quality", "churn-model", "fraud-signals"),
    ),
    Program(name="ci-deployer", team="Developer Platform", region=""),
    Program(name="support-desk", team="Customer Care"),
    Program(name="mcp-payments", team="AI Platform"),
    Program(name="chartmaker", team="Vendor Risk", tenants=("nordic",), region=""),
    Program(
        name="staging-runner",
        team="Payments Platform",
        environment="staging",
        groups=("test-runners", "payments-readers"),
        tenants=_HOME,
        region="eu-central-1",
    ),
    Program(name="erp-bridge", team="Finance Systems", groups=("erp-bridges", "ledger-readers"), tenants=_HOME),
    Program(name="risk-engine", team="Security Operations", groups=("fact-feeds",)),
    Program(name="operator", team="Token Governance", groups=("token-operations",)),
    Program(name="governance-desk", team="Token Governance"),
    Program(
        name="repo:meridian-pay/checkout:environment:production",
        team="Payments Platform",
        groups=("deployable",),
        region="",
    ),
    Program(
        name="repo:meridian-pay/checkout:environment:staging",
        team="Payments Platform",
        environment="staging",
        groups=("deployable",),
        region="",
    ),
    Program(name="system:serviceaccount:payments:checkout", team="Payments Platform"),
)


def agent_documents() -> Documents:
    """The register's word on the two agents, and their state on a quiet day."""
    return {
        "Agent:refunds-agent": {
            "agents": FactDocument(
                facts={
                    "owner": "ai-platform",
                    "approved_models": ["atlas-3", "atlas-3.1"],
                    "tenants": list(_HOME),
                    "workspaces": ["operations"],
                    "projects": [],
                },
                groups=["payment-agents"],
            ),
            "agent_state": FactDocument(
                facts={"model": "atlas-3.1", "tools": ["lookup", "refund"], "budget_remaining": 20_000, "risk": 10}
            ),
        },
        "Agent:research-agent": {
            "agents": FactDocument(
                facts={
                    "owner": "ai-platform",
                    "approved_models": ["atlas-3.1"],
                    "tenants": [],
                    "workspaces": ["data", "fraud"],
                    "projects": ["fraud-signals", "churn-model"],
                },
                groups=["research-agents"],
            ),
            "agent_state": FactDocument(
                facts={
                    "model": "atlas-3.1",
                    "tools": ["sql", "report-runner"],
                    "budget_remaining": 10_000,
                    "risk": 5,
                }
            ),
        },
    }


def partner_documents(now: int) -> Documents:
    """The contract with the one third party."""
    contract = {"contract_end": spell(now + 300 * DAY), "contract_tenant": "nordic", "suspended": False}
    return {"client:chartmaker": {"partners": FactDocument(facts=contract)}}


def quiet_world() -> Documents:
    """No incident, nothing frozen."""
    return {"world:": {"incidents": FactDocument(facts={"incident_level": 0, "frozen_audiences": []})}}


def cast_documents(now: int) -> Documents:
    """Everything that the stored sources say about the cast at `now` (`Millis`), pushed facts of the day included."""
    documents: Documents = {}
    for person in PEOPLE:
        documents |= person_documents(person, now)
    for program in PROGRAMS:
        documents |= program_documents(program)
    return documents | agent_documents() | partner_documents(now) | quiet_world()
