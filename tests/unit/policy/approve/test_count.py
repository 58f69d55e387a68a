"""Whose word counts: a named test for each way in which it does not."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.policy.approve.count import AHEAD, Asked, count
from mintwarden.policy.approve.keys import SK_ED25519
from mintwarden.policy.bundle.problem import BundleRefused
from tests.unit.policy.approve.signing import AT, ISSUER, A, B, Soft, says, soft
from tests.unit.policy.approve.small import bundle, team

KEYS = team()
APPROVALS = bundle(KEYS).approvals
ASKED = Asked(issuer=ISSUER, bundle="small", digest=B, base=A, after=1, act="approve", now=AT)
AUTHOR = KEYS["Dan"].sign(says("author", "Dan"))


def counted(*signatures, approvals=APPROVALS, asked=ASKED):
    return count(approvals, asked, signatures)


def why(*signatures, **how):
    """The reasons for which signatures do not count, when nobody is counted."""
    found = counted(*signatures, **how)
    assert found.counted == ()
    return [one.why for one in found.refused]


def test_the_author_and_those_who_approve_are_told():
    found = counted(AUTHOR, KEYS["Bob"].sign(says(name="Bob")), KEYS["Ann"].sign(says(name="Ann")))
    assert (found.author, found.counted, found.missing, found.refused) == ("Dan", ("Ann", "Bob"), ("Cem",), ())


def test_a_wrong_signature_does_not_count():
    good = KEYS["Ann"].sign(says())
    forged = soft().sign(says())
    assert why(good.__class__(statement=says(name="Bob"), armor=good.armor, text="")) == ["bad_signature"]
    assert why(forged) == ["wrong_key"]


def test_a_signature_over_another_version_does_not_count():
    assert why(KEYS["Ann"].sign(says(digest=A))) == ["other_version"]


def test_a_stale_signature_does_not_count():
    assert why(KEYS["Ann"].sign(says(base=B))) == ["stale"]


def test_a_signature_from_before_a_rollback_to_the_same_version_does_not_count():
    assert why(KEYS["Ann"].sign(says(after=0)), asked=ASKED) == ["stale"]


def test_a_signature_of_a_removed_approver_does_not_count():
    removed = {name: key for name, key in KEYS.items() if name != "Cem"}
    assert why(KEYS["Cem"].sign(says(name="Cem")), approvals=bundle(removed).approvals) == ["not_an_approver"]


def test_a_signature_with_a_key_that_was_replaced_does_not_count():
    assert why(KEYS["Ann"].sign(says()), approvals=bundle(KEYS | {"Ann": soft()}).approvals) == ["wrong_key"]


def test_a_signature_in_the_name_of_somebody_else_does_not_count():
    assert why(KEYS["Bob"].sign(says(name="Ann"))) == ["wrong_key"]


def test_an_author_does_not_approve_their_own_work():
    author, approval = KEYS["Ann"].sign(says("author")), KEYS["Ann"].sign(says())
    assert why(author, approval) == ["own_work"]
    assert why(approval, author) == ["own_work"]


def test_an_author_who_is_no_approver_does_not_approve():
    assert why(KEYS["Dan"].sign(says(name="Dan"))) == ["not_an_approver"]


def test_one_person_with_two_keys_counts_once():
    second = soft()
    both = bundle(KEYS, ("bundle.toml", KEYS["Ann"].text, f'{KEYS["Ann"].text}", "{second.text}'))
    found = counted(KEYS["Ann"].sign(says()), second.sign(says(at=AT - 1)), approvals=both.approvals)
    assert (found.counted, [one.why for one in found.refused]) == (("Ann",), ["counted_already"])


@pytest.mark.parametrize("form", ["ssh-ed25519", SK_ED25519, "jwk"])
def test_one_key_under_two_names_is_refused_in_every_form(form):
    private = KEYS["Ann"].private
    text = Soft(form, private).text if form != "jwk" else ""
    raw = base64.urlsafe_b64encode(private.public_key().public_bytes_raw()).decode().rstrip("=")
    entry = f'"{text}"' if text else f'{{ kty = "OKP", crv = "Ed25519", x = "{raw}" }}'
    with pytest.raises(BundleRefused, match="a key of `Bob` stands twice"):
        bundle(KEYS, ("bundle.toml", f'"{KEYS["Bob"].text}"', entry))


def test_a_hardware_key_does_not_count_without_its_hardware():
    """The same secret as a plain key is another key: who registers hardware means it."""
    plain = KEYS["Ann"]
    approvals = bundle(KEYS | {"Ann": Soft(SK_ED25519, plain.private)}).approvals
    assert counted(Soft(SK_ED25519, plain.private).sign(says()), approvals=approvals).counted == ("Ann",)
    assert why(plain.sign(says()), approvals=approvals) == ["wrong_key"]


def test_a_signature_for_another_issuer_or_bundle_does_not_count():
    assert why(KEYS["Ann"].sign(says(issuer="https://x.example"))) == ["other_issuer"]
    assert why(KEYS["Ann"].sign(says(bundle="other"))) == ["other_bundle"]


def test_a_signature_that_is_too_old_or_from_the_future_does_not_count():
    month = APPROVALS.max_age
    assert counted(KEYS["Ann"].sign(says(at=AT - month))).counted == ("Ann",)
    assert why(KEYS["Ann"].sign(says(at=AT - month - 1))) == ["too_old"]
    assert counted(KEYS["Ann"].sign(says(at=AT + AHEAD))).counted == ("Ann",)
    assert why(KEYS["Ann"].sign(says(at=AT + AHEAD + 1))) == ["from_the_future"]


@pytest.mark.parametrize("act", ["break_glass", "rollback"])
def test_a_word_about_something_else_does_not_count(act):
    """Who agrees to an emergency of some hours has not agreed to a change for good, nor the other way round."""
    assert why(KEYS["Ann"].sign(says(act))) == ["other_act"]
    asked = Asked(issuer=ISSUER, bundle="small", digest=B, base=A, after=1, act=act, now=AT)
    assert why(KEYS["Ann"].sign(says()), asked=asked) == ["other_act"]
    assert counted(KEYS["Ann"].sign(says(act)), asked=asked).counted == ("Ann",)


SIGNED = [
    KEYS[name].sign(says(act, said, at=AT - age))
    for name in KEYS for said in KEYS for act in ("author", "approve") for age in (0, 10**8)
]  # fmt: skip


@given(st.lists(st.sampled_from(SIGNED), max_size=12))
def test_whatever_is_handed_in_each_approver_counts_at_most_once_and_never_for_their_own_work(signatures):
    found = counted(*signatures)
    good = [one for one in signatures if one.statement.at == AT and _by(one) == one.statement.name]
    authors = {one.statement.name for one in good if one.statement.act == "author"}
    approved = {one.statement.name for one in good if one.statement.act == "approve"}
    assert set(found.counted) == (approved - authors) - {"Dan"}
    assert len(set(found.counted)) == len(found.counted)
    assert len(found.refused) == len(signatures) - len(found.counted) - sum(
        one in good and one.statement.act == "author" for one in signatures
    )


def _by(one):
    from mintwarden.policy.approve.signed import signer

    text = signer(one, ()).text
    return next(name for name, key in KEYS.items() if key.text == text)


def test_a_quorum_that_nobody_could_reach_is_refused():
    for change, words in {
        ("required = 1\n[approvals.higher", "required = 4\n[approvals.higher"): "4 approvals are required and 3",
        ("required = 2", "required = 0"): "needs 0 approvals, any other 1",
        ('tiers = ["high"]', 'tiers = ["higher"]'): "unknown tier `higher`",
        ('max = "4h"', 'max = "2d"'): "out of range",
        ('required = 1\nmax = "4h"', 'required = 3\nmax = "4h"'): "break-glass needs 3 approvals, the larger quorum 2",
        (
            'required = 1\nmax = "4h"',
            'max = "4h"\n[approvals.rollback]\nrequired = 9',
        ): "9 approvals are required and 3",
    }.items():
        with pytest.raises(BundleRefused) as raised:
            bundle(KEYS, ("bundle.toml", *change))
        assert any(words in problem.message for problem in raised.value.problems), words


def test_where_nobody_else_is_an_author_the_author_is_one_of_the_approvers():
    lone = "[[authors]]\n" + f'name = "Dan"\nkeys = ["{KEYS["Dan"].text}"]\n'
    with pytest.raises(BundleRefused, match="one of the 3 approvers is the author"):
        bundle(KEYS, ("bundle.toml", lone, ""), ("bundle.toml", "required = 2", "required = 3"))
    assert bundle(KEYS, ("bundle.toml", "required = 2", "required = 3")).approvals.higher_risk.required == 3
