"""The Cedar schema that follows from the catalogue: a rule that asks for anything else fails validation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mintwarden.model.catalogue import Source
from mintwarden.model.detail import DetailField, DetailType
from mintwarden.model.fact_type import Fact
from mintwarden.policy.bundle.facttypes import cedar_type
from mintwarden.policy.bundle.sources import BUILT_IN, PRINCIPALS

_REQUEST = """\
type Request = {
  time: datetime,
  grant: String,
  environment: String,
  method: String,
  purpose?: String,
  address?: ipaddr,
  tenant?: String,
  workspace?: String,
  project?: String,
  acr?: String,
  amr: Set<String>,
  auth_age?: Long,
  binding?: String,
};
"""

REQUEST_FACTS = (
    "time", "grant", "environment", "method", "purpose", "address", "tenant", "workspace", "project", "acr", "amr",
    "auth_age", "binding",
)  # fmt: skip
"""The members of `context.request`."""

_FIXED = """\
entity Group;
entity Audience { id: String };
entity Scope in [Audience] { name: String, audience: String, tier: String, rank: Long };
"""


_DETAIL = "entity Detail in [Audience] { name: String, audience: String, tier: String, rank: Long };\n"


def cedar_schema(sources: Mapping[str, Source], *, details: bool = False, of: DetailType | None = None) -> str:
    """The schema in Cedar's notation; the same for the same sources, whatever order they were declared in.

    With `details`, it is for rules about scopes and authorization details alike. With `of`, it is for rules that name
    this type of detail: they see its fields, `context.detail`, and nothing else is their resource.
    """
    parts = [_FIXED, _DETAIL] if details or of is not None else [_FIXED]
    parts += [f"entity {kind} in [Group] {_record(facts_about(sources, kind))};\n" for kind in PRINCIPALS]
    parts.append(_REQUEST)
    context = [
        "    request: Request,\n",
        f"    client: {_record(facts_about(sources, 'client'), [f'{name}: String' for name in BUILT_IN])},\n",
        "    chain: { depth: Long, actors: Set<String> },\n",
        "    subject: { type: String, id: String },\n",
    ]
    for namespace in ("session", "device", "world"):
        facts = facts_about(sources, namespace)
        if any(namespace in source.about for source in sources.values()):
            mark = "?" if may_be_absent(sources, namespace) else ""
            context.append(f"    {namespace}{mark}: {_record(facts)},\n")
    if of is not None:
        context.append(f"    detail: {_fields(of.fields)},\n")
    resources = "Detail" if of is not None else "Scope, Detail" if details else "Scope"
    parts.append(
        f"action issue, act, impersonate appliesTo {{\n  principal: [{', '.join(PRINCIPALS)}],\n"
        f"  resource: [{resources}],\n  context: {{\n{''.join(context)}  }},\n}};\n"
    )
    return "".join(parts)


def _fields(fields: Mapping[str, DetailField]) -> str:
    members = [
        f"{name}{'' if field.required else '?'}: "
        + (_fields(field.fields) if field.type.kind == "record" else cedar_type(field.type))
        for name, field in sorted(fields.items())
    ]
    return f"{{ {', '.join(members)} }}" if members else "{}"


def facts_about(sources: Mapping[str, Source], about: str) -> Mapping[str, tuple[Fact, Source]]:
    """Every fact about a principal type or namespace with its source, sorted by name."""
    found = {
        name: (fact, source)
        for source in sources.values()
        if about in source.about
        for name, fact in source.facts.items()
    }
    return dict(sorted(found.items()))


def is_optional(fact: Fact, source: Source) -> bool:
    """Whether a rule must ask with `has`: the fact may be absent without a refusal."""
    return fact.optional or "absent" in (source.missing, source.stale, source.failing)


def may_be_absent(sources: Mapping[str, Source], namespace: str) -> bool:
    """Whether a namespace may be absent altogether: none of its sources insists on being there."""
    speaking = [source for source in sources.values() if namespace in source.about]
    return all("absent" in (source.missing, source.stale, source.failing) for source in speaking)


def _record(facts: Mapping[str, tuple[Fact, Source]], first: Iterable[str] = ()) -> str:
    members = [*first]
    for name, (fact, source) in facts.items():
        members.append(f"{name}{'?' if is_optional(fact, source) else ''}: {cedar_type(fact.type)}")
    return f"{{ {', '.join(members)} }}" if members else "{}"
