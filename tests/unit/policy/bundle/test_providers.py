"""`providers/*.toml`: what is taken, and what is refused by name."""

from __future__ import annotations

import pytest

from mintwarden.policy.approve.risk import risk
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.problem import BundleRefused
from mintwarden.policy.diff.edition import edition_of
from mintwarden.policy.diff.structure import structure
from tests.flow.company import AUDIENCES, CLAIMS, HEAD, RULES, SOURCES

BASE = {
    "bundle.toml": HEAD,
    "sources.toml": SOURCES,
    "claims.toml": CLAIMS,
    "rules/all.cedar": RULES,
    **{f"audiences/{name}.toml": text for name, text in AUDIENCES.items()},
}
PROVIDER = """
[provider]
id = "corp"
name = "Corp"
issuer = "https://login.example.com"
client_id = "mintwarden"
authentication = "private_key_jwt"
domains = ["example.com"]
"""
ISSUER = """
[issuer]
id = "login"
issuer = "https://login.example.com"
audiences = ["https://tokens.example.com"]
"""


def refusals(texts: dict[str, str]) -> str:
    with pytest.raises(BundleRefused) as caught:
        build_bundle(BASE | texts)
    return "\n".join(str(problem) for problem in caught.value.problems)


def test_a_provider_is_read() -> None:
    catalogue = build_bundle(BASE | {"providers/corp.toml": PROVIDER + '[provider.acr]\nmfa = "phr"\n'}).catalogue
    provider = catalogue.providers["corp"]
    assert provider.scopes == ("openid",)
    assert provider.acr == {"mfa": "phr"}
    assert (catalogue.sessions.idle, catalogue.sessions.absolute, catalogue.passkeys.enabled) == (3600, 43200, False)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('id = "corp"', 'id = "passkey"', "our own passkeys"),
        ("https://login.example.com", "http://login.example.com", "https URL"),
        ("https://login.example.com", "https://tokens.example.com", "nobody signs in here"),
        ('authentication = "private_key_jwt"', 'authentication = "client_secret_jwt"', "unknown value"),
        ('domains = ["example.com"]', 'domains = ["Example.com"]', "domain"),
        ('domains = ["example.com"]', 'secret = "x"', "unknown key"),
        ('domains = ["example.com"]', 'conditions = ["true"]', "does not read `claims`"),
        ('domains = ["example.com"]', 'facts = { salary = "salary" }', "no source of kind `token`"),
        ('domains = ["example.com"]', 'algorithms = ["HS256"]', "unknown value"),
    ],
)
def test_a_provider_is_refused(old: str, new: str, named: str) -> None:
    assert old in PROVIDER
    assert named in refusals({"providers/corp.toml": PROVIDER.replace(old, new)})


def test_two_for_one_domain() -> None:
    other = PROVIDER.replace('"corp"', '"other"').replace("login.example.com", "other.example.com")
    found = refusals({"providers/corp.toml": PROVIDER, "providers/other.toml": other + 'subject_prefix = "o/"\n'})
    assert "already sign in at `corp`" in found


def test_two_that_could_name_the_same_person() -> None:
    other = PROVIDER.replace('"corp"', '"other"').replace("example.com", "partner.example")
    found = refusals({"providers/corp.toml": PROVIDER, "providers/other.toml": other})
    assert "could both call somebody" in found
    build_bundle(
        BASE
        | {
            "providers/corp.toml": PROVIDER + 'subject_prefix = "corp/"\n',
            "providers/other.toml": other + 'subject_prefix = "partner/"\n',
        }
    )


def test_a_provider_and_an_issuer_that_are_one_name_the_same_people() -> None:
    build_bundle(BASE | {"providers/corp.toml": PROVIDER, "issuers/login.toml": ISSUER})
    another = ISSUER.replace("login.example.com", "another.example.com")
    assert "could both call somebody" in refusals({"providers/corp.toml": PROVIDER, "issuers/login.toml": another})
    otherwise = ISSUER + 'subject = "email"\n'
    assert "could both call somebody" in refusals({"providers/corp.toml": PROVIDER, "issuers/login.toml": otherwise})


def test_who_may_sign_people_in_is_of_higher_risk_and_told() -> None:
    without, with_it = build_bundle(BASE), build_bundle(BASE | {"providers/corp.toml": PROVIDER})
    changed = build_bundle(BASE | {"providers/corp.toml": PROVIDER.replace('["example.com"]', "[]")})
    assert [str(reason) for reason in risk(without, with_it).reasons] != []
    assert [str(reason) for reason in risk(with_it, changed).reasons] != []
    assert [str(reason) for reason in risk(with_it, without).reasons] == []
    longer = build_bundle(BASE | {"bundle.toml": HEAD + '[sessions]\nidle = "2h"\n'})
    assert [str(reason) for reason in risk(without, longer).reasons] != []
    assert [str(reason) for reason in risk(longer, without).reasons] == []
    passkeys = build_bundle(BASE | {"bundle.toml": HEAD + "[passkeys]\nenabled = true\n"})
    assert [str(reason) for reason in risk(without, passkeys).reasons] != []
    told = structure(edition_of(BASE), edition_of(BASE | {"providers/corp.toml": PROVIDER}))
    assert [(change.kind, change.id, change.how) for change in told] == [("provider", "corp", "added")]
