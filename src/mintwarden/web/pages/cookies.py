"""Cookies: read from a request, and written so that a browser keeps them to itself and to us."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mintwarden.web.reply import Header

_MOST = 64
_LONGEST = 4096


class Cookies:
    """Names and writes our cookies.

    INVARIANT: on https each has the `__Host-` prefix: no other host, subdomain or plain-text neighbour can set one.
    A development server on plain http cannot have it.
    """

    def __init__(self, *, https: bool) -> None:
        self._prefix = "__Host-" if https else ""
        self._secure = "; Secure" if https else ""

    def name(self, plain: str) -> str:
        """The whole name of the cookie that we call `plain`."""
        return self._prefix + plain

    def set(self, plain: str, value: str, *, seconds: int | None = None) -> Header:
        """A `Set-Cookie` header; a session cookie unless `seconds` are given."""
        age = "" if seconds is None else f"; Max-Age={seconds}"
        text = f"{self.name(plain)}={value}; Path=/; HttpOnly; SameSite=Lax{self._secure}{age}"
        return (b"set-cookie", text.encode("ascii"))

    def clear(self, plain: str) -> Header:
        """A `Set-Cookie` header that takes the cookie away."""
        return self.set(plain, "", seconds=0)

    def read(self, headers: Iterable[tuple[bytes, bytes]]) -> Mapping[str, str]:
        """The request's cookies by our own names for them; those of others are left out.

        A cookie that came twice is left out altogether: one of the two was put there by somebody else.
        """
        found: dict[str, str] = {}
        twice = set()
        pieces = [p for name, value in headers if name == b"cookie" for p in value[:16_384].split(b";")]
        for piece in pieces[:_MOST]:
            name, separator, value = piece.strip().decode("latin-1").partition("=")
            if not separator or not name.startswith(self._prefix) or len(value) > _LONGEST or not value.isascii():
                continue
            plain = name.removeprefix(self._prefix)
            if plain in found:
                twice.add(plain)
            found[plain] = value
        return {name: value for name, value in found.items() if name not in twice}
