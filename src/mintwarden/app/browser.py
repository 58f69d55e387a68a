"""What all endpoints for browsers stand on: pages, cookies, form tokens, and the files that pages refer to."""

from __future__ import annotations

import time
from collections.abc import Callable

from mintwarden.app.foundation import Foundation
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.accept import accept_of, asks_for, languages_of
from mintwarden.web.admin.limit import Buckets
from mintwarden.web.admit import Gate
from mintwarden.web.asgi import Asked, Page
from mintwarden.web.discovery import path_of
from mintwarden.web.observe import Observer
from mintwarden.web.pages.cookies import Cookies
from mintwarden.web.pages.endpoint import BrowserEndpoints
from mintwarden.web.pages.form_tokens import FormTokens
from mintwarden.web.pages.render import Pages
from mintwarden.web.peer import PeerReader
from mintwarden.web.reply import Reply


def browsers(
    base: Foundation, *, gate: Gate, observer: Observer, references: Callable[[], str], peer: PeerReader
) -> BrowserEndpoints:
    """The deployment's browser endpoints; raises `CONFIG` for a theme that cannot be used."""
    config = base.config
    return BrowserEndpoints(
        pages=Pages(path=path_of(base.issuer), theme=config.pages.theme, language=config.pages.language),
        cookies=Cookies(https=base.issuer.startswith("https:")),
        gate=gate,
        clock=base.clock,
        peer=peer,
        observer=observer,
        references=references,
        monotonic=time.monotonic,
        max_body=config.server.max_body,
        visits=visits_of(base),
    )


def visits_of(base: Foundation) -> Buckets:
    """How often one address may begin something that waits for a person; in this process."""
    server = base.config.server
    return Buckets(rate=server.visit_rate, burst=server.visit_burst, monotonic=time.monotonic)


def form_tokens(base: Foundation) -> FormTokens:
    """The tokens of the deployment's forms; every node makes and takes the same."""
    return FormTokens(key=base.master.derive(b"forms"))


def assets(pages: Pages) -> Page:
    """The files that pages refer to."""

    async def page(asked: Asked) -> Reply:
        found = pages.static(asked.path)
        if found is None:
            raise MintwardenError(ErrorKind.NOT_FOUND, "there is nothing here")
        return found

    return page


def lost(pages: Pages) -> Callable[[Asked], Reply | None]:
    """What a person sees where there is nothing; a program, which asks for anything but a page, is told as usual."""

    def page(asked: Asked) -> Reply | None:
        if not asks_for(accept_of(asked.headers), "text/html", "application/json"):
            return None
        return pages.error(pages.language(languages_of(asked.headers)), status=404)

    return page
