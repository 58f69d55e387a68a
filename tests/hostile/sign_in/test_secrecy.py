"""Nothing that opens a session or proves a person rests in the store or in the logs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from mintwarden.app.config import load_config
from mintwarden.app.foundation import foundation
from mintwarden.app.sign_in import passkeys_of
from mintwarden.authn.sign_in import Demand
from mintwarden.model.values import EntityUid
from tests.flow.authenticator import Authenticator, text
from tests.flow.browser import PREFIX, Browser, Form
from tests.flow.test_sign_in import CALLBACK, signing_in
from tests.flow.upstream import SECRET

AT = "/signin/passkey"


async def test_what_opens_a_session_rests_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hidden: list[str] = [SECRET]
    async with signing_in(tmp_path, head="[passkeys]\nenabled = true\n") as (company, corp):
        browser = Browser(company)
        handle = await browser.begin(Demand(domain_hint="corp", login_hint="very.personal@example.com"))
        there = (await browser.get("/signin", {"i": handle})).headers["location"]
        sent = {name: values[0] for name, values in parse_qs(urlsplit(there).query).items()}
        returned = corp.authorize(there)
        id_tokens: list[str] = []
        honest = corp.id_token

        def kept(query: dict[str, str], access_token: str) -> str:
            id_tokens.append(access_token)
            id_tokens.append(honest(query, access_token))
            return id_tokens[-1]

        corp.id_token = kept  # type: ignore[method-assign]
        await browser.get(CALLBACK, returned)
        hidden += [handle, sent["state"], sent["nonce"], returned["code"], *id_tokens]
        hidden += [browser.cookies[PREFIX + "mintwarden"].partition(".")[2], "very.personal"]
        logout_token = corp.logout_token(sub="somebody-else")
        await company.http.post("/signin/backchannel-logout/corp", data={"logout_token": logout_token})
        async with foundation(load_config(tmp_path / "mintwarden.toml", environ={})) as base:
            now = base.clock.now()
            invitation = await passkeys_of(base).invite(EntityUid("User", "eve"), ends=now + 60_000, now=now)
        authenticator = Authenticator()
        fields = Form((await browser.get(f"{AT}/new", {"invitation": invitation})).text).fields
        asked = (await browser.call(f"{AT}/registration/options", fields)).json()
        made = fields | {"handle": asked["handle"], "credential": authenticator.make(asked["options"])}
        assert (await browser.call(f"{AT}/registration", made)).status_code == 200
        hidden += [logout_token, invitation, fields["csrf"], asked["handle"], asked["options"]["challenge"]]
        hidden += [text(authenticator.id)]
    logged = capfd.readouterr()
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("mintwarden.db*"))
    for secret in hidden:
        assert len(secret) > 8
        assert secret not in logged.out + logged.err
        assert secret.encode() not in stored
