"""An MCP server whose tools are for holders of our tokens: `python server.py ISSUER PORT`.

Needs the MCP SDK (`pip install mcp`) and uvicorn beside Mintwarden's consumer side.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer

from mintwarden.consumer import AccessToken, Guard, KeyCache, Proofs, ProtectedResource, TokenVerifier, token_of

TOOLS = {"book": ("tools:read", "tools:write")}
"""What the call of a tool takes, where that is more than the server as a whole takes."""


def needed(scope: Any) -> tuple[str, ...]:
    """What a request takes, by the tool that its head names (revision 2026-07-28)."""
    name = dict(scope["headers"]).get(b"mcp-name", b"").decode("latin-1")
    return TOOLS.get(name, ("tools:read",))


def build(issuer: str, resource: str) -> Guard:
    """The server behind its guard. `resource` is its own address, as it stands in the catalogue."""
    server = MCPServer("Booking tools")

    @server.tool()
    async def whoami(ctx: Context) -> str:
        """Who the caller is, by its token."""
        token = _caller(ctx)
        return f"{token.client_id} for {token.subject}: {' '.join(sorted(token.scopes))}"

    @server.tool()
    async def book(ctx: Context) -> str:
        """Make a booking."""
        token = _caller(ctx)
        # Clients of earlier revisions do not name the tool in the head of the request, so the guard did not look.
        if not token.scopes >= {"tools:write"}:
            raise PermissionError("a booking takes the scope tools:write")
        return f"booked for {token.subject}"

    return Guard(
        server.streamable_http_app(json_response=True),
        resource=ProtectedResource(
            resource=resource,
            authorization_servers=(issuer,),
            scopes=("tools:read", "tools:write"),
            name="Booking tools",
        ),
        verifier=TokenVerifier(issuer=issuer, audience=resource, keys=KeyCache(issuer), proofs=Proofs()),
        needed=needed,
        implies={"tools:write": ("tools:read",)},
    )


def _caller(ctx: Context) -> AccessToken:
    return token_of(ctx.request_context.request.scope)


if __name__ == "__main__":
    issuer, port = sys.argv[1], int(sys.argv[2])
    uvicorn.run(build(issuer, f"http://127.0.0.1:{port}/mcp"), host="127.0.0.1", port=port, log_level="warning")
