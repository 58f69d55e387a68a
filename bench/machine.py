"""Where and of what the figures were taken."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """The machine, as far as it matters for the figures."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    release = ".".join(platform.release().split(".")[:2])
    return {
        "cores": os.cpu_count(),
        "cpu": cpu_name(Path("/proc/cpuinfo").read_text()),
        "system": f"{platform.system()} {release}",
        "python": platform.python_version(),
        "node": node,
    }


def cpu_name(cpuinfo: str) -> str:
    """The processor's name in the text of `/proc/cpuinfo`."""
    for line in cpuinfo.splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def taken() -> dict[str, Any]:
    """When, of which revision, and how busy the machine was: the load average before the part began."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def revision() -> str:
    """The commit, with a `+` when the sources differ from it."""
    root = Path(__file__).parent.parent
    asked = ["git", "-C", str(root), "describe", "--always", "--exclude=*", "--dirty=+"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
