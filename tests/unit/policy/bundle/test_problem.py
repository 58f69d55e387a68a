"""Every kind of mistake is found, at its line and column, with its remedy."""

from __future__ import annotations

import base64
from typing import NamedTuple

import pytest

from mintwarden.policy.bundle.problem import BundleRefused, Place, Problem, Problems, did_you_mean, quote
from tests.flow.pki import certificate

B, S, C, A, R, T = (
    "bundle.toml",
    "sources.toml",
    "claims.toml",
    "audiences/orders.toml",
    "rules/orders.cedar",
    "tests/orders.toml",
)
WEB, JOB, LOGIN = "clients/shop-web.toml", "clients/order-export.toml", "issuers/login.toml"
JWK = 'kty = "OKP"\ncrv = "Ed25519"\nx = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"\n'


BUNDLE = 'keys = "bundle"\njwks_uri = "https://b.example/k"\n'
ENDPOINT = BUNDLE + 'endpoint_spiffe_id = "spiffe://a.example/w"\n'
AUTHORITY, LEAF = (
    base64.b64encode(made.der).decode()
    for made in (certificate("O=SPIFFE", authority=True), certificate("O=SPIRE", signs=True))
)


class Case(NamedTuple):
    """One mistake: `old` becomes `new` in `file`; the finding stands where `at` does."""

    name: str
    file: str
    old: str
    new: str
    at: str
    message: str
    remedy: str = ""


CASES = (
    # unknown keys and values
    Case("unknown key", B, 'max_actors = 2 ', 'max_actor = 2 ', "max_actor", "unknown key `max_actor` in `[bundle]`", "`max_actors`"),
    Case("unknown table", B, "[owner]", "[owners]", "[owners]", "unknown key `owners`", "`owner`"),
    Case("missing table", B, "[owner]", "[tiers.x]\nmax_ttl = '1s'\n[owners]", "# Who", "`owner` is missing", "add"),
    Case("missing key", B, 'name = "starter"', "", "[bundle]", "`name` is missing", "add `name"),
    Case("wrong type", B, 'name = "starter"', "name = 3", "3", "`3` is not an id", "docs/bundle.md"),
    Case("unknown value", B, '"sampled"', '"sample"', '"sample"', "unknown value `sample` for `verify`", "`sampled`"),
    Case("malformed duration", B, '"1h"', '"1 hour"', '"1 hour"', "`1 hour` is not a duration", "15m"),
    Case("zero duration", B, '"1h"', '"0s"', '"0s"', "out of range"),
    Case("http issuer", B, "https://tokens", "http://tokens", '"http://', "is not an https URL"),
    Case("share without sampling", B, 'verify = "sampled"', 'verify = "off"', "0.05", "has no meaning"),
    Case("sampling without share", B, "verify_share = 0.05", "", '"sampled"', "needs a share", "verify_share"),
    Case("bad share", B, "0.05", "5", "5\n", "not a number from 0 to 1"),
    Case("too many approvals", B, "[tiers.low]", "[approvals]\nrequired = 1\n[tiers.low]", "1\n[tiers.low]",
         "1 approval is required and 0 approvers are named"),
    Case("bad ssh key", B, "[tiers.low]", '[[approvers]]\nname = "a"\nkeys = ["ssh-ed25519 AAAA"]\n[tiers.low]',
         '"ssh-ed25519 AAAA"', "not an OpenSSH public key"),
    Case("exceptions without a number of approvals", B, 'max_ttl = "1h"', 'max_ttl = "1h"\nexception_max = "7d"', '"7d"',
         "needs to say how many must approve", "exception_approvals"),
    Case("exceptions approved by nobody", B, 'max_ttl = "1h"', 'max_ttl = "1h"\nexception_max = "7d"\nexception_approvals = 0',
         "0\n", "not a whole number from 1 to 16"),
    Case("exceptions with too few approvers", B, 'max_ttl = "1h"', 'max_ttl = "1h"\nexception_max = "7d"\nexception_approvals = 1',
         "1\n\n", "1 approval is needed and 0 approvers say which", "`[[approvers]]`"),
    Case("approvals of no exceptions", B, 'max_ttl = "1h"', 'max_ttl = "1h"\nexception_approvals = 1', "1\n\n",
         "no meaning where there may be no exception", "exception_max"),
    # sources
    Case("unknown source key", S, "max_age", "maxage", "maxage", "unknown key `maxage`", "`max_age`"),
    Case("unknown type", S, '"set<string>"', '"set<strings>"', '"set<strings>"', "unknown type", "`set<string>`"),
    Case("reserved fact", S, 'score = "long"', 'like = "long"', "like = ", "is not a fact name"),
    Case("about nothing", S, 'about = ["User"]', 'about = ["Person"]', '"Person"', "unknown value `Person`"),
    Case("groups of a session", S, 'about = ["User"]\nmax_age = "24h"', 'about = ["session"]\nmax_age = "24h"',
         '"session"', "`session` is none"),
    Case("sql without query", S, 'kind = "store"   ', 'kind = "sql"   ', "[sources.directory]", "needs a `query`"),
    Case("sql without connection", S, 'kind = "store"   ', 'kind = "sql"   ', "[sources.directory]", "needs a `connection`"),
    Case("connection of a store", S, "groups = true", 'connection = "x"', "connection", "has no meaning for kind `store`"),
    Case("token about world", S, "", '\n[sources.t]\nkind = "token"\nabout = ["world"]\n[sources.t.facts]\na = "long"\n',
         '["world"]', "about the token's principal"),
    Case("fact of two sources", S, "", '\n[sources.b]\nkind = "store"\nabout = ["User"]\n[sources.b.facts]\nscore = "long"\n',
         'score = "long"\n' + "$2", "also provided by source `risk`"),
    Case("fact of two types", S, "", '\n[sources.b]\nkind = "store"\nabout = ["Agent"]\n[sources.b.facts]\nscore = "bool"\n',
         '"bool"', "is `bool` here, `long` in `risk`"),
    Case("fact that is built in", S, "", '\n[sources.b]\nkind = "store"\nabout = ["client"]\n[sources.b.facts]\nkind = "string"\n',
         'kind = "string"', "is built in"),
    Case("source that says nothing", S, "", '\n[sources.b]\nkind = "store"\nabout = ["User"]\n', "[sources.b]", "says nothing"),
    Case("source called request", S, "", '\n[sources.request]\nkind = "store"\nabout = ["User"]\ngroups = true\n',
         "[sources.request]", "cannot be called `request`"),
    # claims
    Case("claim without a source", C, 'source = "directory"', "", "[claims.department]", "`source` is missing"),
    Case("claim of an unknown source", C, '"directory"', '"directori"', '"directori"', "unknown source `directori`", "`directory`"),
    Case("claim of another source", C, 'source = "directory"', 'source = "risk"', '"subject.department"',
         "comes from `directory`, not from source `risk`", "directory"),
    Case("claim of an unknown fact", C, "subject.department", "subject.departement", '"subject.departement"',
         "no source provides `subject.departement`", "`subject.department`"),
    Case("claim of another type", C, 'type = "string"\nsource = "directory"', 'type = "long"\nsource = "directory"',
         '"subject.department"', "is `string`, the claim is `long`"),
    Case("claim from two places", C, 'from = "subject.department"', 'from = "subject.department"\nderive = "1"',
         "[claims.department]", "both `from` and `derive`"),
    Case("claim from nowhere", C, 'from = "subject.department"', "", "[claims.department]", "neither `from` nor `derive`"),
    Case("CEL that does not parse", C, "scopes.exists(", "scopes exists(", "'scopes exists", "unknown function `exists`"),
    Case("CEL that is unfinished", C, '":write"))', '":write")', "'scopes", "not CEL"),
    Case("CEL over an unknown fact", C, "scopes.exists(s, s.endsWith(\":write\"))", "subject.scor > 1", "'subject.scor > 1'",
         "no source provides `subject.scor`", "`subject.score`"),
    Case("CEL over another source", C, "scopes.exists(s, s.endsWith(\":write\"))", "subject.score > 1", '"request"\nderive',
         "comes from `risk`, not from source `request`"),
    Case("CEL of the wrong type", C, "scopes.exists(s, s.endsWith(\":write\"))", "scopes.size()", "'scopes.size()'",
         "the types do not fit"),
    Case("CEL with an unknown function", C, "scopes.exists(", "scopes.exits(", "'scopes.exits(", "unknown function `exits`", "`exists`"),
    # audiences
    Case("unknown tier", A, 'tier = "low"', 'tier = "lov"', '"lov"', "unknown tier `lov`", "`low`"),
    Case("unknown carried scope", A, 'carries = ["orders:read"]', 'carries = ["orders:reed"]', '"orders:reed"', "unknown scope", "`orders:read`"),
    Case("unknown claim of an audience", A, 'tenant = "*"', 'tennant = "*"', "tennant", "unknown claim `tennant`", "`tenant`"),
    Case("claim for an unknown scope", A, 'department = ["orders:write"]', 'department = ["orders:rite"]', '"orders:rite"',
         "has no scope `orders:rite`", "`orders:write`"),
    Case("unknown environment", A, '["production"]', '["prod"]', '"prod"', "unknown environment `prod`", "`production`"),
    Case("default beyond the cap", A, 'default_ttl = "5m"', 'default_ttl = "2h"', '"2h"', "longer than `max_ttl`"),
    Case("observing without a mapping", A, 'disclose', 'mode = "observe"\ndisclose', '"observe"', "nothing would be issued", "[legacy]"),
    Case("a mapping to an unknown scope", A, "[claims]", '[legacy]\nstaff = ["orders:reed"]\n[claims]', '"orders:reed"', "no scope `orders:reed`"),
    Case("a mapping of an unknown client", A, "[claims]", '[legacy_clients]\nnobody = ["orders:read"]\n[claims]', "nobody", "unknown client `nobody`"),
    Case("a mapping of roles by no list", A, "[claims]", '[legacy_roles."subject.department"]\nx = ["orders:read"]\n[claims]',
         '"subject.department"]', "lists names", "`subject.tenants`"),
    Case("canary of nobody said", A, 'disclose', 'mode = "canary"\ndisclose', '"canary"', "does not say for whom"),
    Case("canary of more than all", A, "[claims]", "[canary]\nshare = 1.5\n[claims]", "1.5", "not a number from 0 to 1"),
    Case("canary of no number", A, "[claims]", "[canary]\nshare = nan\n[claims]", "nan", "not a number from 0 to 1"),
    Case("canary of an unknown client", A, "[claims]", '[canary]\nclients = ["nobody"]\n[claims]', '"nobody"', "unknown client `nobody`"),
    Case("a downgrade without a limit", A, "[claims]", '[downgrade]\nreason = "r"\n[claims]', "[downgrade]", "`until` is missing"),
    Case("a downgrade without a reason", A, "[claims]", '[downgrade]\nuntil = 2026-01-01T00:00:00Z\n[claims]', "[downgrade]", "`reason` is missing"),
    Case("a downgrade while enforcing", A, "[claims]", '[downgrade]\nreason = "r"\nuntil = 2026-01-01T00:00:00Z\n[claims]', "[downgrade]", "no meaning"),
    Case("an explanation of everything", A, "[claims]", '[[readiness.explained]]\nreason = "r"\nuntil = 2026-01-01T00:00:00Z\n[claims]',
         "[[readiness.explained]]", "explains nothing"),
    Case("a rule of an unknown mode", R, '@owner("', '@mode("canary") @owner("', "@mode", "unknown value `canary`"),
    Case("a rule observed until whenever", R, '@owner("', '@mode("observe") @observe_until("soon") @owner("', "@observe_until", "neither a day nor a time"),
    Case("a rule that ends observing unobserved", R, '@owner("', '@observe_until("2026-01-01") @owner("', "@observe_until", "not observed"),
    Case("tenancy over no list", A, "subject.tenants", "subject.department", '"subject.department"', "lists names", "`subject.tenants`"),
    Case("bad identifier", A, '"https://api.example.com/orders"', '"orders"', '"orders"  ', "not an absolute URI"),
    Case("a status list of what is no access token", A, 'disclose', 'kind = "transaction"\nstatus_list = true\ndisclose', 'true',
         "status lists are for access tokens"),
    Case("introspection of an unknown claim", A, "[claims]", '[introspection]\nclaims = ["sub", "departement"]\n[claims]', '"departement"',
         "none of the claims that introspection can leave out", "`department`"),
    Case("introspection without a limit", A, "[claims]", '[introspection]\nclaims = ["scope"]\n[claims]', '"scope"',
         "none of the claims that introspection can leave out"),
    Case("introspection by an unknown key", A, "[claims]", '[introspection]\nfrech = true\n[claims]', "frech", "unknown key `frech`", "`fresh`"),
    Case("unknown binding", A, 'disclose', 'binding = "tls"\ndisclose', '"tls"', "unknown value `tls`"),
    Case("scope no rule can grant", A, "", '\n[scopes."orders:void"]\nmeaning = "Void an order."\ntier = "high"\n',
         '[scopes."orders:void"]', "no rule can grant scope `orders:void`", "add a permit"),
    # clients
    Case("unknown audience in ceilings", WEB, "orders = [", "order = [", "order = [", "unknown audience `order`", "`orders`"),
    Case("unknown scope in ceilings", WEB, '"orders:write"]', '"orders:wride"]', '"orders:wride"', "has no scope", "`orders:write`"),
    Case("the issuer as an API", A, "https://api.example.com/orders", "https://tokens.example.com", '"https://tokens.example.com"',
         "the issuer is no API"),
    Case("unknown served audience", WEB, "[client.ceilings]", 'serves = ["ordres"]\n[client.ceilings]', '"ordres"',
         "unknown audience `ordres`", "`orders`"),
    Case("a client for nothing", JOB, 'grants = ["client_credentials"]', "grants = []", "[]", "without a grant gets nothing", "`serves`"),
    Case("anybody as the resource server", WEB, 'authentication = ["client_secret_basic"]', 'authentication = ["none"]\nserves = ["orders"]', "serves",
         "a public client cannot be a resource server"),
    Case("origins of a client with a secret", WEB, "[client.ceilings]", 'origins = ["https://shop.example"]\n[client.ceilings]', "origins",
         "no meaning but for a public client"),
    Case("unknown authentication", WEB, "client_secret_basic", "client_secret_jwt", '"client_secret_jwt"', "unknown value"),
    Case("key method without key", WEB, "client_secret_basic", "private_key_jwt", '["private_key_jwt"]', "needs a key"),
    Case("key without key method", WEB, "", f"\n[[client.keys]]\n{JWK}", "[[client.keys]]", "no meaning without `private_key_jwt`"),
    Case("certificate method without a name", WEB, "client_secret_basic", "tls_client_auth", '["tls_client_auth"]', "needs the name"),
    Case("a name without the certificate method", WEB, "grants =", 'tls_client_auth_san_dns = "a.example"\ngrants =', "tls_client_auth_san_dns",
         "no meaning without `tls_client_auth`"),
    Case("two names for one certificate", WEB, '["client_secret_basic"]',
         '["tls_client_auth"]\ntls_client_auth_san_dns = "a.example"\ntls_client_auth_san_ip = "10.0.0.1"', "tls_client_auth_san_ip",
         "`tls_client_auth_san_ip` beside `tls_client_auth_san_dns`"),
    Case("no distinguished name", WEB, '["client_secret_basic"]', '["tls_client_auth"]\ntls_client_auth_subject_dn = "CN=a, O=b"', '"CN=a, O=b"',
         "not a distinguished name"),
    Case("a wildcard for a name", WEB, '["client_secret_basic"]', '["tls_client_auth"]\ntls_client_auth_san_dns = "*.example"', '"*.example"',
         "not a DNS name"),
    Case("a network for an address", WEB, '["client_secret_basic"]', '["tls_client_auth"]\ntls_client_auth_san_ip = "10.0.0.0/8"', '"10.0.0.0/8"',
         "not an IP address"),
    Case("own certificates without a key", WEB, "client_secret_basic", "self_signed_tls_client_auth", '["self_signed_tls_client_auth"]',
         "`self_signed_tls_client_auth` needs a key"),
    Case("a workload that is not said", WEB, "client_secret_basic", "spiffe_jwt", '["spiffe_jwt"]', "needs the workload"),
    Case("a workload without its method", WEB, "grants =", 'spiffe_id = "spiffe://a.example/w"\ngrants =', "spiffe_id", "no meaning without `spiffe_jwt`"),
    Case("a workload of an unknown trust domain", WEB, '["client_secret_basic"]', '["spiffe_x509"]\nspiffe_id = "spiffe://a.example/w"',
         '"spiffe://a.example/w"', "unknown trust domain `spiffe://a.example`"),
    Case("a trust domain for a workload", WEB, '["client_secret_basic"]', '["spiffe_jwt"]\nspiffe_id = "spiffe://a.example"', '"spiffe://a.example"',
         "is a trust domain"),
    Case("a star inside a workload", WEB, '["client_secret_basic"]', '["spiffe_jwt"]\nspiffe_id = "spiffe://a.example/w*"', '"spiffe://a.example/w*"',
         "is not a SPIFFE ID"),
    Case("attestation without an attester", WEB, "client_secret_basic", "attest_jwt_client_auth", '["attest_jwt_client_auth"]', "needs the keys of those"),
    Case("challenges without attestation", WEB, "grants =", "attestation_challenge = true\ngrants =", "attestation_challenge", "not attested"),
    Case("an attestation's age without attestation", WEB, "grants =", 'attestation_max_age = "1h"\ngrants =', "attestation_max_age", "not attested"),
    Case("an attester without attestation", WEB, "", f"\n[[client.attester_keys]]\n{JWK}", "[[client.attester_keys]]", "no meaning without `attest_jwt_client_auth`"),
    Case("nobody and somebody", WEB, '["client_secret_basic"]', '["none", "client_secret_basic"]', '["none"', "lets anyone in"),
    Case("public client for itself", JOB, '["client_secret_basic"]', '["none"]', '["client_credentials"]', "public client"),
    Case("bad network", WEB, "[client.ceilings]", 'addresses = ["10.20.0.1/16"]\n[client.ceilings]', '"10.20.0.1/16"', "has host bits set"),
    Case("no network", WEB, "[client.ceilings]", 'addresses = ["ten"]\n[client.ceilings]', '"ten"', "is not a network"),
    Case("the same twice", WEB, '["orders:read", "orders:write"]', '["orders:read", "orders:read"]', '"orders:read"]', "stands twice"),
    # issuers
    Case("condition on nothing", LOGIN, "claims.email_verified == true", "1 == 1", '"1 == 1"', "does not read `claims`"),
    Case("condition with a typo", LOGIN, "claims.email", "claim.email", '"claim.email', "unknown name `claim`", "`claims`"),
    Case("fact no token source says", LOGIN, 'acr = "acr"', 'acr = "acr"\n[issuer.facts]\nscore = "s"', 'score = "s"',
         "no source of kind `token`"),
    Case("keys from nowhere", LOGIN, 'keys = "discovery"', 'keys = "jwks_uri"', "[issuer]", "needs `jwks_uri`"),
    Case("an endpoint's name without an endpoint", LOGIN, 'keys = "discovery"', 'keys = "discovery"\nendpoint_spiffe_id = "spiffe://a.example/w"',
         "endpoint_spiffe_id", "no meaning with"),
    Case("authorities that vouch for nobody", LOGIN, 'keys = "discovery"', f'{BUNDLE}endpoint_authorities = ["{AUTHORITY}"]',
         "endpoint_authorities", "without `endpoint_spiffe_id`"),
    Case("an authority that is none", LOGIN, 'keys = "discovery"', f'{ENDPOINT}endpoint_authorities = ["AAAA"]', '"AAAA"', "not the certificate of an authority"),
    Case("a leaf for an authority", LOGIN, 'keys = "discovery"', f'{ENDPOINT}endpoint_authorities = ["{LEAF}"]', f'"{LEAF}"',
         "not the certificate of an authority"),
    Case("an endpoint that is a trust domain", LOGIN, 'keys = "discovery"', f'{BUNDLE}endpoint_spiffe_id = "spiffe://a.example"', '"spiffe://a.example"',
         "a workload's SPIFFE ID"),
    Case("an endpoint of an unknown trust domain", LOGIN, 'keys = "discovery"', ENDPOINT, '"spiffe://a.example/w"', "unknown trust domain"),
    Case("unknown profile", LOGIN, '"oidc"', '"okta"', '"okta"', "unknown value `okta` for `profile`"),
    Case("trust in ourselves", LOGIN, "https://login.example.com", "https://tokens.example.com", '"https://tokens.example.com"',
         "our own issuer"),
    # rules
    Case("fact that no source provides", R, "principal.department", "principal.departmnt", "departmnt",
         "no source provides the fact `departmnt` of a `User`", "`department`"),
    Case("namespace that no source provides", R, "context.request.time.toTime() >=", "context.session.start.toTime() >=",
         "session", "no source provides `context.session`"),
    Case("request fact with a typo", R, "context.request.time.toTime() >=", "context.request.tim.toTime() >=", "tim.toTime",
         "no source provides `context.request.tim`", "`time`"),
    Case("optional fact without has", R, "principal has score && ", "", "score >=", "may be absent", "has score"),
    Case("fact of another kind of principal", R, "principal is User,\n  action == Action::\"issue\",\n  resource == Scope::\"orders:read\"",
         "principal,\n  action == Action::\"issue\",\n  resource == Scope::\"orders:read\"", "department", "of a `Workload`", "principal is User"),
    Case("permit with an empty head", R, '  resource == Scope::"orders:read"\n)\nwhen { principal in', "  resource\n)\nwhen { principal in",
         '@id("orders-read-staff")', "head names neither a scope nor an audience", "Scope::"),
    Case("unknown scope in a head", R, 'Scope::"orders:write"', 'Scope::"orders:wrote"', '"orders:wrote"',
         "no scope `orders:wrote`", "`orders:write`"),
    Case("unknown audience in a head", R, 'Audience::"orders"', 'Audience::"order"', '"order"', "no audience `order`", "`orders`"),
    Case("unknown scope in a condition", R, 'resource.tier == "high"', 'resource == Scope::"orders:al"', 'Scope::"orders:al"', "unknown scope"),
    Case("tier that does not exist", R, '"high" };', '"hihg" };', '"hihg"', "can never be `hihg`", "`high`"),
    Case("duplicate id", R, '@id("orders-write-desk")', '@id("orders-read-staff")', '@id("orders-read-staff")\n$2', "is taken"),
    Case("no id", R, '@id("orders-write-desk")\n', "", '@owner("Shop Platform")\n@reason("the order desk', "no `@id`"),
    Case("no owner", R, '@owner("Data Platform")\n', "", '@id("orders-export-night")', "`@owner` is missing"),
    Case("no reason", R, '@reason("the export reads orders between one and four at night, UTC")\n', "", '@id("orders-export-night")',
         "`@reason` is missing"),
    Case("unknown annotation", R, "@require_amr", "@require_arm", "@require_arm", "unknown annotation `@require_arm`", "`require_amr`"),
    Case("bad obligation", R, '@max_ttl("5m")', '@max_ttl("5 min")', "@max_ttl", "not a duration"),
    Case("bad binding", R, '@require_amr("mfa")', '@require_binding("tls")', "@require_binding", "unknown binding `tls`"),
    Case("unknown purpose", R, '@require_amr("mfa")', '@require_purpose("fun")', "@require_purpose", "unknown purpose `fun`"),
    Case("approval without a source", R, '@require_amr("mfa")', '@require_approval("manager")', "@require_approval", "`approvals`"),
    Case("obligation on a forbid", R, '@id("no-writing-at-risk")', '@max_ttl("1m")\n@id("no-writing-at-risk")', "@max_ttl(\"1m\")", "on a forbid"),
    Case("template", R, 'principal == Workload::"order-export"', "principal == ?principal", '@id("orders-export-night")', "template"),
    Case("syntax", R, "when { principal in Group", "when { principal at Group", "at Group", "unexpected token"),
    Case("another operator", R, "when { principal in Group", "when { not principal in Group", "not principal", "`not` joins no conditions", "`!`"),
    Case("a text for a group", R, 'principal in Group::"order-desk" || principal.department', 'principal in "order-desk" || principal.department',
         "when { principal in \"order-desk\" || principal.department", "a text stands where an entity is needed", '`Group::"..."`'),
    Case("a number for a text", R, 'principal.department == "support"', "principal.department == 5",
         'when { principal in Group::"order-desk" || principal.department == 5', "a number is compared with a text", "in quotes"),
    Case("groups as a fact", R, 'principal.department == "support"', 'principal.groups.contains("support")', "groups.contains",
         "a `User` has no fact `groups`", '`principal in Group::"..."`'),
    Case("unknown action", R, 'Action::"act"', 'Action::"acts"', '"acts"', "unknown action `acts`", "`act`"),
    Case("unknown entity type", R, "principal is User,\n  action == Action::\"issue\",\n  resource\n", "principal is Usr,\n  action == Action::\"issue\",\n  resource\n",
         "Usr", "unknown entity type `Usr`", "`User`"),
    # scenarios
    Case("scenario of an unknown client", T, 'client = "order-export"', 'client = "order-exprot"', '"order-exprot"', "unknown client", "`order-export`"),
    Case("scenario of an unknown scope", T, 'granted = ["orders:read"]', 'granted = ["orders:rea"]', '["orders:rea"]', "unknown scope", "`orders:read`"),
    Case("scenario with an unknown reason", T, '"no_route"', '"no_rout"', '"no_rout"', "unknown value `no_rout`", "`no_route`"),
    Case("scenario with an unknown fact", T, "score = 91", "scor = 91", "scor = 91", "provides no fact `scor`", "`score`"),
    Case("scenario with an unknown source", T, '"User:ada".risk]', '"User:ada".rsk]', '[scenario.given.facts."User:ada".rsk]', "no source `rsk`", "`risk`"),
    Case("scenario with a bad time", T, '"2026-11-24T02:30:00Z"', '"half past two"', '"half past two"', "not a time"),
    Case("scenario with a bad subject", T, "'User::\"ada\"'", '"ada"', '"ada"\nactors', "not a principal"),
    Case("duplicate scenario", T, 'id = "export-by-day"', 'id = "export-at-night"', '"export-at-night"\nwhy = "outside', "declared twice"),
    Case("scenario without an id", T, 'id = "export-by-day"', "", "[[scenario]]$2", "`id` is missing"),
    Case("scenario that expects nothing", T, 'granted = []\nrefused = { "orders:read" = "no_route" }', "", "[scenario.expect]$2",
         "expects nothing"),
    Case("refusal without a reason", T, 'granted = []\nrefused = { "orders:read" = "no_route" }', "granted = []", "[scenario.expect]$2",
         "a refusal is expected and no reason"),
    Case("no tier", B, '[tiers.low]\ndescription = "Reads that harm nobody if they leak for an hour."\nmax_ttl = "1h"\n\n[tiers.high]\n'
         'description = "Changes to money or to people\'s data."\nmax_ttl = "5m"\nverify = "sampled"                          '
         "# Cedar re-decides a share of these behind the answer\nverify_share = 0.05\n", "[tiers]\n", "[tiers]", "there is no tier"),
    Case("key of no encoding", B, "[tiers.low]", '[[approvers]]\nname = "a"\nkeys = ["ssh-ed25519 A"]\n[tiers.low]',
         '"ssh-ed25519 A"', "not an OpenSSH public key"),
    Case("key of no kind", B, "[tiers.low]", '[[approvers]]\nname = "a"\nkeys = ["ssh-dss AAAA"]\n[tiers.low]',
         '"ssh-dss AAAA"', "not an OpenSSH public key"),
    Case("fact of no type", S, 'department = "string"', "department = 3", "3\n", "neither a type nor a table"),
    Case("query without keys", S, "", '\n[sources.q]\nkind = "sql"\nabout = ["Agent"]\nconnection = "c"\nquery = "select 1"\n'
         '[sources.q.facts]\na = "long"\n', '"select 1"', "does not take `:keys`"),
    Case("query of a store", S, "groups = true", 'query = "select 1"', "query", "`query` has no meaning"),
    Case("tenant confined twice", A, "[scopes.", '[[tenancy]]\nparameter = "tenant"\nmember_of = "subject.tenants"\n[scopes.',
         '"tenant"\nmember_of = "subject.tenants"\n[scopes', "confined twice"),
    Case("audience without an id", A, 'id = "orders"\n', "", "[audience]", "`id` is missing"),
    Case("client without an id", JOB, 'id = "order-export"\n', "", "[client]", "`id` is missing"),
    Case("issuer without an id", LOGIN, 'id = "login"\n', "", "[issuer]", "`id` is missing"),
    Case("issuer without iss", LOGIN, 'issuer = "https://login.example.com"\n', "", "[issuer]", "`issuer` is missing"),
    Case("keys that are not asked for", LOGIN, 'keys = "discovery"', 'jwks_uri = "https://x.example.com/"', "jwks_uri", "no meaning"),
    Case("condition that is unfinished", LOGIN, "== true", "==", '"claims.email_verified =="', "not CEL"),
    # TOML itself
    Case("broken TOML", B, '[owner] ', '[owner ', "", "is not TOML"),
    Case("duplicate key", B, 'name = "starter"', 'name = "starter"\nname = "other"', "", "cannot overwrite"),
)  # fmt: skip


def _position(text: str, at: str) -> tuple[int, int]:
    """Of the first place where `at` stands (`$2` after it: the second)."""
    wanted, second, _ = at.partition("$2")
    offset = text.index(wanted)
    if second:
        offset = text.index(wanted.rstrip("\n") if wanted not in text[offset + 1 :] else wanted, offset + 1)
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def test_a_bundle_endpoint_is_first_known_by_something(refused):
    changes = [(LOGIN, "https://login.example.com", "spiffe://a.example"), (LOGIN, 'keys = "discovery"', ENDPOINT)]
    assert any("first known by" in problem.message for problem in refused(*changes))
    told = (LOGIN, 'keys = "discovery"', f'{ENDPOINT}endpoint_authorities = ["{AUTHORITY}"]')
    assert not any("endpoint" in problem.message for problem in refused(changes[0], told, (JOB, "[client]", "[clent]")))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_mistake_is_named(case: Case, changed, refused):
    problems = refused((case.file, case.old, case.new))
    matching = [problem for problem in problems if problem.file == case.file and case.message in problem.message]
    assert matching, [str(problem) for problem in problems]
    text = changed((case.file, case.old, case.new))[case.file]
    if case.at:
        line, column = _position(text, case.at)
        # A table is pointed at by its name inside the header.
        columns = (column, column + 1, column + case.at.rfind(".") + 1) if case.at.startswith("[") else (column,)
        assert any(p.line == line and p.column in columns for p in matching), [str(p) for p in matching]
    else:
        assert matching[0].line > 0
    assert any(case.remedy in problem.remedy for problem in matching), [p.remedy for p in matching]
    assert all(problem.remedy for problem in matching)


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER"


def test_an_approvers_key_is_theirs_alone(loaded, refused):
    one = f'[[approvers]]\nname = "a"\nkeys = ["{KEY} a@host"]\n'
    approvals = loaded((B, "[tiers.low]", f"[approvals]\nrequired = 0\n{one}[tiers.low]")).approvals
    assert (approvals.required, approvals.approvers[0].keys) == (0, (KEY,))
    problems = refused(
        (B, "[tiers.low]", f"{one}{one.replace(chr(34) + 'a' + chr(34), chr(34) + 'b' + chr(34))}[tiers.low]")
    )
    assert [problem.message for problem in problems] == ["a key of `b` stands twice"]
    problems = refused((B, "[tiers.low]", f"{one}{one}[tiers.low]"))
    assert "approver `a` is declared twice" in {problem.message for problem in problems}


@pytest.mark.parametrize(
    ("required", "allowed", "expected"),
    [
        (1, 0, "1 approval is required and the one approver is the author"),
        (2, 0, "2 approvals are required and 1 approver is named"),
        (0, 2, "2 approvals are needed and 1 approver says which `user` they are"),
    ],
)
def test_one_and_several_are_told_as_such(refused, required, allowed, expected):
    one = f'[approvals]\nrequired = {required}\n[[approvers]]\nname = "a"\nuser = "ann"\nkeys = ["{KEY}"]\n[tiers.low]'
    exceptions = (
        f'max_ttl = "1h"\nexception_max = "7d"\nexception_approvals = {allowed}' if allowed else 'max_ttl = "1h"'
    )
    problems = refused((B, "[tiers.low]", one), (B, 'max_ttl = "1h"', exceptions))
    assert expected in {problem.message for problem in problems}


def test_too_many_scenarios_are_refused(refused):
    many = "[[scenario]]\n" * 4_000  # nothing in them: the count alone is too much
    problems = refused(*((f"tests/{name}.toml", "", many) for name in "abc"))
    assert any("more than 10000 scenarios" in problem.message for problem in problems)


def test_a_namespace_is_suggested_when_there_is_one(refused):
    source = '\n[sources.s]\nkind = "store"\nabout = ["session"]\n[sources.s.facts]\nrisk = "long"\n'
    rule = (
        R,
        "context.request.time.toTime() >= duration",
        "context.sesion.risk > 1 && context.request.time.toTime() >= duration",
    )
    assert [problem.remedy for problem in refused((S, "", source), rule)] == ["did you mean `session`?"]


def test_all_mistakes_are_named_at_once(refused):
    problems = refused(
        (B, "max_actors", "max_actorz"),
        (S, '"set<string>"', '"set<strings>"'),
        (C, "subject.department", "subject.departement"),
        (A, 'tier = "low"', 'tier = "lov"'),
        (R, '@owner("Data Platform")\n', ""),
        (T, '"no_route"', '"no_rout"'),
    )
    assert {problem.file for problem in problems} == {B, S, C, A, R, T}


def test_problems_come_in_order_of_file_and_line(refused):
    problems = refused(
        (B, "max_actors", "max_actorz"),
        (A, 'tier = "low"', 'tier = "lov"'),
        (
            A,
            "[scopes.",
            "[scope.",
        ),
    )
    assert list(problems) == sorted(problems)


def test_a_flood_of_mistakes_is_cut_short(refused):
    flood = "".join(f"unknown_{number} = 1\n" for number in range(1000))
    problems = refused((B, "[bundle]\n", f"[bundle]\n{flood}"))
    assert len(problems) <= 201
    assert any("more problems are not shown" in problem.message for problem in problems)


def test_a_refusal_says_the_first_problem_and_how_many_more():
    error = BundleRefused([Problem("b.toml", 2, 1, "second", ""), Problem("a.toml", 1, 1, "first", "mend it")])
    assert error.public == "a.toml:1:1: first (and 1 more)"
    assert error.hint == "mend it"


def test_a_problem_without_a_line_names_its_file():
    assert str(Problem("a.toml", 0, 0, "is missing", "")) == "a.toml: is missing"
    assert str(Problem("", 0, 0, "is empty", "")) == "bundle: is empty"


def test_a_remedy_lists_what_is_known_when_nothing_is_near():
    assert did_you_mean("zzz", ["one", "two"]) == "known are `one`, `two`"
    assert did_you_mean("zzz", ["one"], "declare it") == "known are `one`; or declare it"
    assert did_you_mean("zzz", [str(number) * 9 for number in range(1, 100)]) == ""


def test_quoted_text_is_short_and_printable():
    assert quote("a\nb\x1b") == "`a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}`"
    assert len(quote("x" * 1000)) < 100


def test_a_place_beyond_the_text_is_reported_at_its_nearest_table():
    problems = Problems()
    problems.know("a.toml", "[one]\ntwo = 1\n")
    problems.add(Place("a.toml", ("one", "three", 4)), "wrong")
    assert problems.all()[0].line == 1
