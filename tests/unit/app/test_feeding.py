"""What speaks SCIM is loaded where a source is fed, and nowhere else."""

from __future__ import annotations

import subprocess
import sys


def test_a_server_that_feeds_nothing_loads_none_of_it():
    code = (
        "import sys; import mintwarden.app.cli.serve, mintwarden.app.wiring;"
        "print([name for name in sys.modules if name.startswith(('scim2', 'pydantic', 'lark', 'mintwarden.app.scim'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
