"""The page that asks a person: what it says of clients that nobody here wrote down."""

from __future__ import annotations

from typing import Any

import pytest

from mintwarden.authn.sign_in import Demand, SignIn
from mintwarden.issue.authorization.preview import Preview
from mintwarden.issue.authorization.request import AuthorizationRequest, Destination
from mintwarden.issue.confines import Confines
from mintwarden.model.values import EntityUid
from mintwarden.web.pages.consent import Consenting, ConsentPage
from mintwarden.web.pages.render import Pages
from tests.unit.issue.catalogue import CATALOGUE, client

NOW = 1_795_000_000_000


def page(client_id: str, **changes: Any) -> str:
    asked = Consenting(
        handle="h",
        token="t",
        client=client(client_id, **changes),
        sign_in=SignIn(subject=EntityUid("User", "alice"), provider="corp", authenticated_at=NOW),
        before=Preview(catalogue=CATALOGUE, decided=(), scopes={"payments": ("pay:read",)}, identity=(), lifetime=300),
        catalogue=CATALOGUE,
        request=AuthorizationRequest(
            to=Destination(client_id=client_id, redirect_uri="https://app.example/back"),
            challenge="c" * 43,
            scopes={"payments": ("pay:read",)},
            identity=(),
            demand=Demand(),
            confines=Confines("", "production", "", "", "", None),
        ),
        origin="https://app.example",
        now=NOW,
    )
    return ConsentPage(Pages()).render(asked, "en").body.decode()


@pytest.mark.parametrize(
    ("client_id", "host"),
    [
        ("https://app.example/client.json", "app.example"),
        ("https://app.example:8443/client.json", "app.example"),
        ("https://xn--pple-43d.example/c", "xn--pple-43d.example"),
    ],
)
def test_a_client_that_describes_itself_is_named_by_its_host(client_id: str, host: str) -> None:
    """Whatever it calls itself: the host is what it proved (client ID metadata documents, section 8.4)."""
    assert f"It describes itself at <strong>{host}</strong>" in page(client_id)


def test_a_client_of_the_bundle_describes_itself_nowhere() -> None:
    assert "describes itself" not in page("web")
