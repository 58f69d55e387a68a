"""Pages that a deployment makes its own, by files alone: a theme's look, its words, and a language more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mintwarden.web.pages.languages import read_catalogues
from tests.flow.authorizing import Asking, Desk, desk, response
from tests.flow.browser import Browser

THEME = '[pages]\ntheme = "house"\nlanguage = "fr"\n'
BASE = """<!doctype html>
<html lang="{{ language }}"><head><title>{% block title %}{% endblock %}</title>
<link rel="stylesheet" href="{{ path }}/assets/style.css"></head>
<body class="house"><h1>{{ self.title() }}</h1>{% block content %}{% endblock %}</body></html>
"""


def dress(folder: Path) -> None:
    """The theme of a house that speaks French."""
    for name, file, text in (
        ("templates", "base.html", BASE),
        ("static", "style.css", "body { color: rebeccapurple }"),
        ("static", "mark.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("languages", "fr.toml", 'consent_allow = "Permettre"\nconsent_title = "{client} demande"\n'),
        ("languages", "de.toml", 'consent_allow = "Jawohl"\n'),
    ):
        (folder / "house" / name).mkdir(parents=True, exist_ok=True)
        (folder / "house" / name / file).write_text(text)


async def asked(at: Desk, browser: Browser, **parameters: str) -> str:
    answer = await at.through(await at.request(Asking(prompt="consent", **parameters), browser), browser)
    assert answer.status_code == 200, answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self';"), "a theme is under the same policy"
    assert "script" not in policy
    return answer.text


async def test_a_theme_and_a_language_of_its_own_reach_the_pages_that_people_see(tmp_path: Path) -> None:
    dress(tmp_path)
    async with desk(tmp_path, config=THEME) as at:
        browser = at.another()
        page = await asked(at, browser)
        assert '<html lang="fr">' in page, "whoever says no language has the deployment's"
        assert '<body class="house">' in page
        assert "<h1>Portal demande</h1>" in page
        assert re.search(r"<button[^>]*>Permettre</button>", page)
        assert read_catalogues()["en"]["consent_deny"] in page, "what the language leaves out is English"
        assert re.search(r"<button[^>]*>Jawohl</button>", await asked(at, browser, ui_locales="de"))
        style = await at.company.http.get("/assets/style.css")
        assert (style.text, style.headers["content-type"]) == (
            "body { color: rebeccapurple }",
            "text/css; charset=utf-8",
        )
        assert (await at.company.http.get("/assets/mark.svg")).headers["content-security-policy"].endswith("sandbox")
        lost = await at.company.http.get("/nowhere", headers={"accept": "text/html"})
        assert (lost.status_code, '<body class="house">' in lost.text) == (404, True)
        answer = await at.through(await at.request(Asking(prompt="consent"), browser), browser)
        assert "code" in response(await at.allow(answer, browser)), "and can be answered"


@pytest.mark.parametrize("language", ["en", "de"])
async def test_both_shipped_languages_are_chosen_by_the_reader_and_by_the_request(
    tmp_path: Path, language: str
) -> None:
    words = read_catalogues()[language]
    async with desk(tmp_path) as at:
        browser = at.another()
        for page in (
            await asked(at, browser, ui_locales=f"xx {language} fr"),
            (await browser.get("/grants", accept_language=f"xx, {language};q=0.5")).text,
        ):
            assert f'<html lang="{language}">' in page
        assert words["consent_allow"] in await asked(at, browser, ui_locales=language)
