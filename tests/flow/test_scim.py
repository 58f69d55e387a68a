"""An identity provider feeds the directory over SCIM: what it says shapes the very next decision."""

from __future__ import annotations

from tests.flow.feeding import ENTERPRISE, provider


async def test_a_user_is_made_read_barred_and_gone(tmp_path):
    async with provider(tmp_path) as idp:
        assert not await idp.granted("alice")
        made = await idp.user("alice", externalId="00u1")
        finance = await idp.group("finance", made["id"])
        assert await idp.granted("alice")
        read = await idp.send("GET", f"/Users/{made['id']}")
        assert read.status_code == 200
        assert read.headers["content-type"] == "application/scim+json"
        assert read.json()["userName"] == "alice"
        assert read.json()[ENTERPRISE] == {"department": "finance"}
        assert read.json()["groups"][0] | {"value": finance["id"], "display": "finance"} == read.json()["groups"][0]

        barred = await idp.patch(f"/Users/{made['id']}", {"op": "Replace", "path": "active", "value": "False"})
        assert barred.status_code == 204, barred.text
        assert (await idp.send("GET", f"/Users/{made['id']}")).json()["active"] is False
        assert not await idp.granted("alice")
        await idp.patch(f"/Users/{made['id']}", {"op": "replace", "value": {"active": True}})
        assert await idp.granted("alice")

        assert (await idp.send("DELETE", f"/Users/{made['id']}")).status_code == 204
        assert not await idp.granted("alice")
        assert (await idp.send("GET", f"/Users/{made['id']}")).status_code == 404
        assert (await idp.send("DELETE", f"/Users/{made['id']}")).status_code == 404
        assert "members" not in (await idp.send("GET", f"/Groups/{finance['id']}")).json()
