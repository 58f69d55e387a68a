"""`mintwarden review ...`: looks back over recorded decisions; each command is a file of its own."""

from __future__ import annotations

import cyclopts

READINESS = "Tell who would lose what if an audience that observes enforced, and whether it is ready."
OWNERS = "Find scopes, clients, sources, rules and exceptions whose owner has left the directory."

app = cyclopts.App(name="review", help="Look back over what was decided.")
app.command("mintwarden.app.cli.review_readiness:app", name="readiness", help=READINESS)
app.command("mintwarden.app.cli.review_owners:app", name="owners", help=OWNERS)
