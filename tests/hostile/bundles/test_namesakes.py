"""Two issuers must not be able to speak of one person: the one's `alice` would have all that the other's may."""

from __future__ import annotations

from pathlib import Path

import pytest

from mintwarden.policy.bundle.problem import BundleRefused
from tests.unit.policy.company import load_company


def issuer(name: str, more: str = "", *, principal: str = "User", profile: str = "oidc") -> str:
    return (
        f'[issuer]\nid = "{name}"\nissuer = "https://{name}.example"\nprofile = "{profile}"\n'
        f'audiences = ["https://tokens.example"]\nprincipal = "{principal}"\nkeys = "discovery"\n{more}\n'
    )


def load(root: Path, *issuers: str) -> None:
    load_company(root, files={f"issuers/{number}.toml": text for number, text in enumerate(issuers)})


@pytest.mark.parametrize(
    "issuers",
    [
        (issuer("login"), issuer("partner")),
        (issuer("login"), issuer("partner", 'subject_prefix = "partner:"')),  # `login` may have a `partner:alice`
        (issuer("a", 'subject_prefix = "p:"'), issuer("b", 'subject_prefix = "p:x"')),
        (
            issuer("a", principal="Workload", profile="kubernetes"),
            issuer("b", principal="Workload", profile="kubernetes"),
        ),
        (
            issuer("a", """conditions = ["claims.sub.startsWith('a:')"]"""),
            issuer("b", """conditions = ["claims.sub.startsWith('b:') || claims.admin == true"]"""),
        ),
        (issuer("a", 'subject_prefix = "a:"'), issuer("b", """conditions = ["claims.name.startsWith('b:')"]""")),
    ],
)
def test_names_that_could_meet_are_refused(tmp_path: Path, issuers: tuple[str, ...]) -> None:
    with pytest.raises(BundleRefused, match="could both call somebody"):
        load(tmp_path, *issuers)


@pytest.mark.parametrize(
    "issuers",
    [
        (issuer("login"), issuer("agents", principal="Agent")),
        (issuer("login", 'subject_prefix = "staff:"'), issuer("partner", 'subject_prefix = "partner:"')),
        (
            issuer("clusters", principal="Workload", profile="kubernetes"),
            issuer("build", """conditions = ["claims.sub.startsWith('repo:x/')"]""", principal="Workload"),
        ),
        (
            issuer("east", 'subject_prefix = "east/"', principal="Workload", profile="kubernetes"),
            issuer("west", 'subject_prefix = "west/"', principal="Workload", profile="kubernetes"),
        ),
    ],
)
def test_names_that_stay_apart_are_taken(tmp_path: Path, issuers: tuple[str, ...]) -> None:
    load(tmp_path, *issuers)
