"""An API behind the guard that says who calls: `python api.py ISSUER PORT SCOPE`, at the path `/things`."""

from __future__ import annotations

import json
import sys
from typing import Any

import uvicorn

from mintwarden.consumer import Guard, KeyCache, Proofs, ProtectedResource, TokenVerifier, token_of


async def who(scope: Any, _receive: Any, send: Any) -> None:
    """The caller, by its token."""
    token = token_of(scope)
    said = {"sub": token.subject, "client_id": token.client_id, "scope": " ".join(sorted(token.scopes))}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})


if __name__ == "__main__":
    issuer, port, needed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    itself = f"http://127.0.0.1:{port}/things"
    guarded = Guard(
        who,
        resource=ProtectedResource(resource=itself, authorization_servers=(issuer,), scopes=(needed,)),
        verifier=TokenVerifier(issuer=issuer, audience=itself, keys=KeyCache(issuer), proofs=Proofs()),
        needed=(needed,),
    )
    uvicorn.run(guarded, host="127.0.0.1", port=port, log_level="warning")
