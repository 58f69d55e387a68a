"""Writes docs/openapi.json: what a service serves as its OpenAPI document, for an issuer of examples."""

from __future__ import annotations

import msgspec

from mintwarden.web.admin.api import OPERATIONS
from mintwarden.web.admin.openapi import describe
from tools.findings import ROOT

FILE = ROOT / "docs" / "openapi.json"
ISSUER = "https://tokens.example.com"


def render() -> str:
    """The document, formatted."""
    return msgspec.json.format(msgspec.json.encode(describe(OPERATIONS, issuer=ISSUER)), indent=1).decode() + "\n"


def main() -> None:
    """Write it."""
    FILE.write_text(render(), encoding="utf-8")
    print(f"wrote {FILE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
