"""Writes `docs/cli.md` from the commands' own help: `python -m tools.cli_reference`."""

from __future__ import annotations

import re

from mintwarden.app.cli import build
from tools.findings import ROOT

PAGE = ROOT / "docs" / "cli.md"
NOTE = "<!-- Written by `make docs` from the commands' own help. -->\n"


def render() -> str:
    """The page as it should be."""
    text = build().generate_docs(output_format="markdown", flatten_commands=False, max_heading_level=3)
    text = re.sub(r"^(mintwarden\b[^\n\[]*?) -m [\w.]+", r"\1", text, flags=re.MULTILINE)  # how we were started
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return NOTE + re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
