"""`mintwarden demo ...`: the example company at work; each command is a file of its own."""

from __future__ import annotations

import cyclopts

from mintwarden.app.cli.demo_company import run as company
from mintwarden.app.cli.demo_traffic import run as traffic

app = cyclopts.App(name="demo", help="Put the example company to work, to try things on.")
app.command(company, name="company")
app.command(traffic, name="traffic")
app.command("mintwarden.app.cli.demo_load:run", name="load")
