"""Pages as replies: templates and texts filled in, and the headers that keep others' hands off them.

INVARIANT: whatever is filled in is escaped; no page holds a script or a style of its own; no page can be framed; a
form leads nowhere but to us and to what its page names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import jinja2

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.pages.languages import ENGLISH, choose_language, read_catalogues, told
from mintwarden.web.reply import NO_STORE, NOSNIFF, Header, Reply

HTML: Header = (b"content-type", b"text/html; charset=utf-8")
GUARDS: tuple[Header, ...] = (
    NO_STORE,
    NOSNIFF,
    (b"x-frame-options", b"DENY"),
    # A handle in an address stays with us; `Origin` is still sent with our own forms.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
STATIC: Mapping[str, bytes] = {
    "style.css": b"text/css; charset=utf-8",
    "passkey.js": b"text/javascript; charset=utf-8",
    "submit.js": b"text/javascript; charset=utf-8",
}
"""Every file that pages refer to, and its type."""

_SAID: Mapping[int, str] = {403: "error_denied", 404: "error_gone", 429: "error_slow", 503: "error_busy"}
"""What the error page advises."""

_LOGO = {".svg": b"image/svg+xml", ".png": b"image/png", ".css": b"text/css; charset=utf-8", ".woff2": b"font/woff2"}
_LARGEST = 512 * 1024


class Pages:
    """Renders pages.

    Args:
        path: what comes before our own paths (the issuer's path).
        theme: a folder whose `templates/`, `static/` and `languages/` stand before ours; empty for none. It is read
            when this is made.
        language: for readers of whom no language is known.

    Raises `CONFIG` for a theme that cannot be used.
    """

    def __init__(self, *, path: str = "", theme: str = "", language: str = ENGLISH) -> None:
        if theme and not Path(theme).is_dir():
            raise MintwardenError(ErrorKind.CONFIG, "the theme is not a folder", hint=f"`{theme}`")
        self._path = path
        self._catalogues = read_catalogues(theme)
        self._language = language
        own = jinja2.PackageLoader("mintwarden.web.pages")
        themed = jinja2.FileSystemLoader(Path(theme, "templates")) if theme else None
        self._environment = jinja2.Environment(
            loader=own if themed is None else jinja2.ChoiceLoader([themed, own]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._static = _read_static(theme)

    @property
    def languages(self) -> Sequence[str]:
        """The languages that there is a catalogue of."""
        return sorted(self._catalogues)

    def language(self, accept_language: str = "", ui_locales: Sequence[str] = ()) -> str:
        """The language for a reader who sent these."""
        return choose_language(
            self._catalogues, ui_locales=ui_locales, accept_language=accept_language, default=self._language
        )

    def text(self, language: str, name: str, **values: object) -> str:
        """One message of the catalogue, not escaped."""
        return str(told(self._catalogues[language], name, values).unescape())

    def render(
        self,
        template: str,
        language: str,
        *,
        status: int = 200,
        headers: Iterable[Header] = (),
        script: bool = False,
        form_action: Sequence[str] = (),
        **values: Any,
    ) -> Reply:
        """The page `template` (`error.html`), filled in with `values`.

        `script` lets it load our own scripts and call us; `form_action` names origins that a form of it may lead to
        besides ours, redirects included. In a template `t("name", ...)` is a message of the catalogue, `path` what
        comes before our own paths.
        """
        texts = self._catalogues.get(language) or self._catalogues[ENGLISH]

        def t(name: str, **filled: object) -> object:
            return told(texts, name, filled)

        page = self._environment.get_template(template).render(path=self._path, language=language, t=t, **values)
        policy = (b"content-security-policy", _policy(script=script, form_action=form_action).encode("ascii"))
        return Reply(status, (HTML, *GUARDS, policy, *headers), page.encode("utf-8"))

    def error(self, language: str, *, status: int, detail: str = "", reference: str = "", again: str = "") -> Reply:
        """The error page: what to do now, by the status, or at `again`, a path of ours.

        `detail` is for whoever set up what led here, word by word.
        """
        failed = status >= 500
        said = "error_again" if again else _SAID.get(status, "error_ours" if failed else "error_yours")
        return self.render(
            "error.html",
            language,
            status=status,
            said=said,
            detail=detail,
            reference=reference,
            failed=failed,
            again=again,
        )

    def static(self, name: str) -> Reply | None:
        """A file that pages refer to; None where there is none of that name."""
        found = self._static.get(name)
        if found is None:
            return None
        kind, content = found
        cache = (b"cache-control", b"public, max-age=300")
        guards = (NOSNIFF, (b"cross-origin-resource-policy", b"same-origin"))
        none = (b"content-security-policy", b"default-src 'none'; sandbox")
        return Reply(200, ((b"content-type", kind), cache, *guards, none), content)


def _policy(*, script: bool, form_action: Sequence[str]) -> str:
    actions = " ".join(["'self'", *[_origin(origin) for origin in form_action]])
    parts = ["default-src 'none'", "style-src 'self'", "img-src 'self'", "font-src 'self'"]
    if script:
        parts += ["script-src 'self'", "connect-src 'self'"]
    parts += [f"form-action {actions}", "frame-ancestors 'none'", "base-uri 'none'"]
    return "; ".join(parts)


_ORIGIN_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:/[]+")


def _origin(text: str) -> str:
    if not text or not _ORIGIN_CHARACTERS.issuperset(text):
        raise MintwardenError(ErrorKind.INTERNAL, "a form leads to what is no origin")
    return text


def _read_static(theme: str) -> Mapping[str, tuple[bytes, bytes]]:
    ours = resources.files("mintwarden.web.pages").joinpath("static")
    found = {name: (kind, ours.joinpath(name).read_bytes()) for name, kind in STATIC.items()}
    folder = Path(theme, "static")
    for path in sorted(folder.iterdir()) if theme and folder.is_dir() else ():
        kind = STATIC.get(path.name) or _LOGO.get(path.suffix)
        if kind is None or not path.is_file() or path.stat().st_size > _LARGEST:
            raise MintwardenError(
                ErrorKind.CONFIG, f"the theme's `{path.name}` cannot be served", hint="`docs/sign-in.md`"
            )
        found[path.name] = (kind, path.read_bytes())
    return found
