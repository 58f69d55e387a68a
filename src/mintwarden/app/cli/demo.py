"""`mintwarden demo ...`: the example company at work; each command is a file of its own."""

from __future__ import annotations

import cyclopts

from mintwarden.app.cli.demo_company import run as company
from mintwarden.app.cli.demo_traffic import run as traffic

LOAD = "Ask two servers for tokens while a command runs that changes which version governs, and check."

app = cyclopts.App(name="demo", help="Put the example company to work, to try things on.")
app.command(company, name="company")
app.command(traffic, name="traffic")
app.command("mintwarden.app.cli.demo_load:app", name="load", help=LOAD)
