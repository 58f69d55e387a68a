"""What every test stands on: hypothesis profiles, a settable clock, free ports; and the guards."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from mintwarden.model.clock import Millis
from tests.guards import loopback_only, pytest_runtest_makereport

__all__ = ["loopback_only", "pytest_runtest_makereport"]

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "default", max_examples=100, deadline=None, derandomize=True, suppress_health_check=_SLOW_IS_FINE
)
settings.register_profile("nightly", max_examples=5_000, deadline=None, suppress_health_check=_SLOW_IS_FINE)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

START = Millis(1_795_000_000_000)
"""2026-11-18T11:06:40Z: where the frozen clock stands until a test moves it."""


class FrozenClock:
    """A clock that moves when told to."""

    def __init__(self, start: Millis = START) -> None:
        self.time = start

    def now(self) -> Millis:
        return self.time

    def advance(self, *, seconds: float = 0, millis: int = 0) -> Millis:
        """Move forward, or back for negative values; returns the new time."""
        self.time = Millis(self.time + round(seconds * 1000) + millis)
        return self.time


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Ports that were free a moment ago, each another one."""
    given: set[int] = set()

    def pick() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            if port not in given:
                given.add(port)
                return port

    return pick


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """`serial` tests run one after the other, on one worker; and so does every `xdist_group`.

    pytest-xdist 3.8 tells its groups by `_nodeid`, which pytest 9.2 does not look at any more: without this the tests of
    a group go to all workers, each of which makes what the group shares.
    """
    for item in items:
        if item.get_closest_marker("serial"):
            item.add_marker(pytest.mark.xdist_group("serial"))
    yield
    for item in items:
        named = item.__dict__.get("_nodeid", item.nodeid)
        if named != item.nodeid:
            object.__setattr__(item.id, "_str_cache", named)
