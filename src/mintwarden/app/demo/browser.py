"""Somebody with a browser: follows where pages lead, keeps cookies, allows what is asked."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import parse_qs, parse_qsl, urljoin, urlsplit

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
    """One browser, without a session at first, of somebody called `who` at the company's sign-in.

    Of the questions that wait for them here it answers the one that says `about`.

    It keeps its cookies itself: browsers take loopback for a safe place to send secure ones to, the library does not.
    """

    def __init__(self, http: httpx2.Client, who: str, *, about: str = "") -> None:
        self._http = http
        self._who = who
        self._about = about
        self._cookies: dict[tuple[str, str], str] = {}

    def visit(self, url: str, *, until: str = "") -> Arrived:
        """From `url` to the address `until`, which nobody needs to listen at. Whoever asks on the way is allowed.

        Without `until` to the first page that asks nothing more.

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
                mine = [link for link, text in page.links if self._means(link, text)]
                if page.action:
                    answer = self._send("POST", urljoin(str(answer.url), page.action), page.fields | page.choice)
                elif mine:
                    answer = self._send("GET", urljoin(str(answer.url), mine[0]))
                elif until:
                    break
                else:
                    return Arrived(answer={}, way=tuple(way), pages=tuple(pages))
            else:
                break
        raise Broken(f"`{way[-1]}` answered {answer.status_code}", hint=Page(answer.text).text[:300])

    def _means(self, link: str, text: str) -> bool:
        """Whether a link is for this person: who they are at the sign-in, or what they came to answer."""
        hinted = parse_qs(urlsplit(link).query).get("login_hint", ())
        return self._who in hinted or (bool(self._about) and self._about in text)

    def _send(self, method: str, url: str, form: dict[str, str] | None = None) -> httpx2.Response:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        cookies = "; ".join(f"{name}={value}" for (whose, name), value in self._cookies.items() if whose == origin)
        headers = {"origin": origin} if method == "POST" else {}
        answer = self._http.request(method, url, data=form, headers=headers | ({"cookie": cookies} if cookies else {}))
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self._cookies[origin, name] = value
        self._http.cookies.clear()  # it is everybody's
        return answer


class Page(HTMLParser):
    """What a page says, its links, and its first form: where it goes, what it sends, and its first button."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.choice: dict[str, str] = {}
        self.links: list[tuple[str, str]] = []
        self._texts: list[str] = []
        self._silent = self._linking = False
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
        if tag == "a":
            self.links.append((said.get("href", ""), ""))
        self._linking = tag == "a"
        if tag == "button" and not self.choice and said.get("name"):
            self.choice = {said["name"]: said.get("value", "")}

    def handle_data(self, data: str) -> None:
        """Words."""
        if not self._silent and data.strip():
            self._texts.append(" ".join(data.split()))
            if self._linking:
                link, text = self.links[-1]
                self.links[-1] = (link, text + data)


def _plain(url: str) -> str:
    return url.partition("?")[0]
