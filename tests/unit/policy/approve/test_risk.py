"""What needs the larger quorum: everything that could lift a protection, seen as an attacker would."""

from __future__ import annotations

import msgspec
import pytest

from mintwarden.policy.approve.risk import risk
from mintwarden.policy.bundle.load import build_bundle
from tests.unit.policy.approve.signing import soft
from tests.unit.policy.approve.small import bundle, team, texts

KEYS = team()
OLD = bundle(KEYS)
B, R, P, C, S, I, K = (
    "bundle.toml", "rules/all.cedar", "audiences/payments.toml", "claims.toml", "sources.toml", "issuers/login.toml",
    "clients/batch.toml",
)  # fmt: skip

HIGHER = {
    "a rule about a high-tier scope": (R, '@require_amr("mfa")\n', "", "rule `staff-write` is changed"),
    "a rule about an audience with one": (R, 'principal == Agent::"helper"', "principal", "rule `agent-acts`"),
    "a new rule about a high-tier scope": (
        R, "", ('@id("x") @owner("o") @reason("r")\npermit (principal == Workload::"batch", action == Action::"issue", '
        'resource == Scope::"payments:write");'), "rule `x` is added",
    ),
    "a guardrail changed": (R, "principal.score >= 80", "principal.score >= 99", "guardrail `no-writing-at-risk`"),
    "a guardrail renamed": (R, '@id("no-writing-at-risk")', '@id("other")', "guardrail `no-writing-at-risk` is taken"),
    "a guardrail for fewer": (R, "forbid (principal is User,", 'forbid (principal == User::"x",', "guardrail"),
    "a high-tier scope made low": (P, 'tier = "high"', 'tier = "low"', "scope `payments:write` is changed"),
    "a high-tier scope carried": ("audiences/ledger.toml", "default = true", 'default = true\ncarries = ["payments:write"]',
                                  "carries the high-tier scope"),
    "longer lives for them": (P, 'max_ttl = "15m"', 'max_ttl = "20m"', "longer lives"),
    "enforce turned into observe": (P, "[audience]", '[legacy]\nfinance = ["payments:read"]\n[audience]\nmode = "observe"', "changes its `mode`"),
    "another resource server": (P, "[audience]", '[audience]\nalso = ["https://evil.example"]', "changes its `also`"),
    "another environment": (B, 'environments = ["production"]', 'environments = ["production", "test"]',
                            "the catalogue changes its `environments`"),
    "a longer chain of actors": (B, "max_actors = 3", "max_actors = 9", "max_actors"),
    "another owner": (B, 'name = "Token Governance"', 'name = "Somebody"', "the catalogue changes its `owner`"),
    "a smaller quorum": (B, "required = 2", "required = 1", "who approves changes: `higher_risk`"),
    "another approver's key": (B, KEYS["Ann"].text, soft().text, "who approves changes: `approvers`"),
    "another author": (B, KEYS["Dan"].text, soft().text, "who approves changes: `authors`"),
    "longer break-glass": (B, 'max = "4h"', 'max = "5h"', "who approves changes: `break_glass`"),
    "a tier's cap raised": (B, 'max_ttl = "10m"', 'max_ttl = "11m"', "tier `high` changes its `max_ttl`"),
    "a tier checked less": (B, 'verify = "always"', 'verify = "off"', "tier `high` changes its `verify`"),
    "a tier put in between": (B, "[tiers.high]", '[tiers.new]\ndescription = "n"\nmax_ttl = "1h"\n[tiers.high]', "tiers"),
    "a source that may be older": (S, 'max_age = "1h"', 'max_age = "9h"', "source `risk` is read otherwise"),
    "a source whose absence refuses no more": (S, 'max_age = "24h"', 'max_age = "24h"\nmissing = "absent"', "source"),
    "a source that others feed": (S, "", ('[sources.x]\nkind = "store"\nabout = ["User"]\n[sources.x.facts]\nq = "string"\n'
                                          '[sources.x.scim.facts]\nq = "title"\n'), "fed over SCIM"),
    "another source of groups": (S, "", ('[sources.x]\nkind = "store"\nabout = ["User"]\nmax_age = "1h"\ngroups = true\n'
                                 'description = "x"\n[sources.x.facts]\nq = "string"\n'), "names groups"),
    "a claim of such an audience": (C, 'from = "subject.department"', "derive = 'subject.department'", "is derived otherwise"),
    "a trusted issuer's audience": (I, "https://tokens.example.com", "https://other.example.com", "trusted otherwise"),
    "another trusted issuer": ("issuers/x.toml", "", ('[issuer]\nid = "x"\nissuer = "https://x.example"\nprofile = "oidc"\n'
                               'audiences = ["https://tokens.example.com"]\nprincipal = "Workload"\nsubject = "sub"\nsubject_prefix = "x:"\n'),
                               "is trusted from now on"),
    "a client that may write": (K, '["payments:read"]', '"*"', "may have the high-tier scope"),
    "a client from anywhere": (K, 'addresses = ["10.0.0.0/8", "192.168.0.0/16"]\n', "", "client `batch` changes its `addresses`"),
    "a client with another grant": (K, '["client_credentials"]', '["client_credentials", "token_exchange"]', "`grants`"),
    "a client of a looser profile": (K, "[client]", '[client]\nprofile = "legacy"', "client `batch` changes its `profile`"),
    "an audience of a looser profile": (P, "[audience]", '[audience]\nprofile = "legacy"\nalgorithm = "ES256"', "audience `payments` changes its `profile`"),
    "a client that tokens are sent to": (
        K, 'grants = ["client_credentials"]', ('grants = ["ciba"]\nbackchannel_token_delivery_mode = "push"\n'
        'backchannel_client_notification_endpoint = "https://x.example/cb"'), "client `batch` changes its `backchannel`",
    ),
    "a client that proves less": (K, '["client_secret_basic"]', '["client_secret_basic", "client_secret_post"]', "`methods`"),
}  # fmt: skip

ORDINARY = {
    "words": (P, 'description = "Payments"', 'description = "Payments of the company"'),
    "a new guardrail": (R, "", '@id("x") @owner("o") @reason("r")\nforbid (principal, action, resource) when { false };'),
    "a rule about a low-tier scope": (
        R, "", ('@id("x") @owner("o") @reason("r")\npermit (principal == Workload::"batch", action == Action::"issue", '
        'resource == Scope::"ledger:read");'),
    ),
    "a shorter cap": (B, 'max_ttl = "10m"', 'max_ttl = "5m"'),
    "a client confined": (K, '"10.0.0.0/8", ', ""),
    "a scope with other words": ("audiences/ledger.toml", "Read the ledger", "Read entries"),
    "a purpose": (B, "", '[purposes.audit]\nmeaning = "An audit"\n'),
    "how to reach the owner": (B, "governance@example.com", "tokens@example.com"),
    "an issuer that is trusted no more": None,
}  # fmt: skip


@pytest.mark.parametrize("case", HIGHER.values(), ids=HIGHER)
def test_what_could_lift_a_protection_is_of_higher_risk(case):
    *change, words = case
    found = risk(OLD, bundle(KEYS, tuple(change)))
    assert found.level == "higher"
    assert any(words in str(reason) for reason in found.reasons), [str(reason) for reason in found.reasons]


@pytest.mark.parametrize("change", ORDINARY.values(), ids=ORDINARY)
def test_what_lifts_none_is_ordinary(change):
    if change is None:
        new = build_bundle({path: text for path, text in texts(KEYS).items() if path != I})
    else:
        new = bundle(KEYS, change)
    assert [str(reason) for reason in risk(OLD, new).reasons] == []
    assert OLD.digest != new.digest


ATTESTED = """
[client]
id = "batch"
name = "Wallet"
kind = "native"
owner = "Payments"
environments = ["production"]
authentication = ["attest_jwt_client_auth"]
grants = ["authorization_code"]
redirect_uris = ["https://app.example/back"]
[client.ceilings]
payments = ["payments:read"]
[client.authorization]
[[client.attester_keys]]
kty = "OKP"
crv = "Ed25519"
x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
"""


def test_letting_attested_instances_ask_without_pushing_is_of_higher_risk():
    """Nobody has to have written down that they must: that they must is what is given up."""
    held = bundle(KEYS, (K, texts(KEYS)[K], ATTESTED))
    loose = bundle(KEYS, (K, texts(KEYS)[K], ATTESTED.replace("ization]", "ization]\npushed = false")))
    assert [str(reason) for reason in risk(held, loose).reasons] == ["client `batch` changes its `authorization`"]
    assert risk(loose, held).level == "ordinary"


PROTECTED = f"""{ATTESTED}
[[client.keys]]
kty = "OKP"
crv = "Ed25519"
x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
""".replace(
    "[client.ceilings]",
    """dpop_bound_access_tokens = true
request_object_signing_alg = "EdDSA"
default_max_age = "10m"
default_acr_values = ["phr"]
[client.ceilings]""",
)


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("dpop_bound_access_tokens = true", ""),
        ('request_object_signing_alg = "EdDSA"', ""),
        ('request_object_signing_alg = "EdDSA"', 'request_object_signing_alg = "ES256"'),
        ('default_max_age = "10m"', ""),
        ('default_max_age = "10m"', 'default_max_age = "11m"'),
        ('default_acr_values = ["phr"]', ""),
        ('default_acr_values = ["phr"]', 'default_acr_values = ["pwd"]'),
    ],
)
def test_holding_a_client_to_less_is_of_higher_risk(line, instead):
    held = bundle(KEYS, (K, texts(KEYS)[K], PROTECTED))
    loose = bundle(KEYS, (K, texts(KEYS)[K], PROTECTED.replace(line, instead)))
    assert [str(reason) for reason in risk(held, loose).reasons] == ["client `batch` changes its `protections`"]


def test_holding_a_client_to_more_is_ordinary():
    loose, stricter = bundle(KEYS, (K, texts(KEYS)[K], PROTECTED)), PROTECTED.replace('"10m"', '"5m"')
    for line in (
        "dpop_bound_access_tokens = true",
        'request_object_signing_alg = "EdDSA"',
        'default_acr_values = ["phr"]',
    ):
        without = bundle(KEYS, (K, texts(KEYS)[K], PROTECTED.replace(line, "")))
        assert risk(without, loose).level == "ordinary", line
    assert risk(loose, bundle(KEYS, (K, texts(KEYS)[K], stricter))).level == "ordinary"


def test_nothing_changed_is_ordinary():
    assert risk(OLD, bundle(KEYS)).level == "ordinary"


def test_going_back_is_judged_like_going_there():
    narrow = bundle(
        KEYS, (R, "", '@id("x") @owner("o") @reason("r")\nforbid (principal, action, resource) when { false };')
    )
    assert risk(OLD, narrow).level == "ordinary"
    assert [str(reason) for reason in risk(narrow, OLD).reasons] == ["guardrail `x` is taken away"]


def test_the_active_bundle_says_what_is_high():
    """A version that calls nothing high is judged by the tiers of the one before."""
    tame = bundle(KEYS, (B, 'tiers = ["high"]', "tiers = []"), (R, '@require_amr("mfa")\n', ""))
    assert {reason.about for reason in risk(OLD, tame).reasons} == {"who approves", "rule"}


def test_a_member_that_no_table_knows_is_of_higher_risk():
    """What a later format adds counts until somebody has thought about it."""
    audience = OLD.catalogue.audiences["payments"]
    odd = msgspec.structs.replace(audience, readiness=msgspec.structs.replace(audience.readiness, days=1))
    catalogue = msgspec.structs.replace(OLD.catalogue, audiences={**OLD.catalogue.audiences, "payments": odd})
    new = bundle(KEYS)
    new.catalogue = catalogue
    assert [str(reason) for reason in risk(OLD, new).reasons] == ["audience `payments` changes its `readiness`"]


@pytest.mark.parametrize(
    ("before", "after", "level"),
    [
        ("fresh = true", "fresh = false", "higher"),
        ("fresh = false", "fresh = true", "ordinary"),
        ('claims = ["sub"]', "", "higher"),
        ('claims = ["sub"]', 'claims = ["jti", "sub"]', "higher"),
        ('claims = ["jti", "sub"]', 'claims = ["sub"]', "ordinary"),
        ("", "claims = []", "ordinary"),
    ],
)
def test_introspection_that_decides_no_more_or_tells_more(before, after, level):
    old, new = (bundle(KEYS, (P, "[audience]", f"[introspection]\n{one}\n[audience]")) for one in (before, after))
    assert risk(old, new).level == level
