"""A person with a browser, who signs in at the company's provider and allows what is asked."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2

from tests.flow.browser import Form
from tests.flow.upstream import Upstream


class Person:
    """Goes wherever our pages lead, with the cookies that they set, until somebody else's address comes.

    The provider is `corp`, which is told who signs in, or a real one at `sign_in`, which knows by the request.
    """

    def __init__(self, issuer: str, corp: Upstream | None, http: httpx2.AsyncClient, sign_in: str = "") -> None:
        self._issuer = issuer
        self.corp = corp
        self._visited = tuple(f"{base}/" for base in (issuer, sign_in) if base)
        self._http = http
        self._cookies: dict[str, str] = {}
        self.pages: list[str] = []

    async def allow(self, url: str) -> str:
        """From a request to the address that the client is answered at, or to our own last page."""
        answer = await self._get(url)
        while True:
            if answer.status_code == 303:
                where = urljoin(str(answer.url), answer.headers["location"])
                if self.corp is not None and where.startswith(f"{self.corp.issuer}/"):
                    query = self.corp.authorize(where)
                    where = str(httpx2.URL(f"{self._issuer}/signin/callback/corp", params=query))
                if not where.startswith(self._visited):
                    return where
                answer = await self._get(where)
            else:
                assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
                self.pages.append(answer.text)
                action = re.search(r'<form method="post" action="([^"]+)"', answer.text)
                if action is None:
                    return str(answer.url)
                fields = Form(answer.text).fields | {"decision": "allow"}
                answer = self._kept(
                    await self._http.post(
                        f"{self._issuer}{action[1]}",
                        data=fields,
                        headers={"origin": self._issuer, **self._cookie()},
                    )
                )

    async def _get(self, url: str) -> httpx2.Response:
        return self._kept(await self._http.get(url, headers=self._cookie()))

    def _cookie(self) -> dict[str, str]:
        # A browser takes loopback for safe; this client does not.
        return {"cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}

    def _kept(self, answer: httpx2.Response) -> httpx2.Response:
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer


def answered(url: str) -> dict[str, str]:
    """The parameters of an authorization response."""
    return dict(parse_qsl(urlsplit(url).query))
