"""The generated directory, handed to the service the way any directory is: a file and `mintwarden directory import`."""

from __future__ import annotations

import json

from mintwarden.app.demo.calls import Broken
from mintwarden.app.demo.directory import generate_directory
from mintwarden.app.demo.process import Finished, command
from mintwarden.app.demo.stage import Stage

FILE = "directory.json"


def import_directory(stage: Stage, now: int) -> Finished:
    """Write the directory of the day of `now` (`Millis`) into the working folder and import it."""
    records = generate_directory(now).records()
    (stage.folder / FILE).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    done = command("directory", "import", FILE, "--show", "0", "--config", stage.config.name, folder=stage.folder)
    if done.code != 0:
        raise Broken("the directory was not imported", hint=done.complaint.strip()[-400:])
    return done
