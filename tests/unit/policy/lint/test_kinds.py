"""Each kind of finding: what it finds, where, and what it leaves alone."""

from __future__ import annotations

import pytest

from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.lint.lint import lint
from mintwarden.policy.lint.subject import Outstanding
from tests.unit.policy.lint.conftest import STARTER, TODAY, looked_over

R, A, S, C, B = "rules/orders.cedar", "audiences/orders.toml", "sources.toml", "claims.toml", "bundle.toml"
J = "clients/order-export.toml"
LINES = len((STARTER / B).read_text().splitlines())
DESK = 'when { principal in Group::"order-desk" };'


def rule(condition: str = "", *, effect: str = "permit", notes: str = "", head: str = "", name: str = "extra") -> str:
    head = head or 'principal is User, action == Action::"issue", resource == Scope::"orders:write"'
    return f'\n@id("{name}") @owner("O") @reason("because")\n{notes}\n{effect} ({head})\n{condition};\n'


def ids(*changes: tuple[str, str, str]) -> set[str]:
    return {finding.id for finding in looked_over(*changes)}


def test_the_starter_has_no_findings():
    assert looked_over() == ()


# -- rule-never-applies, scope-without-route ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition",
    [
        "when { false }",
        "unless { true }",
        'when { principal.department == "a" && principal.department == "b" }',
        'when { principal.department == "a" } unless { principal.department == "a" }',
        'when { principal.department == "a" && ["b", "c"].contains(principal.department) }',
        "when { context.chain.depth > 3 && 3 >= context.chain.depth }",
        "when { context.chain.depth > 3 && context.chain.depth < 4 }",
        'when { resource.tier == "low" }',
        "when { resource.rank < 1 }",
        'when { resource == Scope::"orders:read" }',
        'when { context.request.environment == "staging" }',
        'when { principal.department == "a" && (principal.department == "b" || resource.rank == 0) }',
        'unless { principal.department != "a" || principal.department == "a" }',
        'when { if principal.department == "a" then false else false }',
        'when { !(true || principal.department == "a") }',
        'when { "a" == "b" }',
    ],
)
def test_a_rule_that_never_applies(found, condition):
    (place, message) = found("rule-never-applies", (R, "", rule(condition)))[0]
    assert message == "rule `extra` can never apply"
    assert place.startswith(f"{R}:")


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "when { true }",
        'when { principal.department == "a" || principal.department == "b" }',
        "when { context.chain.depth > 3 && context.chain.depth < 5 }",
        'when { principal.tenants.contains("a") && principal.tenants.contains("b") }',
        'when { context.request.environment == "production" }',
        'when { resource.tier == "high" && resource.rank == 1 }',
        'unless { principal.department == "a" && principal.department == "b" }',
    ],
)
def test_a_rule_that_may_apply(condition):
    assert "rule-never-applies" not in ids((R, "", rule(condition)))


# -- principal-unknown ------------------------------------------------------------------------------------------------

ISSUE = ', action == Action::"issue", resource == Scope::"orders:write"'
REGISTRATION = (
    B,
    "",
    (
        '\n[registration]\nprefix = "reg-"\nauthentication = ["private_key_jwt"]\ngrants = ["client_credentials"]\n'
        'kinds = ["service"]\nenvironments = ["production"]\nowners = ["Shop Platform"]\n'
        '[registration.ceilings]\norders = ["orders:read"]\n'
    ),
)
PARTNERS = (
    "issuers/login.toml",
    'principal = "User"\nsubject = "sub"',
    'principal = "Agent"\nsubject = "sub"\nsubject_prefix = "partner/"',
)


@pytest.mark.parametrize(
    ("head", "condition", "message", "remedy"),
    [
        (f'principal == Workload::"order-exprot"{ISSUE}', "", '`Workload::"order-exprot"`, and nobody can be', "`order-export`"),
        (f'principal in Agent::"helper"{ISSUE}', "", '`Agent::"helper"`, and nobody can be', "declare it in `clients/`"),
        (f'principal == Agent::"order-export"{ISSUE}', "", "client `order-export` is a `Workload`", '`Workload::"order-export"`'),
        (f"principal{ISSUE}", 'when { principal == Workload::"shop" };', '`Workload::"shop"`, and nobody', "`shop-web`"),
        (f"principal{ISSUE}", 'when { context.client.id == "shop-wep" }', "the client `shop-wep`", "`shop-web`"),
        (f"principal{ISSUE}", 'when { ["shop-web", "shop-wep"].contains(context.client.id) }', "the client `shop-wep`", ""),
        (f"principal{ISSUE}", 'when { context.chain.actors.contains("Agent:shop") }', '`Agent::"shop"`, and nobody', ""),
    ],
)  # fmt: skip
def test_a_program_that_there_cannot_be(head, condition, message, remedy):
    changes = (R, "", rule(condition.removesuffix(";"), head=head))
    (finding,) = [one for one in looked_over(changes) if one.id == "principal-unknown"]
    assert (finding.file, finding.severity) == (R, "warning")
    assert message in finding.message
    assert remedy in finding.remedy
    assert finding.documentation == "docs/policy-lint.md#principal-unknown"


@pytest.mark.parametrize(
    ("head", "condition", "changes"),
    [
        (f'principal == Workload::"order-export"{ISSUE}', 'when { context.client.id == "shop-web" }', ()),
        (f'principal == User::"nobody"{ISSUE}', 'unless { principal in Group::"nobody" }', ()),
        (f'principal == Workload::"reg-shop"{ISSUE}', 'when { context.client.id == "reg-shop" }', (REGISTRATION,)),
        (f'principal == Agent::"partner/helper"{ISSUE}', "", (PARTNERS,)),
        (f"principal{ISSUE}", 'when { context.chain.actors.contains("Workload:shop-web") }', ()),
    ],
)
def test_who_may_be_there_is_let_be(found, head, condition, changes):
    assert found("principal-unknown", (R, "", rule(condition, head=head)), *changes) == []


def test_an_issuer_names_its_own_only(found):
    assert found("principal-unknown", (R, "", rule(head=f'principal == Agent::"helper"{ISSUE}')), PARTNERS)
    assert found("principal-unknown", (R, "", rule(head=f'principal == Workload::"partner/x"{ISSUE}')), PARTNERS)


def test_two_principal_types_never_meet(found):
    head = 'principal is User, action == Action::"issue", resource == Scope::"orders:write"'
    assert found("rule-never-applies", (R, "", rule("unless { principal is User }", head=head)))


def test_a_rule_for_an_audience_may_apply_to_one_of_its_scopes():
    head = 'principal is User, action == Action::"issue", resource in Audience::"orders"'
    assert "rule-never-applies" not in ids((R, "", rule('when { resource.tier == "low" }', head=head)))


def test_a_scope_whose_only_permit_never_applies(found):
    changes = (R, DESK, 'when { principal in Group::"order-desk" && resource.tier == "low" };')
    line = (STARTER / A).read_text().splitlines().index('[scopes."orders:write"]') + 1
    assert found("scope-without-route", changes) == [
        (f"{A}:{line}", "no permit for scope `orders:write` can ever apply")
    ]


def test_a_scope_that_only_the_legacy_mapping_gives(found):
    changes = (
        (A, 'disclose = "challenge"', 'disclose = "challenge"\nmode = "observe"'),
        (A, "", '\n[legacy]\n"order-desk" = ["orders:old"]\n[scopes."orders:old"]\nmeaning = "Old"\ntier = "low"\n'),
    )
    assert "legacy mapping" in found("scope-without-route", *changes)[0][1]


def test_a_scope_whose_permits_are_only_observed(found):
    observed = (R, '@id("orders-write-desk")', '@id("orders-write-desk") @mode("observe") @observe_until("2099-01-01")')
    assert [message for _, message in found("scope-without-route", observed)] == [
        "every permit for scope `orders:write` is only observed"
    ]


# -- profile-loose -----------------------------------------------------------------------------------------------------


def test_a_profile_that_is_looser_than_the_default(found):
    loose = (J, "[client]", '[client]\nprofile = "legacy"')
    assert found("profile-loose", loose) == [
        (f"{J}:4", "client `order-export` is of profile `legacy`, which is looser than `oauth21`")
    ]
    assert "profile-loose" in ids((A, "[audience]", '[audience]\nprofile = "legacy"'))
    documents = (
        '\n[client_id_metadata]\nhosts = ["a.example"]\nkind = "mcp"\nowner = "O"\nenvironments = ["production"]\n'
        'grants = ["authorization_code"]\nprofile = "legacy"\n[client_id_metadata.ceilings]\norders = ["orders:read"]\n'
    )
    assert [place for place, _ in found("profile-loose", (B, "", documents))] == [f"{B}:{LINES + 8}"]
    for profile in ("mcp", "oauth21"):
        assert found("profile-loose", (B, "", documents.replace("legacy", profile))) == []


def test_a_looser_profile_is_let_be_until_a_day_and_for_a_reason(found):
    why = "# lint: allow profile-loose until 2027-03-31: the ERP speaks RS256 until it is replaced\n"
    loose = (J, "[client]", f'[client]\n{why}profile = "legacy"')
    (finding,) = [one for one in looked_over(loose) if one.id == "profile-loose"]
    assert finding.suppressed == "the ERP speaks RS256 until it is replaced"


# -- strangers-unbounded, consent-skipped -------------------------------------------------------------------------------

STRANGERS = (
    '\n[client_id_metadata]\nhosts = ["a.example", "*"]\nkind = "mcp"\nowner = "O"\nenvironments = ["production"]\n'
    'grants = ["authorization_code"]\n[client_id_metadata.ceilings]\norders = ["orders:read"]\n'
    '[open_registration]\nto = "anyone"\nprefix = "self-"\nkind = "mcp"\nowner = "O"\nenvironments = ["production"]\n'
    'grants = ["authorization_code"]\n[open_registration.ceilings]\norders = ["orders:read"]\n'
)
PUBLISHER = (
    'statement_required = true\n[[open_registration.publishers]]\nissuer = "https://p.example"\n'
    '[[open_registration.publishers.keys]]\nkty = "EC"\ncrv = "P-256"\n'
    'x = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"\ny = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"\n'
    'kid = "k"\n[open_registration.ceilings]'
)
NATIVE = """[client]
id = "app"
name = "App"
kind = "native"
owner = "Shop Platform"
environments = ["production"]
authentication = ["none"]
grants = ["authorization_code"]
redirect_uris = ["http://127.0.0.1/back"]
[client.ceilings]
orders = ["orders:read"]
[client.authorization]
consent = "implicit"
"""
WEB = "clients/shop-web.toml"


def test_doors_that_stand_open_to_clients_of_anybody(found):
    assert [place for place, _ in found("strangers-unbounded", (B, "", STRANGERS))] == [
        f"{B}:{LINES + 3}",
        f"{B}:{LINES + 11}",
    ]
    bounded = STRANGERS.replace(', "*"', ', "*.b.example"')
    assert [message for _, message in found("strangers-unbounded", (B, "", bounded))] == [
        "anybody may register a client, with nothing that speaks for it"
    ]
    stated = bounded.replace("[open_registration.ceilings]", PUBLISHER)
    assert found("strangers-unbounded", (B, "", stated)) == []


def test_nobody_is_asked_about_a_client_that_others_could_pass_for(found):
    def looked(text: str) -> list[tuple[str, str]]:
        texts = (STARTER / WEB).read_text()
        return found("consent-skipped", (WEB, texts, text))

    said = "nobody is asked about client `app`, for which any program on the device could pass"
    starts = NATIVE.replace('"app"', '"shop-web"', 1)
    assert looked(starts) == [(f"{WEB}:13", said.replace("`app`", "`shop-web`"))]
    assert looked(starts.replace("http://127.0.0.1/back", "com.example.app:/back"))
    for better in (
        starts.replace("implicit", "explicit"),
        starts.replace("http://127.0.0.1/back", "https://app.example/back"),
        starts.replace('["none"]', '["client_secret_basic"]'),
    ):
        assert looked(better) == []


# -- instance-unbound --------------------------------------------------------------------------------------------------

ATTESTED = """[client]
id = "shop-web"
name = "Wallet"
kind = "native"
owner = "Shop Platform"
environments = ["production"]
authentication = ["attest_jwt_client_auth"]
grants = ["authorization_code"]
redirect_uris = ["https://app.example/back"]
[client.ceilings]
orders = ["orders:read"]
[client.authorization]
pushed = false
[[client.attester_keys]]
kty = "OKP"
crv = "Ed25519"
x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
"""


def test_codes_of_attested_instances_that_are_bound_to_none(found):
    def looked(text: str) -> list[tuple[str, str]]:
        return found("instance-unbound", (WEB, (STARTER / WEB).read_text(), text))

    said = "codes of client `shop-web` are bound to no instance of it where requests are not pushed"
    assert looked(ATTESTED) == [(f"{WEB}:13", said)]
    by_dpop = ATTESTED.replace('_auth"]', '_auth_dpop", "client_secret_basic"]')
    assert looked(by_dpop) == [(f"{WEB}:13", said)]
    for better in (
        ATTESTED.replace("pushed = false", ""),
        ATTESTED.replace("pushed = false", "pushed = true"),
        ATTESTED.partition("[[")[0].replace("attest_jwt_client_auth", "client_secret_basic"),
        ATTESTED.replace("authorization_code", "client_credentials")
        .replace('redirect_uris = ["https://app.example/back"]\n', "")
        .replace("[client.authorization]\npushed = false\n", ""),
    ):
        assert looked(better) == []


# -- rule-observed-forever, mode-left-over ------------------------------------------------------------------------------


def test_a_rule_that_is_observed_without_an_end(found):
    observed = (R, '@id("orders-write-desk")', '@id("orders-write-desk") @mode("observe")')
    (finding,) = found("rule-observed-forever", observed)
    assert finding[1] == "rule `orders-write-desk` is only observed, and nothing says until when"
    until = observed[2] + ' @observe_until("2099-01-01")'
    assert found("rule-observed-forever", (*observed[:2], until)) == []


def test_what_an_audience_has_left_behind(found):
    tables = (
        '\n[legacy]\n"order-desk" = ["orders:read"]\n[legacy_roles]\n[legacy_clients]\nshop-web = ["orders:read"]\n'
        "[canary]\nshare = 0.5\n"
    )
    assert [message.split(" has")[0] for _, message in found("mode-left-over", (A, "", tables))] == [
        "`[legacy]`",
        "`[legacy_clients]`",
        "`[canary]`",
    ]
    observing = (A, 'disclose = "challenge"', 'disclose = "challenge"\nmode = "canary"')
    assert found("mode-left-over", observing, (A, "", tables)) == []
    down = '[downgrade]\nreason = "r"\nuntil = "2099-01-01T00:00:00Z"\nreturns = "canary"\n'
    back = (A, 'disclose = "challenge"', 'disclose = "challenge"\nmode = "observe"')
    assert found("mode-left-over", back, (A, "", tables + down)) == []


# -- rule-pointless ----------------------------------------------------------------------------------------------------


def test_a_permit_that_is_only_observed_covers_nothing_that_counts(found):
    notes = '@mode("observe") @observe_until("2099-01-01")'
    wide = rule("", notes=notes)
    counting = [m for _, m in found("rule-pointless", (R, "", wide)) if "`orders-write-desk` changes nothing" in m]
    assert counting == []


NARROWER = 'when { principal in Group::"order-desk" && principal.department == "a" }'


def test_a_permit_that_another_covers(found):
    notes = '@require_amr("mfa") @max_ttl("2m")'
    assert [message for _, message in found("rule-pointless", (R, "", rule(NARROWER, notes=notes)))] == [
        "rule `extra` changes nothing: `orders-write-desk` covers it"
    ]


@pytest.mark.parametrize(
    ("notes", "condition"),
    [
        ('@max_ttl("2m")', NARROWER),  # asks for less
        ('@require_amr("mfa")', NARROWER),  # lasts longer
        ('@require_amr("mfa") @max_ttl("5m")', 'when { principal.department == "a" }'),  # another condition
    ],
)
def test_a_permit_that_is_needed(notes, condition):
    assert "rule-pointless" not in ids((R, "", rule(condition, notes=notes)))


def test_of_two_equal_rules_the_later_is_pointless(found):
    twin = rule('when { principal in Group::"order-desk" }', notes='@require_amr("mfa") @max_ttl("5m")', name="z-twin")
    assert [message for _, message in found("rule-pointless", (R, "", twin))] == [
        "rule `z-twin` changes nothing: `orders-write-desk` covers it"
    ]


def test_a_forbid_that_a_global_one_covers(found):
    condition = 'when { principal has score && principal.score >= 80 && resource.tier == "high" && principal.department == "a" }'
    assert found("rule-pointless", (R, "", rule(condition, effect="forbid")))


def test_a_forbid_that_can_fail_by_itself_is_not_pointless():
    condition = (
        'when { principal has score && principal.score >= 80 && resource.tier == "high" && principal.score + 1 > 5 }'
    )
    assert "rule-pointless" not in ids((R, "", rule(condition, effect="forbid")))


# -- the others --------------------------------------------------------------------------------------------------------

ANYONE = "principal, action, resource"


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (ANYONE, "every scope"),
        ('principal, action, resource in Audience::"orders"', "every scope of audience `orders`"),
        ('principal, action == Action::"issue", resource == Scope::"orders:read"', "scope `orders:read`"),
    ],
)
@pytest.mark.parametrize(
    "condition", ["", "when { true }", 'unless { false && "a" == "a" }', 'when { "a" == "a" || 1 == 2 }']
)
def test_a_forbid_that_blocks_everything(found, head, what, condition):
    changes = (R, "", rule(condition, effect="forbid", head=head))
    assert [m for _, m in found("forbid-blocks-everything", changes)] == [
        f"rule `extra` refuses {what}, always and to everyone"
    ]


def test_a_forbid_for_somebody_does_not_block_everything():
    assert "forbid-blocks-everything" not in ids((R, "", rule(effect="forbid")))


@pytest.mark.parametrize("notes", ['@require_binding("any")', '@require_acr("phr")', '@require_auth_age("5m")'])
def test_a_high_tier_needs_a_proof(found, notes):
    condition = 'when { principal.department == "a" }'
    assert "without sender constraint" in found("high-tier-unguarded", (R, "", rule(condition)))[0][1]
    assert found("high-tier-unguarded", (R, "", rule(condition, notes=notes))) == []


def test_a_proof_may_be_a_condition_or_the_audiences(found):
    bound = 'when { context.request has binding && context.request.binding == "dpop" }'
    assert found("high-tier-unguarded", (R, "", rule(bound))) == []
    audience = (A, 'disclose = "challenge"', 'disclose = "challenge"\nbinding = "dpop"')
    assert found("high-tier-unguarded", (R, "", rule()), audience) == []


def test_lifetimes_over_the_cap(found):
    changes = (R, '@max_ttl("5m")', '@max_ttl("10m")'), (A, 'max_ttl = "15m"', 'max_ttl = "2h"')
    assert [message for _, message in found("lifetime-over-cap", *changes)] == [
        "`max_ttl` of audience `orders` is 2h, its tiers allow 1h",
        "rule `orders-write-desk` allows 10m, the tier of what it grants 5m",
    ]


def test_a_claim_that_no_audience_takes(found):
    ((place, message),) = found("claim-unused", (A, 'can_write = "*"\n', ""))
    assert message == "no audience takes the claim `can_write`"
    assert place == f"{C}:{(STARTER / C).read_text().splitlines().index('[claims.can_write]') + 1}"


def test_a_sensitive_claim_in_the_lowest_tier(found):
    secret = (C, 'sensitivity = "internal"', 'sensitivity = "restricted"')
    assert found("claim-too-sensitive", secret) == []
    ((place, message),) = found("claim-too-sensitive", secret, (A, 'department = ["orders:write"]', 'department = "*"'))
    assert message == "the restricted claim `department` comes with `orders:read` of tier `low`"
    assert place.startswith(f"{A}:")


def test_a_source_without_an_age_limit(found):
    assert found("source-without-age-limit", (S, 'max_age = "1h"\n', "")) == [
        (f"{S}:13", "facts of source `risk` are taken however old they are")
    ]


def test_a_fact_that_nobody_reads(found):
    ((_, message),) = found("fact-unread", (S, "", 'signals = "set<string>"\n'))
    assert message == "no rule or claim reads the fact `signals` of source `risk`"


def test_groups_that_nobody_asks_for(found):
    changes = (
        (R, 'principal in Group::"order-desk" || ', ""),
        (R, DESK, 'when { principal.department == "desk" };'),
    )
    assert found("fact-unread", *changes) == [(f"{S}:7", "no rule asks for a group of source `directory`")]


def test_asking_whether_a_namespace_is_there_reads_no_fact_of_it(found):
    source = '\n[sources.posture]\nkind = "store"\nabout = ["device"]\nmax_age = "1h"\nmissing = "absent"\n[sources.posture.facts]\nok = "bool"\n'
    head = "principal, action, resource"
    asks = rule("when { context has device }", effect="forbid", head=head)
    assert found("fact-unread", (S, "", source), (R, "", asks))
    reads = rule(
        "when { context has device && context.device has ok && !context.device.ok }", effect="forbid", head=head
    )
    assert found("fact-unread", (S, "", source), (R, "", reads)) == []


@pytest.mark.parametrize("word", ["TODO", "tbd.", " - ", "orders-read-staff"])
def test_a_reason_that_says_nothing(found, word):
    changes = (R, "everyone who works with orders may read them", word)
    assert found("rule-without-owner", changes)[0][1] == f"rule `orders-read-staff` has no reason: `{word}`"


def test_a_client_without_an_owner(found):
    changes = ("clients/shop-web.toml", 'owner = "Shop Platform"', 'owner = "unknown"')
    assert found("client-without-owner", changes) == [
        ("clients/shop-web.toml:7", "client `shop-web` has no owner: `unknown`")
    ]


def test_the_example_company_has_no_open_findings():
    folder = STARTER.parents[4] / "examples/meridian"
    texts = {
        p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*.*") if p.suffix in (".toml", ".cedar")
    }
    findings = lint(build_bundle(texts), texts, TODAY)
    assert [finding for finding in findings if not finding.suppressed] == []
    assert {finding.id for finding in findings} == {
        "fact-unread",
        "high-tier-unguarded",
        "profile-loose",
        "source-without-age-limit",
    }


def near(left: int, life: int, scope: str = "orders:read") -> list[str]:
    texts = {p.relative_to(STARTER).as_posix(): p.read_text() for p in STARTER.rglob("*") if p.is_file()}
    one = Outstanding("0199-x", scope, "OPS-7", 1_000 - life + left, 1_000 + left)
    findings = lint(build_bundle(texts), texts, TODAY, exceptions=(one,), now=1_000)
    return [f"{f.file}: {f.message}" for f in findings if f.id == "exception-near-end"]


HOUR, LONG = 3_600_000, 10 * 86_400_000


@pytest.mark.parametrize(
    ("left", "life", "told"),
    [
        (HOUR, 5 * HOUR, True),
        (HOUR + 1, 5 * HOUR, False),
        (24 * HOUR, 5 * 24 * HOUR, True),
        (24 * HOUR + 1, 3 * 24 * HOUR, False),
        (LONG // 5, LONG, True),
        (LONG // 5 + 1, LONG, False),
        (0, HOUR, False),
        (-1, HOUR, False),
    ],
)
def test_exceptions_near_their_end(left: int, life: int, told: bool):
    assert bool(near(left, life)) is told


def test_an_exception_is_told_at_its_scope_and_where_there_is_none_at_the_top():
    (found,) = near(HOUR, 5 * HOUR)
    assert found.startswith("audiences/orders.toml: exception 0199-x for `orders:read` ends at 1970-01-01T01:00:01Z")
    (found,) = near(HOUR, 5 * HOUR, "orders:gone")
    assert found.startswith("bundle.toml: ")


def test_its_suppression_is_not_called_unused_where_nobody_looked():
    allow = (
        "audiences/orders.toml",
        '[scopes."orders:read"]',
        '# lint: allow exception-near-end until 2027-01-01: it is known\n[scopes."orders:read"]',
    )
    assert [f.id for f in looked_over(allow)] == []
