"""The whole way: a client gets tokens for a person, the person signs out, and nothing of it is good any more."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import parse_qsl

from joserfc import jwt
from joserfc.jwk import KeySet

from tests.flow.authorizing import Asking, desk
from tests.flow.browser import ISSUER, Browser
from tests.unit.authn.loopback import Loopback, answer

AFTER = "https://portal.example.com/bye"


async def test_a_sign_out_ends_what_the_session_was_the_beginning_of(tmp_path: Path) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()

    async def hear(_path: str, _head: bytes, body: bytes) -> bytes:
        told.put_nowait(dict(parse_qsl(body.decode()))["logout_token"])
        return answer()

    async with Loopback({"/told": hear}) as client:

        def more(bundle: Path) -> None:
            web = bundle / "clients/web.toml"
            text = f'post_logout_redirect_uris = ["{AFTER}"]\nbackchannel_logout_uri = "{client.url}/told"\n'
            remembered = web.read_text().replace('remember = "0s"', "")
            web.write_text(remembered.replace("[client.ceilings]", f"{text}[client.ceilings]"))

        async with desk(tmp_path, edit=more) as at:
            browser, asked = Browser(at.company), Asking()
            tokens = (await at.redeem(asked, await at.code(asked, browser))).json()
            offline = Asking(scope="openid payments:read offline_access")
            lasting = (await at.redeem(offline, await at.code(offline, browser))).json()
            keys = KeySet.import_key_set((await at.company.http.get("/jwks.json")).json())
            identity = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"]).claims

            async def active(token: str) -> bool:
                seen = await at.company.http.post(
                    "/introspect", data={"token": token}, auth=("web", at.company.secrets["web"])
                )
                return bool(seen.json()["active"])

            assert await active(tokens["access_token"])
            # Nobody is asked again while the session lasts.
            silent = await at.request(Asking(prompt="none"), browser)
            assert "code=" in silent.headers["location"]
            left = await browser.get(
                "/logout", {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER, "state": "s"}
            )
            assert left.headers["location"] == f"{AFTER}?state=s"
            claims = jwt.decode(await asyncio.wait_for(told.get(), 10), keys, algorithms=["ES256"]).claims
            assert (claims["iss"], claims["aud"]) == (ISSUER, "web")
            assert (claims["sub"], claims["sid"]) == (identity["sub"], identity["sid"])
            assert not await active(tokens["access_token"])
            refused = await at.company.ask("web", grant_type="refresh_token", refresh_token=tokens["refresh_token"])
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
            renewed = await at.company.ask("web", grant_type="refresh_token", refresh_token=lasting["refresh_token"])
            assert renewed.status_code == 200, renewed.text
            silent = await at.request(Asking(prompt="none"), browser)
            assert "error=login_required" in silent.headers["location"]
            stranger = Browser(at.company)
            assert "error=login_required" in (await at.request(Asking(prompt="none"), stranger)).headers["location"]
