"""`transmitters/*.toml`: what is taken, and what is refused by name."""

from __future__ import annotations

import pytest

from mintwarden.policy.approve.risk import risk
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.problem import BundleRefused
from mintwarden.policy.diff.edition import edition_of
from mintwarden.policy.diff.effects import effects
from mintwarden.policy.diff.structure import structure
from tests.unit.policy.bundle.test_providers import BASE, PROVIDER

SOURCES = """
[sources.accounts]
kind = "store"
about = ["User"]
missing = "absent"
[sources.accounts.facts]
account_status = "string"
[sources.risks]
kind = "http"
about = ["User"]
connection = "risks"
[sources.risks.facts]
risk_level = "string"
[sources.devices]
kind = "store"
about = ["device"]
missing = "absent"
[sources.devices.facts]
device_compliance = "string"
[sources.credentials]
kind = "store"
about = ["User"]
missing = "absent"
[sources.credentials.facts]
change_type = "string"
[sources.levels]
kind = "store"
about = ["User"]
missing = "absent"
[sources.levels.facts]
level = "long"
"""
TRANSMITTER = """
[transmitter]
id = "corp"
issuer = "https://login.example.com"
audiences = ["https://tokens.example.com"]
events = ["session-revoked", "account-disabled", "device-compliance-change", "credential-change", "assurance-level-change"]
provider = "corp"
[transmitter.emails]
"one.example" = "one/{local}"
"two.example" = "{address}"
[transmitter.facts]
account = "accounts"
"""
TEXTS = BASE | {
    "sources.toml": BASE["sources.toml"] + SOURCES,
    "providers/corp.toml": PROVIDER,
    "transmitters/corp.toml": TRANSMITTER,
}


def refusals(texts: dict[str, str]) -> str:
    with pytest.raises(BundleRefused) as caught:
        build_bundle(TEXTS | texts)
    return "\n".join(str(problem) for problem in caught.value.problems)


def test_a_transmitter_is_read() -> None:
    found = build_bundle(TEXTS).catalogue.transmitters["corp"]
    assert (found.delivery, found.speaks_of, found.provider) == ("push", ("user",), "corp")
    assert found.facts == {"account": "accounts"}


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("https://login.example.com", "http://login.example.com", "https URL"),
        ("https://login.example.com", "https://tokens.example.com", "we do not listen to ourselves"),
        ('"account-disabled"', '"account-barred"', "unknown value"),
        ('provider = "corp"', 'provider = "other"', "unknown provider"),
        ('provider = "corp"', 'provider = "corp"\nsubject_prefix = "corp/"', "the provider's own `subject_prefix`"),
        ('provider = "corp"', 'speaks_of = ["session"]', "sessions are known by their names at a provider"),
        ('provider = "corp"', 'delivery = "poll"', "`poll_endpoint` goes with"),
        ('provider = "corp"', 'poll_endpoint = "https://login.example.com/poll"', "`poll_endpoint` goes with"),
        ('"{address}"', '"one/{local}"', "would be called alike"),
        ('"{address}"', '"somebody"', "`{address}` or `{local}`"),
        ('account = "accounts"', 'risk-level = "accounts"', "none of its `events` says anything"),
        ('account = "accounts"', 'account = "nothing"', "unknown source"),
        ('account = "accounts"', 'account = "risks"', "does not take such facts"),
        ('account = "accounts"', 'account = "directory"', "does not take such facts"),
        ('account = "accounts"', 'device-compliance = "devices"', "is about nothing that this transmitter speaks of"),
        (
            'account = "accounts"',
            'account = "accounts"\ndevice-compliance = "accounts"',
            "is written by `corp` already",
        ),
        ('account = "accounts"', 'credential = "credentials"', "is not said by every event"),
        ('account = "accounts"', 'assurance-level = "levels"', "does not come of it"),
        ('id = "corp"', 'id = "corp"\nsecret = "x"', "unknown key"),
        ('id = "corp"', 'id = ""', "is not an id"),
    ],
)
def test_what_is_refused(old: str, new: str, named: str) -> None:
    assert old in TRANSMITTER
    assert named in refusals({"transmitters/corp.toml": TRANSMITTER.replace(old, new)})


def test_two_of_one_issuer_and_of_one_name_are_refused() -> None:
    other = TRANSMITTER.replace('id = "corp"', 'id = "other"').replace('account = "accounts"', "")
    assert "`corp` is of this issuer already" in refusals({"transmitters/other.toml": other})
    assert "declared twice" in refusals({"transmitters/other.toml": TRANSMITTER})


def test_people_who_are_not_called_by_sub_are_found_by_their_sessions_alone() -> None:
    named = PROVIDER.replace("domains", 'subject = "email"\ndomains')
    assert "does not call its people by `sub`" in refusals({"providers/corp.toml": named})
    sessions = TRANSMITTER.partition("events")[0] + 'events = ["session-revoked"]\nprovider = "corp"\n'
    texts = TEXTS | {"providers/corp.toml": named, "transmitters/corp.toml": sessions}
    assert build_bundle(texts).catalogue.transmitters["corp"].events == ("session-revoked",)


def test_each_change_of_who_is_heard_is_a_part_an_effect_and_a_risk() -> None:
    with_one, without = edition_of(TEXTS), {name: text for name, text in TEXTS.items() if "transmitters" not in name}
    none = edition_of(without)
    other = edition_of(TEXTS | {"transmitters/corp.toml": TRANSMITTER.replace('"session-revoked", ', "")})
    for old, new in ((none, with_one), (with_one, none), (with_one, other)):
        assert [one.kind for one in structure(old, new)] == ["transmitter"]
        assert "transmitter" in {reason.about for reason in risk(old.bundle, new.bundle).reasons}
        assert effects(old.bundle, new.bundle)
    assert not list(structure(with_one, edition_of(TEXTS)))
