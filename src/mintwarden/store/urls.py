"""The URLs that name a store."""

from __future__ import annotations

from urllib.parse import urlsplit

from mintwarden.model.errors import ErrorKind, MintwardenError

SQLITE_SCHEME = "sqlite"
POSTGRES_SCHEMES = ("postgresql", "postgres")
SCHEMES = (SQLITE_SCHEME, *POSTGRES_SCHEMES)
"""Every scheme there is; `open_store` refuses any other."""


def scheme_of(url: str) -> str:
    """The scheme of a store's URL; raises `MintwardenError(CONFIG)` for one that no store answers to."""
    scheme, separator, _ = url.partition(":")
    if separator and scheme in SCHEMES:
        return scheme
    raise MintwardenError(
        ErrorKind.CONFIG,
        f"not the URL of a store: `{shown(url)}`",
        hint="write `sqlite:///mintwarden.db` or `postgresql://user@host/database`",
    )


def sqlite_path(url: str) -> str:
    """The path in `sqlite:///relative` or `sqlite:////absolute`, taken literally."""
    path = url.removeprefix(f"{SQLITE_SCHEME}:///")
    if path == url or not path or path.startswith(":") or "\0" in path or path.endswith("/"):
        raise MintwardenError(
            ErrorKind.CONFIG,
            f"not the path of a store: `{shown(url)}`",
            hint="write `sqlite:///relative/path.db` or `sqlite:////absolute/path.db`",
        )
    return path


def shown(url: str) -> str:
    """The URL as it may be shown: without a password."""
    try:
        parts = urlsplit(url)
        if parts.password is None:
            return url
        user, _, place = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user.partition(':')[0]}:...@{place}").geturl()
    except ValueError:
        return url.partition(":")[0] + ":..."
