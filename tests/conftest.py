"""What every test stands on: loopback only, hypothesis profiles, a settable clock, no unexplained skip."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from mintwarden.model.clock import Millis

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


def _is_local(address: object) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = str(address[0])
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.split("%", maxsplit=1)[0]).is_loopback
    except ValueError:
        return False  # a name would have to be looked up first


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> Iterator[None]:
    """The suite never talks to another machine: a connection elsewhere fails before the first packet."""
    patch = pytest.MonkeyPatch()
    for name in ("connect", "connect_ex"):
        real = getattr(socket.socket, name)

        def guarded(self: socket.socket, address: object, _real: Callable[..., object] = real) -> object:
            if not _is_local(address):
                raise AssertionError(f"a test reached for {address!r}; only loopback is allowed")
            return _real(self, address)

        patch.setattr(socket.socket, name, guarded)
    yield
    patch.undo()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`serial` tests run one after the other, on one worker."""
    for item in items:
        if item.get_closest_marker("serial"):
            item.add_marker(pytest.mark.xdist_group("serial"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skip must say why: its reason starts with `explained:`, or it counts as a failure."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not reason.removeprefix("Skipped: ").startswith("explained:"):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: skipped without an explanation: {reason}"
    return report
