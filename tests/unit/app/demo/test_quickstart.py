"""The demonstration while it serves."""

from __future__ import annotations

import io

import httpx2
import pytest
from rich.console import Console

from mintwarden.app.demo.calls import Broken
from mintwarden.app.demo.quickstart import RENEWAL, SOON, renewed


def test_a_manifest_is_written_anew_now_and_then() -> None:
    written: list[str] = []
    said = io.StringIO()
    assert renewed(lambda: written.append("anew"), Console(file=said)) == RENEWAL
    assert (written, said.getvalue()) == (["anew"], "")


@pytest.mark.parametrize("error", [Broken("`/token` answered 503 [bold]"), httpx2.ReadTimeout("too slow [bold]")])
def test_a_server_that_is_busy_then_ends_no_demonstration(error: Exception) -> None:
    def write() -> None:
        raise error

    said = io.StringIO()
    assert renewed(write, Console(file=said, width=200)) == SOON < RENEWAL
    assert said.getvalue().startswith("the manifest stays as it was for now: ")
    assert "[bold]" in said.getvalue()
