"""What is written otherwise, whatever the layout, the order and the files."""

from __future__ import annotations

from mintwarden.policy.diff.edition import edition_of
from mintwarden.policy.diff.parts import parts_of
from mintwarden.policy.diff.structure import Change, Field, structure
from tests.unit.policy.diff.editions import COMPANY, RULE, edition, meridian, with_changes


def changes(*replaced: tuple[str, str, str]) -> tuple[Change, ...]:
    return structure(edition(), edition(*replaced))


def only(*replaced: tuple[str, str, str]) -> Change:
    (change,) = changes(*replaced)
    return change


def test_the_same_bundle_has_no_changes():
    assert structure(edition(texts=meridian()), edition(texts=meridian())) == ()


def test_layout_comments_and_order_are_no_change():
    backwards = "\n".join(reversed([f'@id("{one}' for one in COMPANY["rules/all.cedar"].split('@id("')[1:]]))
    client = COMPANY["clients/app.toml"].replace(
        '["pay:read", "pay:write", "pay:approve"]', '[\n"pay:approve",\n"pay:read", "pay:write" ]'
    )
    rules = backwards.replace(" && ", " // and\n   &&\n").replace("{ ", "{\n")
    other = edition_of({**COMPANY, "rules/all.cedar": rules, "clients/app.toml": f"# about\n{client}"})
    assert structure(edition(), other) == ()


def test_sets_that_are_spelled_out_have_no_order():
    rule = f'{RULE.format(id="x")} permit (principal, action == Action::"issue", resource == Scope::"pay:read") when {{ {{}}.contains(context.client.id) }};'
    one, other = (
        edition_of({**COMPANY, "rules/x.cedar": rule.replace("{}", spelled)})
        for spelled in ('["a", "b"]', '["b", "a"]')
    )
    assert structure(one, other) == ()


def test_a_condition_that_is_otherwise_is_told_with_both():
    assert only(("rules/all.cedar", "principal.risk < 50", "principal.risk < 40")) == Change(
        kind="rule",
        id="read",
        how="changed",
        old_file="rules/all.cedar",
        new_file="rules/all.cedar",
        fields=(
            Field(
                "when",
                ["principal is User", 'principal in Group::"finance"', "principal.risk < 50"],
                ["principal is User", 'principal in Group::"finance"', "principal.risk < 40"],
            ),
        ),
    )


def test_the_order_of_conditions_is_a_change_of_the_tree():
    change = only(
        (
            "rules/all.cedar",
            'principal in Group::"finance" && principal.risk < 50',
            'principal.risk < 50 && principal in Group::"finance"',
        )
    )
    assert (change.how, [field.name for field in change.fields]) == ("changed", ["when"])


def test_an_obligation_that_is_otherwise_is_told_by_its_name():
    assert only(("rules/all.cedar", '@max_ttl("60s")', '@max_ttl("50s")')).fields == (Field("@max_ttl", "60s", "50s"),)
    assert only(("rules/all.cedar", '@max_ttl("60s") ', "")).fields == (Field("@max_ttl", "60s", None),)


def test_a_rule_under_another_id_is_renamed():
    change = only(("rules/all.cedar", '@id("write") @owner("o")', '@id("pay-write") @owner("p")'))
    assert (change.how, change.was, change.id) == ("renamed", "write", "pay-write")
    assert change.fields == (Field("@owner", "o", "p"),)


def test_a_rule_with_another_tree_is_not_renamed_but_removed_and_added():
    found = changes(("rules/all.cedar", '@id("freeze")', '@id("thaw")'), ("rules/all.cedar", "risk > 90", "risk > 91"))
    assert {(change.id, change.how) for change in found} == {("freeze", "removed"), ("thaw", "added")}


def test_a_rule_in_another_file_is_moved():
    texts = dict(COMPANY)
    texts["rules/sub/everything.cedar"] = texts.pop("rules/all.cedar")
    found = structure(edition(), edition_of(texts))
    assert {change.how for change in found} == {"moved"}
    assert len(found) == 7
    assert {(change.old_file, change.new_file) for change in found} == {
        ("rules/all.cedar", "rules/sub/everything.cedar")
    }


def test_an_audience_in_another_file_moves_without_its_scopes():
    texts = dict(COMPANY)
    texts["audiences/money.toml"] = texts.pop("audiences/payments.toml")
    (change,) = structure(edition(), edition_of(texts))
    assert (change.kind, change.id, change.how) == ("audience", "payments", "moved")


def test_every_kind_of_part_is_compared():
    extra = {
        "issuers/login.toml": '[issuer]\nid = "login"\nissuer = "https://login.example"\nkeys = "discovery"\naudiences = ["https://tokens.example"]\nprincipal = "User"\n',
        "assertions/a.toml": '[[assertion]]\nid = "calm"\nsays = "s"\n[assertion.never]\ntypes = ["User"]\nscopes = ["pay:write"]\n',
        "tests/t.toml": '[[scenario]]\nid = "one"\nwhy = "w"\n[scenario.given]\nclient = "app"\naudience = "payments"\nscopes = ["pay:read"]\nnow = 2026-11-24T02:30:00Z\n[scenario.expect]\nrefused = { "pay:read" = "no_route" }\n',
    }
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILlE+K52GMvGRTG/ICE+3KQZ2FjvjP0mkri9lNmwmbnp"
    head = COMPANY["bundle.toml"] + f'[[approvers]]\nname = "Ines"\ncontact = "c"\nkeys = ["{key}"]\n'
    whole = {**COMPANY, **extra, "bundle.toml": head}
    before = edition_of(whole)
    assert {part.kind for part in parts_of(before)} == {
        "bundle", "tier", "purpose", "approver", "source", "claim", "audience", "scope", "client", "issuer", "rule",
        "assertion", "scenario",
    }  # fmt: skip
    after = edition_of(
        with_changes(
            whole,
            ("bundle.toml", 'name = "small"', 'name = "larger"'),
            ("bundle.toml", 'max_ttl = "10m"', 'max_ttl = "5m"'),
            ("bundle.toml", 'meaning = "m"', 'meaning = "help"'),
            ("bundle.toml", 'contact = "c"', 'contact = "d"'),
            ("sources.toml", 'max_age = "5m"', 'max_age = "6m"'),
            ("claims.toml", 'absent = "refuse"', 'absent = "omit"'),
            ("audiences/payments.toml", 'disclose = "challenge"', 'disclose = "nothing"'),
            ("audiences/payments.toml", 'meaning = "m"\ntier = "low"', 'meaning = "read"\ntier = "low"'),
            ("clients/app.toml", 'name = "App"', 'name = "The App"'),
            ("issuers/login.toml", 'principal = "User"', 'principal = "Workload"'),
            ("rules/all.cedar", "risk > 90", "risk > 91"),
            ("assertions/a.toml", '["User"]', '["Agent"]'),
            ("tests/t.toml", '"w"', '"why"'),
        )
    )
    assert [(change.kind, change.id, change.how) for change in structure(before, after)] == [
        ("bundle", "larger", "renamed"),
        ("tier", "high", "changed"),
        ("purpose", "support", "changed"),
        ("approver", "Ines", "changed"),
        ("source", "risk", "changed"),
        ("claim", "manager", "changed"),
        ("audience", "payments", "changed"),
        ("scope", "pay:read", "changed"),
        ("client", "app", "changed"),
        ("issuer", "login", "changed"),
        ("rule", "freeze", "changed"),
        ("assertion", "calm", "changed"),
        ("scenario", "one", "changed"),
    ]
    assert {change.how for change in structure(edition(), before)} == {"added"}
    assert {change.how for change in structure(before, edition())} == {"removed"}
