"""Who may push one kind of facts must not make itself everything by pushing another."""

from __future__ import annotations

from tests.flow.company import ADMIN, PAYMENTS, Company

RISK = {"entity": "User:mallory", "source": "risk", "facts": {"score": 1}}
GROUPS = {"entity": "User:mallory", "source": "directory", "facts": {"department": "x"}, "groups": ["finance"]}


async def push(company: Company, scope: str, *documents: object) -> tuple[int, str]:
    token = await company.token("operator", grant_type="client_credentials", scope=scope, resource=ADMIN)
    headers = {"authorization": f"Bearer {token}"}
    answer = await company.http.put("/admin/v1/facts", json={"documents": documents}, headers=headers)
    return answer.status_code, answer.headers.get("www-authenticate", "")


async def test_a_feed_does_not_put_anyone_into_a_group(company: Company) -> None:
    for documents in ([GROUPS], [RISK, GROUPS]):
        status, challenge = await push(company, "mintwarden:facts.write", *documents)
        assert status == 403
        assert 'scope="mintwarden:facts.write:directory"' in challenge
    person = company.signed_in("mallory", 1)
    assert (await company.exchange("web", person, scope="payments:read", resource=PAYMENTS)).status_code == 400
    assert (await push(company, "mintwarden:facts.write", RISK))[0] == 200


async def test_who_may_push_one_source_may_push_no_other(company: Company) -> None:
    assert (await push(company, "mintwarden:facts.write:directory", GROUPS))[0] == 200
    status, challenge = await push(company, "mintwarden:facts.write:directory", RISK)
    assert status == 403
    assert 'scope="mintwarden:facts.write"' in challenge
    assert (await push(company, "mintwarden:facts.write mintwarden:facts.write:directory", RISK, GROUPS))[0] == 200
    assert (await push(company, "mintwarden:decisions.read", RISK))[0] == 403
