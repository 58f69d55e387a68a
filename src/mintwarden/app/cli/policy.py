"""`mintwarden policy lint | test | prove`: what can be known about a policy before it bites."""

from __future__ import annotations

import cyclopts

from mintwarden.app.cli.policy_lint import run as lint
from mintwarden.app.cli.policy_test import run as test

app = cyclopts.App(name="policy", help="Look over and test a policy before it bites.")
app.command(lint, name="lint")
app.command(test, name="test")
# Its solver is loaded when it is used.
app.command("mintwarden.app.cli.policy_prove:run", name="prove")
