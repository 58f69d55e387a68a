"""How much the suite takes on: what a suite can wait for, or everything at the size that the documentation speaks of."""

from __future__ import annotations

import os

FULL_SIZE = os.environ.get("MINTWARDEN_TEST_SIZE") == "full"
"""Set by `make scale`."""
