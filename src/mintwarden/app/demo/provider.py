"""The company's sign-in as an OpenID provider on loopback: small, and real in all that Mintwarden looks at.

Whoever comes is signed in as the person whom `login_hint` names, or chooses from a list: it asks for no proof, and is
for demonstrations alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import secrets
import time
from collections.abc import Mapping, Sequence
from urllib.parse import quote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

from mintwarden.app.demo.pages import Answer, Asked, Page

CLIENT = "mintwarden"
"""Who the token service is here; the bundle's `client_id`."""
LIFE = 60
"""Of a code, in seconds."""


class Provider:
    """Authorization code with PKCE (OpenID Connect Core 1.0 section 3.1), for one client.

    Attributes:
        secret: what it shares with that client.
        redirect_uri: where that client's answers go, to be set before somebody comes.
    """

    def __init__(self, *, issuer: str, key: ECKey, people: Sequence[str]) -> None:
        self.issuer = issuer
        self.secret = secrets.token_urlsafe(32)
        self.redirect_uri = ""
        self._key = key
        self._people = tuple(people)
        self._codes: dict[str, tuple[Mapping[str, str], str, float]] = {}

    def pages(self) -> Mapping[str, Page]:
        """What it answers for, by path; its keys are published with those of the other issuers."""
        path = urlsplit(self.issuer).path
        return {
            f"{path}/.well-known/openid-configuration": lambda _asked: Answer.json(self.description()),
            f"{path}/authorize": self.authorize,
            f"{path}/token": self.token,
        }

    def description(self) -> Mapping[str, object]:
        """OpenID Connect Discovery 1.0 section 3."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks.json",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    def authorize(self, asked: Asked) -> Answer:
        """Back with a code for the person of `login_hint`, or a page to choose somebody."""
        query = asked.parameters
        if query.get("client_id") != CLIENT or query.get("redirect_uri") != self.redirect_uri:
            return Answer(status=400, type="text/plain", body=b"an unknown client or redirect URI")
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            return self._back(query, error="invalid_request")
        person = query.get("login_hint", "").partition("@")[0]
        if person not in self._people:
            return self._choice(query)
        code = secrets.token_urlsafe(24)
        self._codes[code] = (query, person, time.monotonic() + LIFE)
        return self._back(query, code=code)

    def token(self, asked: Asked) -> Answer:
        """An ID token for a code, once."""
        pair = f"{quote_plus(CLIENT)}:{quote_plus(self.secret)}".encode()
        wanted = f"Basic {base64.b64encode(pair).decode()}"
        if not hmac.compare_digest(asked.authorization.encode(), wanted.encode()):
            return Answer.json({"error": "invalid_client"}, status=401)
        form = asked.parameters
        query, person, ends = self._codes.pop(form.get("code", ""), ({}, "", 0.0))
        fits = (
            asked.method == "POST"
            and form.get("grant_type") == "authorization_code"
            and time.monotonic() < ends
            and form.get("redirect_uri") == query.get("redirect_uri")
            and challenge_of(form.get("code_verifier", "")) == query.get("code_challenge")
        )
        if not fits:
            return Answer.json({"error": "invalid_grant"}, status=400)
        said = {"access_token": secrets.token_urlsafe(24), "token_type": "Bearer", "expires_in": LIFE}
        return Answer.json({**said, "id_token": self._id_token(query, person)})

    def _id_token(self, query: Mapping[str, str], person: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": person,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "acr": "phr",
            "amr": ["hwk", "user"],
            "sid": secrets.token_urlsafe(12),
            "email_verified": True,
            **({"nonce": query["nonce"]} if "nonce" in query else {}),
        }
        header = {"alg": "ES256", "typ": "JWT", "kid": str(self._key.as_dict(private=False)["kid"])}
        return jwt.encode(header, claims, self._key, algorithms=["ES256"])

    def _back(self, query: Mapping[str, str], **said: str) -> Answer:
        state = {"state": query["state"]} if "state" in query else {}
        return Answer(status=303, location=f"{self.redirect_uri}?{urlencode({**said, **state, 'iss': self.issuer})}")

    def _choice(self, query: Mapping[str, str]) -> Answer:
        links = "\n".join(
            f'<li><a href="?{html.escape(urlencode({**query, "login_hint": name}))}">{html.escape(name)}</a></li>'
            for name in self._people
        )
        page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Meridian staff</title>
<h1>Meridian staff</h1><p>A demonstration: choose who you are.</p><ul>
{links}
</ul></html>"""
        return Answer(type="text/html; charset=utf-8", body=page.encode())


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636 section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
