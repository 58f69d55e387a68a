"""`mintwarden review ...`: looks back over recorded decisions; each command is a file of its own."""

from __future__ import annotations

import cyclopts

app = cyclopts.App(name="review", help="Look back over what was decided.")
app.command("mintwarden.app.cli.review_readiness:run", name="readiness")
app.command("mintwarden.app.cli.review_owners:run", name="owners")
