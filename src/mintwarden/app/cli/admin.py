"""`mintwarden admin token`: the first administrator's one access token."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec

from mintwarden.app.clock import SystemClock
from mintwarden.app.config import Config, load_config
from mintwarden.app.first_administrator import CLIENT, FILE, assertion, read_sealed
from mintwarden.app.foundation import governing_catalogue, master_key
from mintwarden.model.errors import ErrorKind, MintwardenError

app = cyclopts.App(name="admin", help="Administer for the first time.")

TIMEOUT = 10.0
AUDIENCE = "mintwarden"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@app.command
def token(
    *,
    key: Annotated[
        Path | None, cyclopts.Parameter(help="The sealed key; beside the configuration if left out.")
    ] = None,
    url: Annotated[str, cyclopts.Parameter(help="Where the service answers; as configured if left out.")] = "",
    config: Annotated[Path, cyclopts.Parameter(name=["--config", "-c"], help="The configuration file.")] = Path(
        "mintwarden.toml"
    ),
    json: Annotated[bool, cyclopts.Parameter(name="--json", negative="", help="For a machine to read.")] = False,
) -> None:
    """Use the first administrator's key, which works once, and print the access token.

    The service must be running. The key's file is removed when it was used. What the token may do stands in the bundle:
    put the first people and their groups into the directory, and give clients their secrets.
    """
    loaded = load_config(config)
    file = key or config.parent / FILE
    answer = asyncio.run(_token(loaded, file, url or _address(loaded)))
    file.unlink(missing_ok=True)
    if json:
        print(msgspec.json.format(msgspec.json.encode(answer)).decode())
    else:
        print(answer["access_token"])


async def _token(config: Config, file: Path, url: str) -> dict[str, Any]:
    import httpx2

    sealed = read_sealed(file, master_key(config, os.environ))
    issuer = config.server.issuer or (await governing_catalogue(config)).issuer
    form = {
        "grant_type": "client_credentials",
        "audience": AUDIENCE,
        "scope": " ".join(SCOPES),
        "client_assertion_type": ASSERTION,
        "client_assertion": assertion(sealed, issuer=issuer, now=SystemClock().now() // 1000),
    }
    try:
        async with httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False) as http:
            answer = await http.post(f"{url.rstrip('/')}/token", data=form)
            said = answer.json()
    except (httpx2.HTTPError, ValueError) as error:
        raise MintwardenError(
            ErrorKind.UNAVAILABLE, f"`{url}` does not answer", hint="start it: `mintwarden serve`; or give `--url`"
        ) from error
    if answer.status_code != 200:
        raise MintwardenError(
            ErrorKind.CONFLICT,
            f"the service gave no token: {said.get('error_description', answer.status_code)}",
            hint=f"the key of `{CLIENT}` works once; see docs/operations.md",
        )
    found: dict[str, Any] = said
    return found


SCOPES = tuple(
    f"mintwarden:{name}"
    for name in ("facts.write:directory", "directory.read", "directory.write", "clients.read", "clients.write")
)
"""What the first administrator asks for: enough to let others in."""


def _address(config: Config) -> str:
    scheme = "https" if config.server.tls_certificate else "http"
    host = f"[{config.server.host}]" if ":" in config.server.host else config.server.host
    return f"{scheme}://{host}:{config.server.port}"
