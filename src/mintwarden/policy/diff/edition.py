"""One side of a comparison: a bundle, and the files that its parts stand in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from mintwarden.policy.bundle.audiences import read_audiences
from mintwarden.policy.bundle.clients import read_clients
from mintwarden.policy.bundle.draft import Draft
from mintwarden.policy.bundle.issuers import read_issuers
from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.bundle.model import Bundle
from mintwarden.policy.bundle.problem import Problems
from mintwarden.policy.bundle.providers import read_providers
from mintwarden.policy.bundle.toml import parse_toml
from mintwarden.policy.bundle.transmitters import read_transmitters


class Edition(Struct, frozen=True):
    """A bundle and, by kind and id, the file that declares a part of it; rules, scenarios, assertions know theirs."""

    bundle: Bundle
    files: Mapping[tuple[str, str], str]


def edition_of(texts: Mapping[str, str], problems: Problems | None = None) -> Edition:
    """The bundle in `texts` (path to text), checked like any other. Raises `BundleRefused`."""
    bundle = build_bundle(texts, problems)
    documents: dict[str, Mapping[str, Any]] = {}
    for file, text in texts.items():
        document = parse_toml(file, text, Problems()) if file.endswith(".toml") else None
        if document is not None:
            documents[file] = document
    draft = Draft(Problems(), documents)
    audiences = read_audiences(draft)
    names: dict[str, Mapping[str, Any]] = {
        "audience": audiences,
        "client": read_clients(draft, audiences),
        "issuer": read_issuers(draft),
        "provider": read_providers(draft),
        "transmitter": read_transmitters(draft),
        "scope": bundle.catalogue.scopes,
    }
    files = {(kind, name): draft.place(kind, name).file for kind, known in names.items() for name in known}
    return Edition(bundle, files)
