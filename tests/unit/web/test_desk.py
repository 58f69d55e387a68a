"""What answers about tokens look like when there is no room for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.web.desk import introspection, revocation
from mintwarden.web.errors import error_reply


@pytest.mark.parametrize("kind", [ErrorKind.OVERLOADED, ErrorKind.UNAVAILABLE, ErrorKind.STORE, ErrorKind.LEDGER])
@pytest.mark.parametrize("which", ["introspect", "revoke"])
async def test_a_client_is_told_when_to_come_again(which: str, kind: ErrorKind) -> None:
    """RFC 7009 section 2.2.1: 503, and the client must assume that the token is still good."""

    async def busy(*_: Any) -> Any:
        raise MintwardenError(kind, "not now")

    answer = revocation(busy) if which == "revoke" else introspection(busy, busy)
    work = SimpleNamespace(outcome="")
    with pytest.raises(MintwardenError) as raised:
        await answer(cast("Any", SimpleNamespace(unverified_accept="")), cast("Any", work))
    reply = error_reply(raised.value, "r-1")
    assert reply.status == 503
    assert int(dict(reply.headers)[b"retry-after"]) >= 1
    assert work.outcome == ""
