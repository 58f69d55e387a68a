"""A first bundle from each shape: it loads, observes, and gives what the older system gave. Nothing secret gets out."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from mintwarden.app.bootstrap.bootstrap import Bootstrapped, bootstrap, gaps_page
from mintwarden.app.bootstrap.mapping import AudienceFound, ClientFound, Give, Mapping, ScopeFound
from mintwarden.app.bootstrap.write import SCENARIOS, plan
from mintwarden.app.cli import main
from mintwarden.context.assemble import SourceAnswer, build_facts
from mintwarden.context.ports import FactDocument
from mintwarden.model.asked import Asked
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid
from mintwarden.policy.bundle.load import build_bundle, load_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.decide import decide
from mintwarden.review.check import check

EXPORTS = Path(__file__).parent / "exports"
ALL = [
    ("csv", "groups.csv"),
    ("json", "mapping.json"),
    ("keycloak", "keycloak.json"),
    ("okta", "okta.json"),
    ("auth0", "auth0.json"),
    ("auth0", "auth0"),
]
NOW = 1_795_000_000_000
SECRET = "do-not-print"


def made(shape: str, file: str | Path, **settings: Any) -> Bootstrapped:
    given = {"name": "old", "issuer": "", "today": dt.date(2026, 11, 25), **settings}
    return bootstrap(EXPORTS / file, shape, **given)


def gives(
    bundle: Bundle,
    client: str,
    scope: str,
    *,
    groups: tuple[str, ...] = (),
    roles: tuple[str, ...] = (),
    itself: bool = False,
) -> bool:
    """Whether a token with the scope is issued, through the client, to somebody of these groups and roles."""
    own = EntityUid("Workload", client)
    one = bundle.catalogue.clients[client]
    subject = own if itself else EntityUid("User", "somebody")
    way = (
        {"grant": "client_credentials"}
        if itself
        else {"grant": "token_exchange", "actors": (own,), "impersonate": True}
    )
    asked = Asked(
        client_id=client, subject=subject, audience=bundle.catalogue.scopes[scope].audience, scopes=(scope,),
        environment="production", method=one.methods[0], **way,
    )  # fmt: skip
    known = SourceAnswer(
        document=FactDocument(facts={"roles": list(roles)} if roles else {}, groups=list(groups)), observed_at=NOW
    )
    facts = build_facts(bundle.catalogue, asked, {"User:somebody": {"directory": known}}, now=NOW)
    decision = decide(bundle, asked, facts, NOW)
    assert decision.mode == "observe"
    return decision.granted


@pytest.mark.parametrize(("shape", "file"), ALL)
def test_each_shape_becomes_a_bundle_that_loads_observes_and_passes_its_scenarios(shape, file, tmp_path, capsys):
    folder = tmp_path / "new"
    assert main(["policy", "bootstrap", str(EXPORTS / file), str(folder), "--from", shape]) == 0
    assert "audiences that observe" in capsys.readouterr().out
    report = check(folder / "bundle")
    assert report.problems == ()
    assert report.failed == ()
    assert report.counts["scenarios"] > 0
    bundle = load_bundle(folder / "bundle")
    assert {audience.mode for audience in bundle.catalogue.audiences.values()} == {"observe"}
    assert all(client.owner == "unknown: to be named" for client in bundle.catalogue.clients.values())
    assert main(["policy", "lint", str(folder / "bundle")]) in (0, 1)
    assert "scope-without-route" in (folder / "GAPS.md").read_text()


@pytest.mark.parametrize(("shape", "file"), ALL)
def test_no_secret_of_an_export_is_written_or_printed(shape, file, tmp_path, capsys):
    folder = tmp_path / "new"
    assert main(["policy", "bootstrap", str(EXPORTS / file), str(folder), "--from", shape, "--json"]) == 0
    told = capsys.readouterr()
    assert SECRET not in told.out + told.err
    written = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 4
    assert not any(SECRET in text for text in written)


def test_the_fixtures_hold_secrets_to_look_for():
    assert all(SECRET in (EXPORTS / f"{name}.json").read_text() for name in ("keycloak", "okta", "auth0"))


def test_a_table_gives_what_its_rows_say():
    bundle = build_bundle(made("csv", "groups.csv").texts)
    assert gives(bundle, "web", "pay:write", groups=("finance",))
    assert not gives(bundle, "web", "pay:write", groups=("Finance-Leads",)), "only through the back office"
    assert gives(bundle, "back-office", "pay:write", groups=("Finance-Leads",))
    assert not gives(bundle, "back-office", "pay:write", groups=("finance",))
    assert gives(bundle, "web", "news:read", groups=("everyone@corp",))
    assert not gives(bundle, "web", "news:read")


def test_a_mapping_gives_groups_roles_and_clients_what_it_says():
    bundle = build_bundle(made("json", "mapping.json").texts)
    assert gives(bundle, "batch", "pay:read", itself=True)
    assert not gives(bundle, "batch", "pay:read"), "what a program has is not its users'"
    assert gives(bundle, "web", "pay:write", roles=("approver",))
    assert gives(bundle, "web", "pay:write", groups=("finance",))
    assert not gives(bundle, "web", "pay:write")
    assert "pay:never" not in bundle.catalogue.scopes


def test_a_realm_gives_what_its_groups_roles_and_defaults_say():
    bundle = build_bundle(made("keycloak", "keycloak.json").texts)
    deck, crew = "/Crew/Deck-Hands", "/Crew"
    assert gives(bundle, "counter", "read", groups=(crew,))
    assert gives(bundle, "pocket-app", "write", groups=(deck,)), "a composite role gives what it is made of"
    assert gives(bundle, "pocket-app", "read", groups=(deck,)), "a group inherits from the group it is in"
    assert not gives(bundle, "pocket-app", "write", groups=(crew,))
    assert gives(bundle, "pocket-app", "captain", roles=("captain",))
    assert gives(bundle, "pocket-app", "reader"), "everybody has the default roles"
    assert gives(bundle, "counter", "timetable")
    assert gives(bundle, "loader", "read", itself=True), "the roles of its service account"
    assert not gives(bundle, "loader", "purge", itself=True)
    assert "purge" not in bundle.catalogue.clients["counter"].ceilings["trips-api"], "its scope mappings do not hold it"


def test_an_authorization_server_gives_what_its_active_rules_say():
    bundle = build_bundle(made("okta", "okta.json").texts)
    assert gives(bundle, "counter", "trips.write", groups=("Crew",))
    assert not gives(bundle, "counter", "trips.write")
    assert gives(bundle, "counter", "trips.read"), "everyone"
    assert not gives(bundle, "desk", "trips.purge", groups=("Crew",)), "what excludes somebody is not carried over"
    assert gives(bundle, "desk", "trips.purge", groups=("Shift-Leads",))
    assert gives(bundle, "desk", "trips.purge", itself=True)
    assert gives(bundle, "loader", "trips.write", itself=True)
    assert not gives(bundle, "stranger", "trips.write", groups=("Crew",)), "another policy's clients"


def test_a_tenant_gives_what_roles_grants_and_open_apis_say():
    bundle = build_bundle(made("auth0", "auth0.json").texts)
    assert gives(bundle, "Counter", "write:trips", roles=("Crew-Member",))
    assert not gives(bundle, "Counter", "write:trips")
    assert gives(bundle, "L0ad", "Ferry/read:trips", itself=True)
    assert gives(bundle, "Pocket", "news/read:trips"), "an API without RBAC gives everybody what they ask for"
    assert gives(bundle, "Elsewhere", "read:news", itself=True)
    assert "read:users" not in bundle.catalogue.scopes


def kinds(found: Bootstrapped) -> set[str]:
    return {gap.kind for gap in found.gaps}


def test_gaps_are_told():
    realm = made("keycloak", "keycloak.json")
    assert {"composite", "claim", "script", "condition", "grants", "ceiling", "people", "sign-in", "owner"} <= kinds(
        realm
    )
    assert {"script", "wildcard", "condition", "people", "inactive", "claim", "lifetime"} <= kinds(
        made("okta", "okta.json")
    )
    assert {"script", "wildcard", "everyone", "sign-in", "scope", "client"} <= kinds(made("auth0", "auth0.json"))
    assert "mo" not in {word for gap in realm.gaps for word in gap.what.split()}, "nobody is named"


@pytest.mark.parametrize("shape", ["keycloak", "okta", "auth0"])
def test_what_clients_for_people_need_to_sign_them_in_here_is_told(shape):
    gaps = [gap for gap in made(shape, f"{shape}.json").gaps if gap.kind == "grants"]
    assert gaps
    for gap in gaps:
        assert "authorization code" in gap.what.replace("_", " ")
        assert "`redirect_uris`" in gap.remedy


def test_names_that_a_bundle_does_not_take_are_spelled_otherwise_and_told():
    spelled = {(one.kind, one.was, one.now) for one in made("csv", "groups.csv").spelled}
    assert ("group", "Finance Leads", "Finance-Leads") in spelled
    assert ("client", "back office", "back-office") in spelled


def test_two_names_never_become_one(tmp_path):
    (tmp_path / "g.csv").write_text(
        'group,scope,audience,client\na b,s 1,x,web\na-b,s-1,x,web\n"a\tb",s+1,x y,web\n'.replace("\t", "-")
    )
    found = made("csv", tmp_path / "g.csv")
    bundle = build_bundle(found.texts)
    assert len(bundle.catalogue.scopes) == 3
    assert gives(bundle, "web", "s-1", groups=("a-b",)) is not gives(bundle, "web", "s-1-2", groups=("a-b",))


def test_a_scope_of_several_audiences_is_told_apart_by_theirs(tmp_path):
    (tmp_path / "g.csv").write_text("group,scope,audience,client\ng,read,a,web\nh,read,b,web\n")
    bundle = build_bundle(made("csv", tmp_path / "g.csv").texts)
    assert set(bundle.catalogue.scopes) == {"a/read", "b/read"}
    assert gives(bundle, "web", "a/read", groups=("g",))
    assert not gives(bundle, "web", "b/read", groups=("g",))


def test_scenarios_are_not_a_second_copy_of_a_large_mapping():
    scopes = tuple(ScopeFound(name=f"s{number}") for number in range(300))
    mapping = Mapping(
        name="big",
        shape="x",
        audiences=(AudienceFound(key="a", name="a", identifier="urn:a", scopes=scopes),),
        clients=(ClientFound(key="c", name="c", kind="web", method="none", for_people=True),),
        gives=tuple(Give(audience="a", scope=scope.name, holder="group", name="g") for scope in scopes),
    )
    found = plan(mapping)
    assert len(build_bundle(found.texts).scenarios) == SCENARIOS
    assert "scenarios" in {gap.kind for gap in found.gaps}


def test_a_page_of_gaps_holds_names_that_would_be_markup(tmp_path):
    (tmp_path / "g.csv").write_text("group,scope,client\n<b>| g,s,web\n")
    page = gaps_page(made("csv", tmp_path / "g.csv"))
    assert "<b>" not in page
    assert "\\| g" in page


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "content", "said"),
    [
        ("json", '{"groups": {"a": ["b"]}, "groups": {}}', "the key `groups` is there twice"),
        ("json", "[" * 1000 + "]" * 1000, "nested deeper than 64"),
        ("json", '{"groups": {"a": [' + "[" * 70 + "]" * 70 + "]}}", "nested deeper than 64"),
        ("json", '{"groups": {"a": [NaN]}}', "a number that is none"),
        ("json", '{"groups": ', "is not JSON: line 1"),
        ("json", '{"grups": {}}', "an unknown key `grups`"),
        ("json", '{"groups": {"a": [""]}}', "is not a name"),
        ("json", '{"groups": {"a": ["b\\u0007"]}}', "not printable"),
        ("json", '{"groups": {"a": "b"}}', "is not an array"),
        ("json", "[]", "the mapping is not an object"),
        ("csv", "", "the table is empty"),
        ("csv", "group,scope,colour\n", "does not name the columns"),
        ("csv", "group,scope\na\n", "line 2 has 1 cells instead of 2"),
        ("csv", 'group,scope\na,"b\n', "cannot be read"),
        ("keycloak", "{}", "`realm` is not a name"),
        ("keycloak", '{"realm": "x"}', "no `clients` and no `roles`"),
        ("keycloak", '{"realm": "x", "clients": {}}', "`clients` is not an array"),
        ("okta", "{}", "no `authorizationServers`"),
        ("auth0", '{"clients": []}', "no `resourceServers`"),
        ("json", '{"groups": {}}', "no bundle can be made of it"),
    ],
)
def test_what_cannot_be_taken_is_refused_and_nothing_is_written(shape, content, said, tmp_path, capsys):
    (tmp_path / "in").write_text(content)
    assert main(["policy", "bootstrap", str(tmp_path / "in"), str(tmp_path / "out"), "--from", shape]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "in").write_bytes(b'{"groups": {"\xff": []}}')
    with pytest.raises(MintwardenError, match="not UTF-8"):
        made("json", tmp_path / "in")


def test_a_file_that_is_too_large_is_refused(tmp_path):
    with (tmp_path / "in").open("wb") as out:
        out.truncate((32 << 20) + 1)
    with pytest.raises(MintwardenError, match="larger than 32 MiB") as refused:
        made("json", tmp_path / "in")
    assert refused.value.kind is ErrorKind.TOO_LARGE


def test_a_list_that_is_too_long_is_refused(tmp_path):
    (tmp_path / "in").write_text(json.dumps({"groups": {"a": ["x"] * 50_001}}))
    with pytest.raises(MintwardenError, match="more than 50000 entries"):
        made("json", tmp_path / "in")


@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_a_folder_that_is_there_is_never_written_into(what, tmp_path, capsys):
    target = tmp_path / "there"
    if what == "folder":
        target.mkdir()
    elif what == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "nowhere")
    assert main(["policy", "bootstrap", str(EXPORTS / "groups.csv"), str(target), "--from", "csv"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert what != "folder" or list(target.iterdir()) == []


def test_a_circle_of_composite_roles_ends(tmp_path):
    realm = json.loads((EXPORTS / "keycloak.json").read_text())
    realm["roles"]["realm"] += [
        {"name": "a", "composites": {"realm": ["b"]}},
        {"name": "b", "composites": {"realm": ["a"]}},
    ]
    realm["groups"].append({"name": "Ring", "realmRoles": ["a"]})
    (tmp_path / "in").write_text(json.dumps(realm))
    bundle = build_bundle(made("keycloak", tmp_path / "in").texts)
    assert gives(bundle, "pocket-app", "b", groups=("/Ring",))


def test_an_issuer_is_an_https_url(tmp_path, capsys):
    words = ["policy", "bootstrap", str(EXPORTS / "groups.csv"), str(tmp_path / "x"), "--from", "csv", "--issuer"]
    assert main([*words, "http://x"]) == 2
    assert "is not an https URL" in capsys.readouterr().err
    assert main([*words, "https://tokens.example"]) == 0
    assert load_bundle(tmp_path / "x" / "bundle").catalogue.issuer == "https://tokens.example"
