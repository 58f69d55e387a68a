"""`mintwarden policy lint`: what can be known about a policy before it bites."""

from __future__ import annotations

import cyclopts

from mintwarden.app.cli.policy_lint import run as lint

app = cyclopts.App(name="policy", help="Look over a policy before it bites.")
app.command(lint, name="lint")
