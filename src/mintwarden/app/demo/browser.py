"""Somebody with a browser: follows where pages lead, keeps cookies, allows what is asked."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2
from msgspec import Struct

from mintwarden.app.demo.calls import Broken

_LONGEST_WAY = 20


class Arrived(Struct, frozen=True, kw_only=True):
    """Where it all led.

    Attributes:
        answer: what the client is told there.
        way: the addresses that the browser was at, without their queries.
        pages: the texts of the pages that the person was shown.
    """

    answer: dict[str, str]
    way: tuple[str, ...]
    pages: tuple[str, ...]


class Browser:
    """One browser, without a session at first.

    It keeps its cookies itself: browsers take loopback for a safe place to send secure ones to, the library does not.
    """

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http
        self._cookies: dict[tuple[str, str], str] = {}

    def visit(self, url: str, *, until: str) -> Arrived:
        """From `url` to the address `until`, which nobody needs to listen at. Whoever asks on the way is allowed.

        Raises `Broken` when something on the way is not as it should be.
        """
        way: list[str] = [_plain(url)]
        pages: list[str] = []
        answer = self._send("GET", url)
        for _ in range(_LONGEST_WAY):
            if answer.status_code == 303:
                where = urljoin(str(answer.url), answer.headers["location"])
                way.append(_plain(where))
                if way[-1] == until:
                    return Arrived(answer=dict(parse_qsl(urlsplit(where).query)), way=tuple(way), pages=tuple(pages))
                answer = self._send("GET", where)
            elif answer.status_code == 200:
                page = Page(answer.text)
                pages.append(page.text)
                answer = self._send("POST", urljoin(str(answer.url), page.action), page.fields | page.choice)
            else:
                break
        raise Broken(f"`{way[-1]}` answered {answer.status_code}", hint=Page(answer.text).text[:300])

    def _send(self, method: str, url: str, form: dict[str, str] | None = None) -> httpx2.Response:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        cookies = "; ".join(f"{name}={value}" for (whose, name), value in self._cookies.items() if whose == origin)
        headers = {"origin": origin} if method == "POST" else {}
        answer = self._http.request(method, url, data=form, headers=headers | ({"cookie": cookies} if cookies else {}))
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self._cookies[origin, name] = value
        return answer


class Page(HTMLParser):
    """What a page says, and its first form: where it goes, what it sends, and its first button."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.choice: dict[str, str] = {}
        self._texts: list[str] = []
        self._silent = False
        self.feed(content)

    @property
    def text(self) -> str:
        """Its words, a line for each part of it."""
        return "\n".join(self._texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """The parts of a form."""
        said = {name: value or "" for name, value in attrs}
        self._silent = tag in ("title", "style", "script")
        if tag == "form" and not self.action:
            self.action = said.get("action", "")
        if tag == "input" and "disabled" not in said and said.get("name"):
            self.fields[said["name"]] = said.get("value", "")
        if tag == "button" and not self.choice and said.get("name"):
            self.choice = {said["name"]: said.get("value", "")}

    def handle_data(self, data: str) -> None:
        """Words."""
        if not self._silent and data.strip():
            self._texts.append(" ".join(data.split()))


def _plain(url: str) -> str:
    return url.partition("?")[0]
