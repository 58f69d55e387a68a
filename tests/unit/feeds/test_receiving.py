"""What follows from a security event, and whom a transmitter may speak of."""

from __future__ import annotations

from typing import Any

import pytest

from mintwarden.feeds.receiving import Consequence, Whom, entities, short_name, what_follows, whom_of
from mintwarden.feeds.security_events import CAEP, RISC, SSF, SecurityEvent
from mintwarden.feeds.subject_ids import complex_subject, iss_sub, opaque
from mintwarden.model.catalogue import Provider
from mintwarden.model.signals import FAMILIES, SignalRefused, Transmitter
from mintwarden.model.values import EntityUid

OWN, OTHER = "https://signals.example.com", "https://elsewhere.example"
PROVIDER = Provider(
    id="corp",
    name="Corp",
    issuer="https://login.example.com",
    client_id="us",
    authentication="none",
    subject_prefix="c/",
)
ALONE = Transmitter(
    id="t",
    issuer=OWN,
    audiences=("us",),
    events=tuple(FAMILIES),
    speaks_of=("user", "session", "device"),
    subject_prefix="t/",
    emails={"one.example": "one/{local}", "two.example": "{address}"},
    facts={family: f"of-{family}" for family in FAMILIES.values() if family},
)
ANN = iss_sub(OWN, "ann")


def told(event: str, subject: Any = ANN, **content: Any) -> SecurityEvent:
    return SecurityEvent(
        issuer=OWN, audience=("us",), token_id="1", issued_at=1_000, event=event, subject=subject, content=content
    )


def following(event: str, subject: Any = ANN, *, toe: object = None, **content: Any) -> Consequence:
    found = what_follows(told(event, subject, **content), ALONE, None, toe=toe)
    assert found is not None
    return found


def refused(event: str, subject: Any = ANN, *, toe: object = None, **content: Any) -> str:
    with pytest.raises(SignalRefused) as caught:
        what_follows(told(event, subject, **content), ALONE, None, toe=toe)
    return caught.value.fault


def test_names_of_events() -> None:
    assert {short_name(CAEP + name) for name in FAMILIES} == set(FAMILIES)
    assert short_name(SSF + "verification") == "verification"
    assert short_name("https://example.com/session-revoked") == short_name(CAEP + "token-claims-change") == ""


@pytest.mark.parametrize(
    ("event", "content", "sessions", "everything", "facts", "about"),
    [
        (CAEP + "session-revoked", {}, True, False, {}, ()),
        (RISC + "sessions-revoked", {}, True, False, {}, ()),
        (
            CAEP + "credential-change", {"change_type": "create", "credential_type": "pin"}, False, False,
            {"credential_event": "credential-change", "credential_type": "pin", "change_type": "create"}, ("user",),
        ),
        (
            CAEP + "credential-change", {"change_type": "delete", "credential_type": "pin"}, True, False,
            {"credential_event": "credential-change", "credential_type": "pin", "change_type": "delete"}, ("user",),
        ),
        (
            RISC + "credential-compromise", {"credential_type": "password"}, True, True,
            {"credential_event": "credential-compromise", "credential_type": "password"}, ("user",),
        ),
        (
            RISC + "account-disabled", {"reason": "hijacking"}, True, True,
            {"account_status": "disabled", "account_reason": "hijacking"}, ("user",),
        ),
        (RISC + "account-purged", {}, True, True, {"account_status": "purged"}, ("user",)),
        (RISC + "account-enabled", {}, False, False, {"account_status": "enabled"}, ("user",)),
        (
            CAEP + "device-compliance-change", {"current_status": "not-compliant"}, False, False,
            {"device_compliance": "not-compliant"}, ("user", "device"),
        ),
        (
            CAEP + "assurance-level-change", {"namespace": "NIST-AAL", "current_level": "nist-aal1"}, False, False,
            {"assurance_level": "nist-aal1", "assurance_namespace": "NIST-AAL"}, ("user", "session"),
        ),
        (
            CAEP + "risk-level-change", {"principal": "DEVICE", "current_level": "LOW", "risk_reason": "X"}, False, False,
            {"risk_level": "LOW", "risk_reason": "X"}, ("device",),
        ),
    ],
)  # fmt: skip
def test_what_follows(
    event: str, content: dict[str, Any], sessions: bool, everything: bool, facts: dict[str, str], about: tuple[str, ...]
) -> None:
    found = following(event, **content)
    assert (found.sessions, found.everything, found.facts, found.about) == (sessions, everything, facts, about)
    assert found.whom == Whom(person=EntityUid("User", "t/ann"))
    assert found.source == (f"of-{FAMILIES[found.event]}" if facts else "")


def test_a_risk_of_something_that_is_not_here_is_nobodys_fact() -> None:
    found = following(CAEP + "risk-level-change", principal="ORG_UNIT", current_level="HIGH")
    assert (found.source, found.about) == ("", ())


@pytest.mark.parametrize(
    ("event", "content"),
    [
        ("credential-change", {"credential_type": "pin"}),
        ("credential-change", {"change_type": "lost", "credential_type": "pin"}),
        ("credential-change", {"change_type": "create", "credential_type": 7}),
        ("device-compliance-change", {}),
        ("device-compliance-change", {"current_status": "fine"}),
        ("assurance-level-change", {"current_level": "nist-aal1"}),
        ("risk-level-change", {"current_level": "HIGH"}),
        ("risk-level-change", {"current_level": "high", "principal": "USER"}),
        ("risk-level-change", {"current_level": "HIGH", "principal": "USER", "risk_reason": "a\nb"}),
        ("risk-level-change", {"current_level": "HIGH", "principal": "USER", "risk_reason": "x" * 201}),
    ],
)
def test_an_event_that_is_not_as_its_definition_says(event: str, content: dict[str, Any]) -> None:
    assert refused(CAEP + event, **content) == "invalid_request"


def test_when_it_happened() -> None:
    revoked = CAEP + "session-revoked"
    assert following(revoked).at == 1_000_000
    assert following(revoked, toe=900).at == 900_000
    assert following(revoked, toe=900, event_timestamp=800.5).at == 800_500
    for wrong in ("800", -1, True, 2**60, 1_000_000):  # the last in milliseconds, as earlier drafts had it
        assert refused(revoked, event_timestamp=wrong) == "invalid_request"


def test_an_event_of_another_list_is_denied_and_an_unknown_one_passed_over() -> None:
    few = Transmitter(id="t", issuer=OWN, audiences=("us",), events=("session-revoked",))
    with pytest.raises(SignalRefused) as caught:
        what_follows(told(RISC + "account-disabled"), few, None)
    assert caught.value.fault == "access_denied"
    assert what_follows(told("https://example.com/unheard-of", opaque("x")), few, None) is None


@pytest.mark.parametrize(
    ("subject", "whom"),
    [
        (ANN, Whom(person=EntityUid("User", "t/ann"))),
        ({"format": "email", "email": "Ann.B@ONE.example"}, Whom(person=EntityUid("User", "one/Ann.B"))),
        ({"format": "email", "email": "ann@Two.example"}, Whom(person=EntityUid("User", "ann@two.example"))),
        (opaque("s1"), Whom(session="s1")),
        (complex_subject(device=opaque("d1"), user=ANN), Whom(device="d1", person=EntityUid("User", "t/ann"))),
        (complex_subject(session=iss_sub(OWN, "s1"), tenant=opaque("x")), Whom(session="s1")),
        ({"format": "aliases", "identifiers": [iss_sub(OTHER, "ann"), ANN]}, Whom(person=EntityUid("User", "t/ann"))),
    ],
)
def test_whom_it_is_about(subject: Any, whom: Whom) -> None:
    assert whom_of(subject, "session-revoked", ALONE, None) == whom


def test_a_name_alone_is_what_the_event_is_about() -> None:
    assert whom_of(opaque("d1"), "device-compliance-change", ALONE, None) == Whom(device="d1")
    with pytest.raises(SignalRefused):
        whom_of(opaque("d1"), "account-disabled", ALONE, None)


@pytest.mark.parametrize(
    ("subject", "fault"),
    [
        (iss_sub(OTHER, "ann"), "access_denied"),
        (iss_sub(OWN + "/", "ann"), "access_denied"),
        ({"format": "email", "email": "ann@elsewhere.example"}, "access_denied"),
        ({"format": "email", "email": "ann@evil.one.example"}, "access_denied"),
        ({"format": "email", "email": "root\x00@one.example"}, "access_denied"),
        ({"format": "email", "email": "a@b@one.example"}, "access_denied"),
        ({"format": "account", "uri": "acct:ann@one.example"}, "access_denied"),
        ({"format": "phone_number", "phone_number": "+1"}, "access_denied"),
        ({"format": "of-their-own"}, "access_denied"),
        (complex_subject(tenant=opaque("x")), "access_denied"),
        (complex_subject(user=ANN, session=iss_sub(OTHER, "s1")), "access_denied"),
        (complex_subject(user=ANN, session={"format": "uri", "uri": "x:y"}), "access_denied"),
        (iss_sub(OWN, "ann\nadmin"), "invalid_request"),
        (iss_sub(OWN, "a" * 511), "invalid_request"),
        ({"format": "aliases", "identifiers": [ANN, iss_sub(OWN, "bob")]}, "invalid_request"),
    ],
)
def test_whom_a_transmitter_does_not_speak_of(subject: Any, fault: str) -> None:
    with pytest.raises(SignalRefused) as caught:
        whom_of(subject, "session-revoked", ALONE, None)
    assert caught.value.fault == fault
    assert "ann" not in caught.value.description


def test_it_speaks_of_what_the_bundle_lets_it() -> None:
    people = Transmitter(id="t", issuer=OWN, audiences=("us",), events=tuple(FAMILIES))
    for subject in (opaque("s1"), complex_subject(user=ANN, device=opaque("d1"))):
        with pytest.raises(SignalRefused) as caught:
            whom_of(subject, "session-revoked", people, None)
        assert caught.value.fault == "access_denied"


def test_people_of_a_provider_are_called_as_it_calls_them() -> None:
    found = whom_of(iss_sub(PROVIDER.issuer, "ann"), "session-revoked", ALONE, PROVIDER)
    assert found == Whom(person=EntityUid("User", "c/ann"), upstream_subject="ann")
    assert whom_of(ANN, "session-revoked", ALONE, PROVIDER) == found
    other = Provider(
        id="corp", name="C", issuer=PROVIDER.issuer, client_id="us", authentication="none", subject="email"
    )
    assert whom_of(ANN, "session-revoked", ALONE, other) == Whom(upstream_subject="ann")


@pytest.mark.parametrize(
    ("application", "elsewhere"),
    [
        (iss_sub(PROVIDER.issuer, "us"), False),
        (opaque("us"), False),
        (iss_sub(PROVIDER.issuer, "them"), True),
        (iss_sub(OWN, "them"), True),
        (opaque("them"), True),
        (iss_sub(OTHER, "them"), False),
        ({"format": "uri", "uri": "x:y"}, False),
    ],
)
def test_what_is_about_another_application_of_the_provider_is_not_about_us(application: Any, elsewhere: bool) -> None:
    subject = complex_subject(user=ANN, application=application)
    assert whom_of(subject, "session-revoked", ALONE, PROVIDER).elsewhere is elsewhere
    assert not whom_of(subject, "session-revoked", ALONE, None).elsewhere, "without a provider we are nobody there"
    for event in ("account-disabled", "credential-compromise"):
        found = what_follows(told(RISC + event, subject), ALONE, PROVIDER)
        assert found is not None
        assert (found.sessions, found.everything, bool(found.source)) == ((not elsewhere,) * 3)


def test_what_facts_are_about() -> None:
    what = Consequence(
        event="x", whom=Whom(person=EntityUid("User", "ann"), device="d1"), at=1, about=("user", "device", "session")
    )
    assert [*entities(what, ("s1", "s2"))] == ["User:ann", "device:d1", "session:s1", "session:s2"]
    assert [*entities(Consequence(event="x", whom=Whom(), at=1, about=("user", "device", "session")), ())] == []
