"""Pages: what is filled in stays text, nobody frames them, and they speak the reader's language."""

from __future__ import annotations

import html.parser
from pathlib import Path
from typing import Any

import pytest

from mintwarden.app.browser import lost
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.asgi import Asked
from mintwarden.web.pages.cookies import Cookies
from mintwarden.web.pages.endpoint import own_path, redirect
from mintwarden.web.pages.form_tokens import FormTokens
from mintwarden.web.pages.languages import choose_language, read_catalogues, told
from mintwarden.web.pages.render import Pages

MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}{client}'


class Tags(html.parser.HTMLParser):
    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(body.decode())

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def sign_in(pages: Pages, language: str = "en", **changes: Any) -> Any:
    values: dict[str, Any] = {
        "client_name": "Payments",
        "providers": [{"name": "Corp", "href": "/signin/start?i=abc&provider=corp"}],
        "passkey": {"interaction": "abc", "token": "tok"},
        "better": False,
        "without": "",
    } | changes
    return pages.render("sign_in.html", language, script=True, **values)


def test_markup_in_a_client_name_stays_text() -> None:
    reply = sign_in(Pages(), client_name=MARKUP, providers=[{"name": MARKUP, "href": MARKUP}])
    found = Tags(reply.body)
    assert [script.get("src") for script in found.named("script")] == ["/assets/passkey.js"]
    assert found.named("img") == []
    assert b"&lt;script&gt;" in reply.body
    assert b"{{ 7*7 }}{client}" in reply.body
    assert all(not name.startswith("on") and name != "style" for _, attrs in found.tags for name in attrs)


def test_a_name_from_the_right_leaves_what_stands_around_it_in_its_order() -> None:
    texts = {"title": "{client} wants {number} things"}
    assert told(texts, "title", {"client": "בנק", "number": 7}) == "\u2068בנק\u2069 wants 7 things"
    assert told(texts, "title", {"client": "<א>", "number": 7}) == "\u2068&lt;א&gt;\u2069 wants 7 things"
    assert told(texts, "title", {"client": "Zoë", "number": 7}) == "Zoë wants 7 things"


def test_markup_in_an_error_stays_text() -> None:
    reply = Pages().error("en", status=400, detail=MARKUP, reference=MARKUP)
    assert Tags(reply.body).named("script") == []
    assert reply.status == 400


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (400, "go back to where you came from"),
        (403, "The policy does not allow this"),
        (404, "used or answered already"),
        (429, "wait a few minutes"),
        (500, "on our side"),
        (503, "try again in a minute"),
    ],
)
def test_an_error_page_says_what_to_do_now(status: int, told: str) -> None:
    reply = Pages().error("en", status=status, detail="" if status >= 500 else "`x` is wrong", reference="")
    assert reply.status == status
    assert told in reply.body.decode()
    german = Pages().error("de", status=status, detail="", reference="r-1").body.decode()
    assert told not in german
    assert "r-1" in german


def test_an_error_page_leads_where_one_can_try_again() -> None:
    reply = Pages().error("en", status=400, again='/signin?i=x&"y')
    assert [link.get("href") for link in Tags(reply.body).named("a")] == ['/signin?i=x&"y']
    assert Tags(Pages().error("en", status=400).body).named("a") == []


def test_a_person_who_is_lost_gets_a_page_and_a_program_does_not() -> None:
    read = [(b"accept-language", b"tlh"), (b"accept-language", b"de")]
    asked = Asked("/x", "192.0.2.1", None, headers=[(b"accept", b"text/html,*/*;q=0.8"), *read])
    found = lost(Pages())(asked)
    assert found is not None
    assert (found.status, Tags(found.body).named("html")) == (404, [{"lang": "de"}])
    for accept in (b"*/*", b"application/json, text/html;q=0.5", b""):
        assert lost(Pages())(Asked("/x", "192.0.2.1", None, headers=[(b"accept", accept)])) is None


def test_no_page_can_be_framed_cached_or_run_what_is_not_ours() -> None:
    headers = dict(Pages().error("en", status=400).headers)
    policy = headers[b"content-security-policy"].decode()
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "form-action 'self'" in policy
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert headers[b"x-frame-options"] == b"DENY"
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"referrer-policy"] == b"same-origin"
    assert (
        "script-src 'self'; connect-src 'self'" in dict(sign_in(Pages()).headers)[b"content-security-policy"].decode()
    )


def test_a_form_leads_only_to_what_its_page_names() -> None:
    reply = Pages().render("signed_out.html", "en", form_action=["https://app.example.com", "http://[::1]:8000"])
    policy = dict(reply.headers)[b"content-security-policy"]
    assert b"form-action 'self' https://app.example.com http://[::1]:8000;" in policy
    for hostile in ("https://a.example; script-src *", "*", "'unsafe-inline'", "", "https://a.example\r\nx: y"):
        with pytest.raises(MintwardenError) as caught:
            Pages().render("signed_out.html", "en", form_action=[hostile])
        assert caught.value.kind is ErrorKind.INTERNAL


def test_pages_can_be_used_without_seeing_them() -> None:
    for language in Pages().languages:
        found = Tags(sign_in(Pages(), language).body)
        assert found.named("html") == [{"lang": language}]
        assert len(found.named("main")) == len(found.named("h1")) == len(found.named("title")) == 1
        assert [nav.get("aria-label") for nav in found.named("nav")] != [None]
        assert any(attrs.get("role") == "status" for attrs in found.named("p"))
        made = Tags(
            Pages().render("passkey_new.html", language, script=True, person="alice", invitation="x", token="y").body
        )
        fields = {f.get("id") for f in made.named("input") if f.get("type") != "hidden"}
        assert {label.get("for") for label in made.named("label")} == fields
        typing = Tags(
            Pages().render("device.html", language, person="a", typed="", wrong="device_wrong", token="t").body
        )
        (code,) = [field for field in typing.named("input") if field.get("type") != "hidden"]
        assert [label.get("for") for label in typing.named("label")] == [code.get("id")]
        assert [p.get("id") for p in typing.named("p") if p.get("role") == "alert"] == [code.get("aria-describedby")]


def test_every_language_says_everything() -> None:
    ours = Path(__file__).parents[3] / "src/mintwarden/web/pages/languages"
    import tomllib

    english = tomllib.loads((ours / "en.toml").read_text("utf-8"))
    for path in ours.glob("*.toml"):
        texts = tomllib.loads(path.read_text("utf-8"))
        assert texts.keys() == english.keys(), path.name
        for name, text in texts.items():
            assert text.count("{") == english[name].count("{"), name


@pytest.mark.parametrize(
    ("ui_locales", "accept", "chosen"),
    [
        ((), "", "en"),
        ((), "de", "de"),
        ((), "de-AT,en;q=0.5", "de"),
        ((), "en;q=0.2, de;q=0.9", "de"),
        ((), "de;q=0, fr", "en"),
        (("fr", "de-CH"), "en", "de"),
        (("en",), "de", "en"),
        ((), "de;q=nonsense, ../../etc", "en"),
        ((), "*", "en"),
    ],
)
def test_the_reader_language_is_found(ui_locales: tuple[str, ...], accept: str, chosen: str) -> None:
    assert choose_language(read_catalogues(), ui_locales=ui_locales, accept_language=accept) == chosen


@pytest.mark.parametrize(("default", "chosen"), [("de", "de"), ("DE", "de"), ("xx", "en")])
def test_who_asks_for_no_language_gets_the_one_of_the_service(default, chosen):
    assert choose_language(read_catalogues(), default=default) == chosen


def test_a_theme_stands_before_ours(tmp_path: Path) -> None:
    for folder in ("templates", "static", "languages"):
        (tmp_path / folder).mkdir()
    (tmp_path / "templates/signed_out.html").write_text(
        '{% extends "base.html" %}{% block title %}Bye{% endblock %}{% block content %}<p>{{ t("signed_out") }}</p>{% endblock %}'
    )
    (tmp_path / "static/style.css").write_text("body { color: red }")
    (tmp_path / "static/logo.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "languages/fr.toml").write_text('signed_out = "Au revoir"')
    pages = Pages(theme=str(tmp_path), path="/tenant")
    body = pages.render("signed_out.html", "fr").body.decode()
    assert "<h1>Bye</h1>" in body
    assert "<p>Au revoir</p>" in body
    assert "/tenant/assets/style.css" in body
    style = pages.static("style.css")
    assert style is not None
    assert style.body == b"body { color: red }"
    logo = pages.static("logo.svg")
    assert logo is not None
    assert dict(logo.headers)[b"content-security-policy"] == b"default-src 'none'; sandbox"
    assert pages.static("../render.py") is None


@pytest.mark.parametrize("wrong", ["languages/de.toml", "static/page.html"])
def test_a_theme_that_cannot_be_used_is_refused(tmp_path: Path, wrong: str) -> None:
    (tmp_path / wrong).parent.mkdir()
    (tmp_path / wrong).write_text('no_such_text = "x"')
    with pytest.raises(MintwardenError) as caught:
        Pages(theme=str(tmp_path))
    assert caught.value.kind is ErrorKind.CONFIG
    with pytest.raises(MintwardenError):
        Pages(theme=str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("location", "is_own"),
    [
        ("/authorize/continue?i=abc", True),
        ("/", True),
        ("//evil.example", False),
        ("/\\evil.example", False),
        ("https://evil.example", False),
        ("javascript:alert(1)", False),
        ("/a b", False),
        ("/a\r\nSet-Cookie: x=y", False),
        ("", False),
        ("/a#b", False),
        ("evil", False),
    ],
)
def test_open_redirect(location: str, is_own: bool) -> None:
    assert own_path(location) is is_own


def test_header_injection_by_a_redirect() -> None:
    for hostile in ("/a\r\nset-cookie: x=y", "/a b", "/ä"):
        with pytest.raises(MintwardenError):
            redirect(hostile)
    assert dict(redirect("/next").headers)[b"location"] == b"/next"
    assert redirect("/next").status == 303


def test_form_tokens_are_bound_to_form_and_browser() -> None:
    tokens = FormTokens(key=bytes(32))
    good = tokens.make("consent", "browser")
    tokens.check("consent", "browser", good)
    for form, bound_to, token in (
        ("logout", "browser", good),
        ("consent", "other", good),
        ("consent", "browser", good + "x"),
        ("consent", "browser", ""),
        ("consent", "browser", "ä"),
        ("consen", "tbrowser", good),
        ("consent", "", tokens.make("consent", "")),
    ):
        with pytest.raises(MintwardenError) as caught:
            tokens.check(form, bound_to, token)
        assert caught.value.kind is ErrorKind.INVALID_REQUEST


def test_cookies_are_host_only_and_out_of_reach_of_scripts() -> None:
    cookies = Cookies(https=True)
    header = cookies.set("mintwarden", "value", seconds=60)[1].decode()
    assert header == "__Host-mintwarden=value; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60"
    assert cookies.clear("mintwarden")[1].endswith(b"; Max-Age=0")
    assert Cookies(https=False).set("mintwarden", "v")[1] == b"mintwarden=v; Path=/; HttpOnly; SameSite=Lax"


def test_cookie_tossing() -> None:
    """A neighbour's cookie without the prefix, or a second one of the same name, is not ours."""
    cookies = Cookies(https=True)
    assert cookies.read([(b"cookie", b"mintwarden=theirs; a=b")]) == {}
    assert cookies.read([(b"cookie", b"__Host-mintwarden=ours; __Host-x=1")]) == {"mintwarden": "ours", "x": "1"}
    twice = [(b"cookie", b"__Host-mintwarden=ours; __Host-mintwarden=theirs")]
    assert cookies.read(twice) == {}
    assert cookies.read([(b"cookie", b"__Host-mintwarden=ours"), (b"cookie", b"__Host-mintwarden=theirs")]) == {}
