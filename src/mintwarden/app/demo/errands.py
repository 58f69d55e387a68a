"""What the people and programs of Meridian Payments ask for all day: made up from a seed, none of it answered here.

Deterministic: the same seed, day and times give the same errands. Most of them are within what the asker may have;
some reach further, in the ways in which people and programs do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from mintwarden.app.demo.calls import THIEF, VENDOR
from mintwarden.app.demo.cast import DAY, TENANTS
from mintwarden.app.demo.directory import generate_directory

HOUR = 3_600_000
HOME = "10.20.30.40"
"""Where the company's own programs call from."""
JOBS = tuple(f"repo:meridian-pay/checkout:environment:{place}" for place in ("production", "staging"))
POD = "system:serviceaccount:payments:checkout"


class SignIn(Struct, frozen=True, kw_only=True):
    """A token that somebody brings along.

    Attributes:
        issuer: the trusted issuer's id in the bundle.
        name: its subject.
        age: seconds since the sign-in; since the token was made, where nobody signs in.
        claims: what else it says.
    """

    issuer: str
    name: str
    age: int
    claims: Mapping[str, object] = {}


class Errand(Struct, frozen=True, kw_only=True):
    """One request.

    Attributes:
        client: who asks.
        form: its parameters, without the grant and what authenticates client and subject.
        subject: whose token is exchanged; None when the client asks for itself.
        address: where it comes from.
        then: what is asked next, with the token that this one brings, if it brings one.
    """

    client: str
    form: Mapping[str, str]
    subject: SignIn | None = None
    address: str = HOME
    then: Errand | None = None


class Person(NamedTuple):
    """Somebody of the directory, as far as it shapes what they ask for."""

    name: str
    department: str
    tenants: Sequence[str]
    workspaces: Sequence[str]
    projects: Sequence[str]
    groups: frozenset[str]
    rights: frozenset[str]


class Company:
    """Who may ask, by department. `now`: the day at which the directory stands, `Millis`."""

    def __init__(self, now: int) -> None:
        self.said = generate_directory(now).documents()
        self._by_department: dict[str, list[Person]] = {}
        for entity, sources in self.said.items():
            about, _, name = entity.partition(":")
            if about != "User":
                continue
            facts = sources["directory"].facts
            person = Person(
                name,
                facts["department"],
                facts["tenants"],
                facts["workspaces"],
                facts["projects"],
                frozenset(sources["directory"].groups),
                frozenset(sources["entitlements"].facts["entitlements"]),
            )
            self._by_department.setdefault(person.department, []).append(person)
        self.people = tuple(person for people in self._by_department.values() for person in people)

    def one(self, chance: random.Random, *departments: str) -> Person:
        """Somebody of one of the departments, each person as likely as the other."""
        return chance.choice([person for name in departments for person in self._by_department[name]])


class Moment(NamedTuple):
    """What an errand is made from."""

    chance: random.Random
    company: Company
    at: int

    @property
    def hour(self) -> int:
        """Of the day, in Coordinated Universal Time."""
        return self.at % DAY // HOUR


def errand(chance: random.Random, company: Company, at: int) -> Errand:
    """What somebody asks for at `at` (`Millis`)."""
    make: Callable[[Moment], Errand] = chance.choices(_MAKERS, cum_weights=_WEIGHTS)[0]
    return make(Moment(chance, company, at))


def _signed_in(moment: Moment, person: Person, *, fresh: bool = False) -> SignIn:
    """The person's sign-in of the day; `fresh`: most renew it for what they are about to do."""
    chance = moment.chance
    if fresh and chance.random() < 0.85:
        age, acr = chance.randrange(30, 540), "phr" if chance.random() < 0.92 else "mfa"
    else:
        age, acr = chance.randrange(60, 7 * 3600), chance.choices(("phr", "mfa", "pwd"), (5, 4, 1))[0]
    device = {"device_id": f"dev-{person.name}"} if chance.random() < 0.8 else {}
    claims = {"email_verified": True, "acr": acr, "sid": f"{person.name}-{moment.at // DAY}", **device}
    return SignIn(issuer="login", name=person.name, age=age, claims=claims)


def _tenant(moment: Moment, person: Person) -> dict[str, str]:
    """One of the person's tenants; now and then somebody else's."""
    if person.tenants and moment.chance.random() < 0.97:
        return {"tenant": moment.chance.choice(person.tenants)}
    return {"tenant": moment.chance.choice(TENANTS)}


def _purpose(moment: Moment, purpose: str, forgotten: float = 0.1) -> dict[str, str]:
    return {"purpose": purpose} if moment.chance.random() >= forgotten else {}


def _operations(moment: Moment) -> Errand:
    chance, person = moment.chance, moment.company.one(moment.chance, "Payment Operations")
    wishes = ["payments:read", "payments:read", "payments:read payments:disputes"]
    if "payments-initiator" in person.rights:
        wishes += ["payments:read payments:create", "payments:create payments:cancel"] * 2
    if "payments-refunder" in person.rights:
        wishes += ["payments:read payments:refund"] * 3
    if "payments-approver" in person.rights:
        wishes += ["payments:read payments:approve"] * 3
    scope = chance.choice(wishes)
    if chance.random() < 0.05:
        scope = "payments:read payments:create payments:disputes payments:approve payments:refund"
    purpose: dict[str, str] = {}
    if "disputes" in scope:
        purpose = _purpose(moment, chance.choice(("fraud-review", "customer-refund")))
    elif "refund" in scope:
        purpose = _purpose(moment, "customer-refund", 0.3)
    then = None
    if chance.random() < 0.12:
        posts = "refund" in scope or "approve" in scope
        then = Errand(client="payments-api", form={"audience": "ledger", "scope": _posted(posts)})
    return Errand(
        client="workbench",
        form={"audience": "payments", "scope": scope, **_tenant(moment, person), **purpose},
        subject=_signed_in(moment, person, fresh="approve" in scope),
        then=then,
    )


def _posted(posts: bool) -> str:
    return "ledger:read ledger:post" if posts else "ledger:read"


def _care(moment: Moment) -> Errand:
    chance, person = moment.chance, moment.company.one(moment.chance, "Customer Care")
    audience, scope = chance.choices(
        (
            ("customers", "customers:read.basic"),
            ("customers", "customers:read.basic customers:notes"),
            ("customers", "customers:read.basic customers:read.contact"),
            ("customers", "customers:write"),
            ("payments", "payments:read"),
            ("payments", "payments:read payments:refund"),
        ),
        (6, 6, 4, 1, 6, 1),
    )[0]
    purpose = _purpose(moment, "customer-refund") if "contact" in scope or "refund" in scope else {}
    return Errand(
        client="support-desk",
        form={"audience": audience, "scope": scope, **_tenant(moment, person), **purpose},
        subject=_signed_in(moment, person),
    )


def _merchants(moment: Moment) -> Errand:
    chance, person = moment.chance, moment.company.one(moment.chance, "Merchant Success")
    kind = chance.choices(("basic", "notes", "reports", "payments"), (5, 4, 2, 1))[0]
    if kind == "reports":
        place = {"workspace": chance.choice(person.workspaces)} if person.workspaces else {}
        form = {"audience": "reports", "scope": "reports:view", **place}
    elif kind == "payments":
        form = {"audience": "payments", "scope": "payments:read", **_tenant(moment, person)}
    else:
        scope = "customers:read.basic" if kind == "basic" else "customers:read.basic customers:notes"
        form = {"audience": "customers", "scope": scope, **_tenant(moment, person)}
    return Errand(client="pocket", form=form, subject=_signed_in(moment, person), address="198.51.100.77")


def _finance(moment: Moment) -> Errand:
    chance, person = moment.chance, moment.company.one(moment.chance, "Finance")
    wishes = ["reports:view"] * 5 + ["ledger:read"] * 3 + ["payments:read"] * 4
    if "accountants" in person.groups:
        wishes += ["ledger:reconcile", "ledger:read ledger:reconcile"]
    if "period-close" in person.rights:
        wishes.append("ledger:close")
    if "ledger-adjuster" in person.rights and chance.random() < 0.3:
        wishes.append("ledger:adjust")
    scope = chance.choice(wishes)
    audience = scope.partition(":")[0]
    place = _tenant(moment, person) if audience == "payments" else {}
    return Errand(
        client="workbench",
        form={"audience": audience, "scope": scope, **place},
        subject=_signed_in(moment, person, fresh=scope in ("ledger:close", "ledger:adjust")),
    )


def _engineering(moment: Moment) -> Errand:
    chance, person = moment.chance, moment.company.one(moment.chance, "Engineering", "Security")
    wishes = ["flags:read"] * 6
    if "flag-editor" in person.rights:
        wishes += ["flags:read flags:write"] * 5
    if "on-call" in person.rights:
        wishes += ["deploy:rollback"] * 2
    if chance.random() < 0.03:
        wishes = ["flags:write", "deploy:rollback"]
    scope = chance.choice(wishes)
    audience = "deployments" if scope == "deploy:rollback" else "feature-flags"
    return Errand(
        client="workbench",
        form={"audience": audience, "scope": scope},
        subject=_signed_in(moment, person, fresh="write" in scope or "rollback" in scope),
    )


def _analysis(moment: Moment) -> Errand:
    chance, person = moment.chance, moment.company.one(moment.chance, "Data", "Fraud", "Fraud")
    if "pii-reader" in person.rights and chance.random() < 0.5:
        form = {"audience": "customers", "scope": "customers:read.basic customers:read.pii", **_tenant(moment, person)}
        return Errand(
            client="workbench",
            form={**form, **_purpose(moment, "fraud-review", 0.05)},
            subject=_signed_in(moment, person, fresh=True),
        )
    if chance.random() < 0.3:
        place = {"workspace": chance.choice(person.workspaces)} if person.workspaces else {}
        form = {"audience": "reports", "scope": "reports:view reports:run", **place}
    else:
        project = chance.choice(person.projects) if person.projects else "pricing"
        form = {"audience": "warehouse", "scope": "warehouse:catalog warehouse:query", "project": project}
    if chance.random() < 0.35:
        return Errand(client="research-agent", form=form, subject=_signed_in(moment, person))
    return Errand(client="workbench", form=form, subject=_signed_in(moment, person))


def _colleagues(moment: Moment) -> Errand:
    chance = moment.chance
    person = chance.choice(moment.company.people)
    scope = "hr:directory"
    if "people-managers" in person.groups and chance.random() < 0.4:
        scope = "hr:directory hr:leave.read"
    elif "hr-partner" in person.rights and chance.random() < 0.6:
        scope = "hr:directory hr:onboard"
    client = "pocket" if scope == "hr:directory" and chance.random() < 0.5 else "workbench"
    return Errand(
        client=client,
        form={"audience": "hr", "scope": scope},
        subject=_signed_in(moment, person, fresh="onboard" in scope),
    )


def _compliance(moment: Moment) -> Errand:
    chance, person = moment.chance, moment.company.one(moment.chance, "Compliance")
    scope, purpose = chance.choice((("reports:regulatory", "regulatory-report"), ("reports:publish", "")))
    stated = _purpose(moment, purpose) if purpose else {}
    return Errand(
        client="workbench",
        form={"audience": "reports", "scope": scope, **stated},
        subject=_signed_in(moment, person, fresh=True),
    )


def _backoffice(moment: Moment) -> Errand:
    """The audience that is observed: groups still decide."""
    chance, person = moment.chance, moment.company.one(moment.chance, "Finance", "Customer Care", "Finance Systems")
    client = "support-desk" if person.department == "Customer Care" else "workbench"
    admin = person.department == "Finance Systems" and chance.random() < 0.5
    scope = "backoffice:access backoffice:admin" if admin else "backoffice:access"
    return Errand(
        client=client, form={"audience": "backoffice", "scope": scope}, subject=_signed_in(moment, person, fresh=admin)
    )


def _services(moment: Moment) -> Errand:
    client, audience, scope = moment.chance.choices(
        (
            ("flags-relay", "feature-flags", "flags:evaluate flags:read"),
            ("payments-api", "feature-flags", "flags:evaluate"),
            ("payments-api", "ledger", "ledger:read ledger:post"),
            ("payments-api", "customers", "customers:read.basic"),
            ("ledger-service", "feature-flags", "flags:evaluate"),
            ("ledger-service", "reports", "reports:view reports:run"),
            ("warehouse-loader", "warehouse", "warehouse:catalog warehouse:load"),
            ("warehouse-loader", "payments", "payments:read"),
            ("reporting-batch", "payments", "payments:read"),
            ("erp-bridge", "ledger", "ledger:read"),
            ("erp-bridge", "backoffice", "backoffice:access"),
        ),
        (10, 8, 1, 7, 5, 4, 3, 3, 5, 1, 1),
    )[0]
    place: dict[str, str] = {}
    if audience in ("payments", "customers"):
        place = {"tenant": moment.chance.choice(("nordic", "alpine"))}
    elif audience == "warehouse":
        place = {"project": moment.chance.choice(("refund-quality", "churn-model", "fraud-signals"))}
    return Errand(client=client, form={"audience": audience, "scope": scope, **place})


def _batches(moment: Moment) -> Errand:
    """Jobs run in their windows; a few of them are restarted by hand when nobody should."""
    chance = moment.chance
    if 1 <= moment.hour < 5 or chance.random() < 0.12:
        audience, scope = chance.choice(
            (("payments", "payments:settle"), ("ledger", "ledger:post ledger:reconcile"), ("payments", "payments:read"))
        )
        client = "settlement-batch"
        if 1 <= moment.hour < 4 and chance.random() < 0.25:
            return Errand(client="erp-bridge", form={"audience": "ledger", "scope": "ledger:read ledger:export"})
        return Errand(client=client, form={"audience": audience, "scope": scope, "tenant": "nordic"})
    return Errand(client="reporting-batch", form={"audience": "reports", "scope": "reports:view reports:run"})


def _vendor(moment: Moment) -> Errand:
    """The third party; once in a while somebody has its secret, or it tries another tenant."""
    chance = moment.chance
    form = {"audience": "reports", "scope": "reports:benchmark", "tenant": "nordic", "purpose": "benchmarking"}
    if chance.random() < 0.06:
        form["tenant"] = "alpine"
    return Errand(client="chartmaker", form=form, address=THIEF if chance.random() < 0.04 else VENDOR)


def _jobs(moment: Moment) -> Errand:
    chance = moment.chance
    place = chance.choice(("production", "staging"))
    branch = "main" if chance.random() < 0.85 else "payout-limits"
    claims = {
        "repository": "meridian-pay/checkout",
        "ref": f"refs/heads/{branch}",
        "workflow": "release" if chance.random() < 0.9 else "nightly",
        "environment": place,
    }
    job = JOBS[0] if place == "production" else JOBS[1]
    return Errand(
        client="ci-deployer",
        form={"audience": "deployments", "scope": f"deploy:{place}", "environment": place},
        subject=SignIn(issuer="build", name=job, age=chance.randrange(5, 300), claims=claims),
        address="192.0.2.15",
    )


def _pods(moment: Moment) -> Errand:
    return Errand(
        client="flags-relay",
        form={"audience": "feature-flags", "scope": "flags:evaluate"},
        subject=SignIn(issuer="clusters", name=POD, age=moment.chance.randrange(10, 3_000)),
    )


def _agents(moment: Moment) -> Errand:
    """The refunds agent for its people: at the payments API, at customers, or through the tools."""
    chance = moment.chance
    person = moment.company.one(chance, "Payment Operations", "Payment Operations", "Customer Care")
    audience, scope = chance.choices(
        (
            ("payments", "payments:read"),
            ("payments", "payments:read payments:refund"),
            ("customers", "customers:read.basic"),
            ("agent-tools", "tools:lookup"),
            ("agent-tools", "tools:lookup tools:refund"),
        ),
        (4, 3, 2, 3, 2),
    )[0]
    then = None
    if audience == "agent-tools":
        refunds = "refund" in scope
        behind = {"audience": "payments", "scope": "payments:read payments:refund" if refunds else "payments:read"}
        then = Errand(client="mcp-payments", form=behind)
    form = {"audience": audience, "scope": scope, **_tenant(moment, person), **_purpose(moment, "customer-refund", 0.2)}
    return Errand(client="refunds-agent", form=form, subject=_signed_in(moment, person), then=then)


def _agents_alone(moment: Moment) -> Errand:
    workspace = moment.chance.choices(("data", "fraud", "executive"), (5, 5, 1))[0]
    return Errand(
        client="research-agent", form={"audience": "reports", "scope": "reports:view", "workspace": workspace}
    )


def _staging(moment: Moment) -> Errand:
    chance = moment.chance
    if chance.random() < 0.08:  # the old mistake in its ceiling
        form = {"audience": "payments", "scope": "payments:read", "tenant": "nordic"}
    elif chance.random() < 0.3:
        form = {"audience": "deployments", "scope": "deploy:staging"}
    else:
        form = {"audience": "payments-staging", "scope": "staging-payments:read staging-payments:write"}
    return Errand(client="staging-runner", form=form)


def _administration(moment: Moment) -> Errand:
    client, scope = moment.chance.choices(
        (("risk-engine", "mintwarden:facts.write"), ("operator", "mintwarden:decisions.read")), (3, 1)
    )[0]
    return Errand(client=client, form={"audience": "mintwarden", "scope": scope})


_SHARES: tuple[tuple[Callable[[Moment], Errand], int], ...] = (
    (_operations, 17),
    (_care, 13),
    (_merchants, 8),
    (_finance, 7),
    (_engineering, 6),
    (_analysis, 6),
    (_colleagues, 6),
    (_compliance, 1),
    (_backoffice, 3),
    (_services, 40),
    (_batches, 4),
    (_vendor, 2),
    (_jobs, 3),
    (_pods, 4),
    (_agents, 8),
    (_agents_alone, 1),
    (_staging, 2),
    (_administration, 2),
)
_MAKERS = tuple(make for make, _ in _SHARES)
_WEIGHTS = tuple(sum(share for _, share in _SHARES[: number + 1]) for number in range(len(_SHARES)))
