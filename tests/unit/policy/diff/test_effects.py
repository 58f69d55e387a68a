"""What makes another token of the same grant: each part that bounds or fills one, and what is not known to be none."""

from __future__ import annotations

import pytest

from mintwarden.policy.diff.edition import edition_of
from mintwarden.policy.diff.effects import Effect, _fields, effects
from tests.unit.policy.diff.editions import COMPANY, Replaced, company_diff, edition, with_changes

ISSUER = """[issuer]
id = "login"
issuer = "https://login.example"
keys = "discovery"
audiences = ["https://tokens.example"]
principal = "User"
conditions = ['claims.org == "o"']
"""


def between(*changes: Replaced, extra: dict[str, str] | None = None) -> tuple[Effect, ...]:
    texts = {**COMPANY, **(extra or {})}
    return effects(edition_of(texts).bundle, edition_of(with_changes(texts, *changes)).bundle)


def told(*changes: Replaced, extra: dict[str, str] | None = None) -> list[str]:
    return [effect.text for effect in between(*changes, extra=extra)]


KEY = '{ kty = "EC", crv = "P-256", x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" }'
EFFECTS = {
    "issuer": ("bundle.toml", "https://tokens.example", "https://t.example", ["`iss` of the bundle: https://tokens.example -> https://t.example"]),
    "chains": ("bundle.toml", 'environments = ["production", "staging"]', 'environments = ["production", "staging"]\nmax_actors = 2', ["longest chain of actors of the bundle: 4 -> 2"]),
    "purposes": ("bundle.toml", "[purposes.support]", "[purposes.help]", ["purpose of help: none -> known", "purpose of support: known -> none"]),
    "tier": ("bundle.toml", 'max_ttl = "10m"', 'max_ttl = "5m"', ["longest lifetime of scope pay:approve: 10m -> 5m", "longest lifetime of scope pay:write: 10m -> 5m"]),
    "verify": ("bundle.toml", 'verify = "always"', 'verify = "off"', ["verification by Cedar of scope pay:approve: always -> off", "share that Cedar verifies of scope pay:approve: 1.0 -> 0.0", "verification by Cedar of scope pay:write: always -> off", "share that Cedar verifies of scope pay:write: 1.0 -> 0.0"]),
    "audience": ("audiences/payments.toml", 'max_ttl = "15m"', 'max_ttl = "12m"', ["longest lifetime of scope pay:read: 15m -> 12m"]),
    "default": ("audiences/payments.toml", 'default_ttl = "5m"', 'default_ttl = "1m"', [f"usual lifetime of scope pay:{name}: 5m -> 1m" for name in ("approve", "read", "write")]),
    "aud": ("audiences/payments.toml", "https://api.example/payments", "https://api.example/pay", ["`aud` of audience payments: https://api.example/payments -> https://api.example/pay"]),
    "algorithm": ("audiences/payments.toml", 'disclose = "challenge"', 'disclose = "challenge"\nalgorithm = "EdDSA"', ["signature of audience payments: ES256 -> EdDSA"]),
    "disclose": ("audiences/payments.toml", 'disclose = "challenge"\n', "", ["what a refused client may learn of audience payments: challenge -> nothing"]),
    "mode": ("audiences/legacy.toml", 'everyone = ["old:use"]', 'staff = ["old:use"]', ["legacy everyone of audience legacy: old:use -> none", "legacy staff of audience legacy: none -> old:use"]),
    "scope-default": ("audiences/payments.toml", "default = true\n", "", ["given when nothing is asked for of scope pay:read: true -> false"]),
    "carries": ("audiences/payments.toml", "default = true\n", 'default = true\ncarries = ["old:use"]\n', ["scopes that a token with it may be exchanged for of scope pay:read: none -> old:use"]),
    "claim-gone": ("audiences/payments.toml", 'department = "*"\n', "", ["claim department of audience payments: `subject.department` for every scope (absent omit, source directory, type string) -> none"]),
    "claim-narrower": ("audiences/payments.toml", 'department = "*"', 'department = ["pay:read"]', ["claim department of audience payments: `subject.department` for every scope (absent omit, source directory, type string) -> `subject.department` for pay:read (absent omit, source directory, type string)"]),
    "claim-absent": ("claims.toml", 'absent = "refuse"', 'absent = "omit"', ["claim manager of audience payments: `subject.manager` for pay:approve (absent refuse, source directory, type string) -> `subject.manager` for pay:approve (absent omit, source directory, type string)"]),
    "source-age": ("sources.toml", 'max_age = "5m"', 'max_age = "6m"', ["age limit in milliseconds of source risk: 300000 -> 360000"]),
    "source-missing": ("sources.toml", 'missing = "absent"\ndescription = "d"\n[sources.approvals.facts]', 'stale = "absent"\ndescription = "d"\n[sources.approvals.facts]', ["missing of source approvals: absent -> refuse", "stale of source approvals: refuse -> absent"]),
    "source-fact": ("sources.toml", 'manager = { type = "string", optional = true }', 'manager = { type = "string", optional = true }\nteam = "string"', ["facts team of source directory: none -> string"]),
    "client-methods": ("clients/app.toml", '["client_secret_basic"]', '["client_secret_basic", "client_secret_post"]', ["authentication methods of client app: client_secret_basic -> client_secret_basic, client_secret_post"]),
    "client-serves": ("clients/app.toml", 'kind = "service"', 'kind = "service"\nserves = ["payments"]', ["audiences that it serves of client app: none -> payments"]),
    "client-addresses": ("clients/app.toml", 'kind = "service"', 'kind = "service"\naddresses = ["192.0.2.0/24"]', ["addresses that it may call from of client app: none -> 192.0.2.0/24"]),
}  # fmt: skip


@pytest.mark.parametrize("name", EFFECTS)
def test_what_changes_a_token_is_an_effect(name: str):
    file, old, new, expected = EFFECTS[name]
    assert sorted(told((file, old, new))) == sorted(expected)


def test_keys_of_a_client_are_an_effect():
    client = COMPANY["clients/app.toml"].replace('["client_secret_basic"]', '["private_key_jwt"]')
    keyed = client.replace("[client.ceilings]", f"keys = [{KEY}]\n[client.ceilings]")
    rekeyed = keyed.replace('crv = "P-256"', 'crv = "P-256", kid = "k2"')
    one, other = ({**COMPANY, "clients/app.toml": text} for text in (keyed, rekeyed))
    (effect,) = effects(edition_of(one).bundle, edition_of(other).bundle)
    assert effect.what == "keys"


def test_trusted_issuers_are_an_effect():
    extra = {"issuers/login.toml": ISSUER}
    changes = told(("issuers/login.toml", 'principal = "User"', 'principal = "User"\nmax_age = "1h"'), extra=extra)
    assert changes == ["longest life of a token of issuer login: 86400 -> 3600"]
    assert [effect.what for effect in effects(edition().bundle, edition_of({**COMPANY, **extra}).bundle)] == ["issuer"]


PROVIDER = """[provider]
id = "staff"
name = "Staff"
issuer = "https://staff.example.com"
client_id = "mintwarden"
authentication = "none"
subject_prefix = "staff/"
max_age = "12h"
"""


def test_where_people_sign_in_is_an_effect():
    extra = {"providers/staff.toml": PROVIDER}
    assert told(("providers/staff.toml", '"12h"', '"12h"  # a shift'), extra=extra) == []
    assert len(told(("providers/staff.toml", '"12h"', '"1h"'), extra=extra)) == 1
    assert "provider" in {e.what for e in effects(edition().bundle, edition_of({**COMPANY, **extra}).bundle)}


def test_conditions_of_an_issuer_in_other_words_may_differ():
    extra = {"issuers/login.toml": ISSUER}
    assert told(("issuers/login.toml", 'claims.org == "o"', 'claims.org   ==   "o"'), extra=extra) == []
    (effect,) = between(("issuers/login.toml", 'claims.org == "o"', '"o" == claims.org'), extra=extra)
    assert not effect.certain


DERIVED = '[claims.band]\ntype = "string"\nsource = "risk"\nderive = \'subject.risk > 5 ? "high" : "low"\'\ndescription = "d"\n'


def test_expressions_are_alike_by_their_tree_and_may_differ_otherwise():
    texts = {**COMPANY, "claims.toml": COMPANY["claims.toml"] + DERIVED}
    texts["audiences/payments.toml"] = texts["audiences/payments.toml"].replace(
        'department = "*"', 'department = "*"\nband = "*"'
    )
    one = edition_of(texts).bundle
    respelled = with_changes(texts, ("claims.toml", "subject.risk > 5", "subject.risk>5 "))
    assert effects(one, edition_of(respelled).bundle) == ()
    other = with_changes(texts, ("claims.toml", "subject.risk > 5", "5 < subject.risk"))
    (effect,) = effects(one, edition_of(other).bundle)
    assert not effect.certain
    assert "subject . risk > 5" in effect.old
    assert "5 < subject . risk" in effect.new


NOTHING = {
    "words": ("audiences/payments.toml", 'owner = "o"', 'owner = "p"'),
    "meaning": ("audiences/payments.toml", 'meaning = "m"\ntier = "low"', 'meaning = "n"\ntier = "low"'),
    "client-name": ("clients/app.toml", 'name = "App"', 'name = "The App"'),
    "cap-under-a-lower-one": ("bundle.toml", 'max_ttl = "1h"', 'max_ttl = "2h"'),
    "every-scope-by-name": ("audiences/payments.toml", 'department = "*"', 'department = ["pay:read", "pay:write", "pay:approve"]'),
    "unread-source": ("sources.toml", "[sources.session]", '[sources.spare]\nkind = "store"\nabout = ["device"]\ndescription = "d"\n[sources.spare.facts]\nmanaged = "bool"\n[sources.session]'),
    "claim-that-nobody-takes": ("claims.toml", "[claims.department]", '[claims.spare]\ntype = "string"\nsource = "directory"\nfrom = "subject.department"\ndescription = "d"\n[claims.department]'),
    "environments-of-the-bundle": ("bundle.toml", '["production", "staging"]', '["production", "staging", "test"]'),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTHING)
def test_what_changes_no_token_is_none(name: str):
    assert told(NOTHING[name]) == []


def test_a_scope_that_moves_to_another_audience_is_an_effect():
    scope = '[scopes."old:use"]\nmeaning = "m"\ntier = "low"\ndefault = true\n'
    changes = (
        ("audiences/legacy.toml", scope, scope.replace("old:use", "old:view")),
        ("audiences/legacy.toml", 'everyone = ["old:use"]', 'everyone = ["old:view"]'),
        (
            "clients/app.toml",
            '"pay:approve"]\nlegacy = ["old:use"]',
            '"pay:approve", "old:use"]\nlegacy = ["old:view"]',
        ),
        (
            "audiences/payments.toml",
            '[scopes."pay:write"]',
            '[scopes."old:use"]\nmeaning = "m"\ntier = "low"\n[scopes."pay:write"]',
        ),
    )
    assert "audience of scope old:use: legacy -> payments" in told(*changes)


def test_what_an_exception_must_meet_is_an_effect():
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILlE+K52GMvGRTG/ICE+3KQZ2FjvjP0mkri9lNmwmbnp"
    head = COMPANY["bundle.toml"].replace(
        'verify = "always"', 'verify = "always"\nexception_max = "1d"\nexception_approvals = 1'
    )
    texts = {
        **COMPANY,
        "bundle.toml": f'{head}[[approvers]]\nname = "I"\ncontact = "c"\nuser = "i"\nkeys = ["{key}"]\n',
    }
    from mintwarden.policy.diff.diff import diff

    found = diff(
        edition_of(texts),
        edition_of(with_changes(texts, ("rules/all.cedar", '@max_ttl("60s") @require_acr("phr")', '@max_ttl("50s")'))),
    )
    assert {effect.text for effect in found.effects} == {
        "demands on an exception of scope pay:write (issue, User): @require_acr(phr) -> nothing",
        "lifetime under an exception of scope pay:write (issue, User): 1m -> 50s",
    }


def test_the_same_effect_on_several_is_told_once():
    effect = next(one for one in company_diff(("bundle.toml", 'max_ttl = "10m"', 'max_ttl = "5m"')).effects)
    assert effect.text == "longest lifetime of scope pay:approve, scope pay:write: 10m -> 5m"


def test_a_field_that_nobody_knows_counts():
    """What is added to the catalogue makes a difference until somebody says that it makes none."""
    (effect,) = _fields("audience", "audience payments", {"owner": "o", "new_thing": 1}, {"owner": "p", "new_thing": 2})
    assert effect.text == "new thing of audience payments: 1 -> 2"
