"""`mintwarden policy ...`: what can be known about a policy before it bites, and who gets what by it."""

from __future__ import annotations

import cyclopts

from mintwarden.app.cli.policy_lint import run as lint
from mintwarden.app.cli.policy_test import run as test

app = cyclopts.App(name="policy", help="Look over and test a policy before it bites.")
app.command(lint, name="lint")
app.command(test, name="test")
# Its solver is loaded when it is used.
app.command("mintwarden.app.cli.policy_prove:run", name="prove")
app.command("mintwarden.app.cli.policy_diff:run", name="diff")
app.command("mintwarden.app.cli.policy_impact:run", name="impact")
app.command("mintwarden.app.cli.policy_who_can:run", name="who-can")
app.command("mintwarden.app.cli.policy_what_can:run", name="what-can")
app.command("mintwarden.app.cli.policy_groups:run", name="groups")
app.command("mintwarden.app.cli.policy_promote:run", name="promote")
# Who may change it, and which version governs.
app.command("mintwarden.app.cli.policy_sign:run", name="sign")
app.command("mintwarden.app.cli.policy_pack:run", name="pack")
app.command("mintwarden.app.cli.policy_approve:run", name="approve")
app.command("mintwarden.app.cli.policy_activate:run", name="activate")
app.command("mintwarden.app.cli.policy_rollback:run", name="rollback")
app.command("mintwarden.app.cli.policy_history:run", name="history")
app.command("mintwarden.app.cli.policy_show:run", name="show")
app.command("mintwarden.app.cli.policy_findings:run", name="findings")
app.command("mintwarden.app.cli.policy_keygen:run", name="keygen")
app.command("mintwarden.app.cli.policy_bootstrap:run", name="bootstrap")
