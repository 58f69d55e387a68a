"""A decision, and what belongs to it, for the tests of this room."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from mintwarden.mint.prepare import prepare
from mintwarden.mint.signers import LocalSigner
from mintwarden.model.asked import Asked
from mintwarden.model.catalogue import Audience, Client
from mintwarden.model.decision import Decision, Lifetime, ScopeDecision
from mintwarden.model.token import PreparedToken, Receipt
from mintwarden.model.values import EntityUid

NOW = 1_795_000_000_123
ISSUER = "https://tokens.meridian.example"
DECISION_ID = "0199aaaa-0000-7000-8000-000000000001"
ALICE = EntityUid("User", "alice")

CLIENT = Client(
    id="portal",
    name="Portal",
    kind="web",
    owner="Payments Platform",
    principal="Workload",
    methods=("private_key_jwt",),
    grants=("token_exchange",),
    ceilings={},
    environments=("production",),
)


def audience(**changes: Any) -> Audience:
    members = {
        "id": "payments",
        "identifier": "https://api.meridian.example/payments",
        "description": "",
        "owner": "Payments Platform",
        "environments": ("production",),
        "scopes": {},
        "max_ttl": 900,
        "default_ttl": 300,
        "claims": {},
    }
    return Audience(**{**members, **changes})


def decision(**changes: Any) -> Decision:
    members = {
        "bundle": "b",
        "decided_at": NOW,
        "audience": "payments",
        "subject": ALICE,
        "actors": (),
        "scopes": (
            ScopeDecision(scope="payments:read", granted=True, route="r1"),
            ScopeDecision(scope="payments:approve", granted=False, reason="no_route"),
            ScopeDecision(scope="payments:export", granted=True, route="r2"),
        ),
        "granted": True,
        "lifetime": Lifetime(300, "default:payments", (("default:payments", 300),)),
    }
    return Decision(**{**members, **changes})


def asked(**changes: Any) -> Asked:
    members = {
        "grant": "token_exchange",
        "client_id": "portal",
        "subject": ALICE,
        "audience": "payments",
        "scopes": ("payments:read", "payments:approve", "payments:export"),
    }
    return Asked(**{**members, **changes})


def es256_signer(kid: str = "key-1") -> LocalSigner:
    return LocalSigner(kid=kid, algorithm="ES256", private_key=ec.generate_private_key(ec.SECP256R1()))


SIGNER = es256_signer()


def prepared(**changes: Any) -> PreparedToken:
    """What `prepare` makes of the sample; `decision`, `asked`, `audience`, `key` may be given."""
    return prepare(
        changes.get("decision", decision()),
        changes.get("asked", asked()),
        CLIENT,
        changes.get("audience", audience()),
        issuer=ISSUER,
        key=changes.get("key", SIGNER),
        now=NOW,
        decision_id=DECISION_ID,
    )


def receipt(token: PreparedToken, **changes: Any) -> Receipt:
    members = {
        "decision_id": token.decision_id,
        "position": 7,
        "leaf_hash": bytes(range(32)),
        "prepared": token.digest,
    }
    return Receipt(**{**members, **changes})
