"""Loads a bundle: every part read, held against every other part, compiled; or everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mintwarden.model.catalogue import Catalogue
from mintwarden.policy.bundle.assertions import read_assertions
from mintwarden.policy.bundle.audiences import read_audiences
from mintwarden.policy.bundle.claims import read_claims
from mintwarden.policy.bundle.clients import read_clients, read_documents, read_open, read_registration
from mintwarden.policy.bundle.digest import bundle_digest
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.fed import bind_feeds
from mintwarden.policy.bundle.head import Head, read_head
from mintwarden.policy.bundle.issuers import read_issuers
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.providers import read_providers
from mintwarden.policy.bundle.read import check_texts, read_bundle
from mintwarden.policy.bundle.references import check_references
from mintwarden.policy.bundle.rules import read_rules
from mintwarden.policy.bundle.scenarios import read_scenarios
from mintwarden.policy.bundle.schema import cedar_schema
from mintwarden.policy.bundle.sources import read_sources
from mintwarden.policy.bundle.toml import parse_toml
from mintwarden.policy.bundle.transmitters import read_transmitters


def load_bundle(path: Path | str) -> Bundle:
    """The bundle in the folder `path`, checked and ready to decide with.

    Raises `BundleRefused` with every problem found. Scenarios are checked for their shape, not run:
    `review.check` does that.
    """
    problems = Problems()
    texts = read_bundle(Path(path), problems)
    return build_bundle(texts, problems)


def build_bundle(texts: Mapping[str, str], problems: Problems | None = None) -> Bundle:
    """`load_bundle` over texts by path, without any file; `problems` may hold findings of an earlier step."""
    problems = Problems() if problems is None else problems
    texts = check_texts(texts, problems)
    rules = {file: text for file, text in texts.items() if file.endswith(".cedar")}
    documents: dict[str, Mapping[str, Any]] = {}
    for file, text in sorted(texts.items()):
        if file not in rules:
            document = parse_toml(file, text, problems)
            if document is not None:
                documents[file] = document
    # Where a file cannot be read at all, everything that refers to it would be a finding too.
    is_whole = not len(problems)
    draft = Draft(problems, documents)
    head, catalogue = _catalogue(draft)
    if not is_whole:
        problems.refuse_if_any()
    derivations = check_references(draft, catalogue)
    schema = cedar_schema(catalogue.sources, details=bool(catalogue.details))
    compiled = read_rules(draft, catalogue, rules, schema)
    catalogue = bind_feeds(draft, catalogue, compiled.rules.values())
    scenarios = read_scenarios(draft, catalogue, texts)
    assertions = read_assertions(draft, catalogue, texts, schema)
    problems.refuse_if_any()
    return Bundle(
        digest=bundle_digest(documents, rules),
        catalogue=catalogue,
        rules=compiled,
        schema=schema,
        derivations=derivations,
        approvals=head.approvals,
        scenarios=scenarios,
        assertions=assertions,
    )


def _catalogue(draft: Draft) -> tuple[Head, Catalogue]:
    head = read_head(draft)
    sources = read_sources(draft)
    claims = read_claims(draft)
    audiences = read_audiences(draft)
    clients = read_clients(draft, audiences)
    issuers = read_issuers(draft)
    catalogue = Catalogue(
        name=head.name,
        issuer=head.issuer,
        owner=head.owner,
        owner_contact=head.owner_contact,
        environments=head.environments,
        tiers=head.tiers,
        purposes=head.purposes,
        audiences=audiences,
        scopes={name: scope for audience in audiences.values() for name, scope in audience.scopes.items()},
        claims=claims,
        sources=sources,
        clients=clients,
        issuers=issuers,
        max_actors=head.max_actors,
        downgrade_max=head.downgrade_max,
        registration=read_registration(head.registration, audiences),
        documents=read_documents(head.documents, audiences),
        open_registration=read_open(head.open_registration, audiences),
        providers=read_providers(draft),
        transmitters=read_transmitters(draft),
        sessions=head.sessions,
        passkeys=head.passkeys,
    )
    return head, catalogue
