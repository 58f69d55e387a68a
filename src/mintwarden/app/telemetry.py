"""What the operator sees of one process: logs, metrics and, where configured, traces."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from mintwarden.app.clock import SystemClock
from mintwarden.app.config import Config
from mintwarden.app.logs import LineWriter, Logs
from mintwarden.app.observe import Watch
from mintwarden.app.traces import Tracing, open_tracing
from mintwarden.issue.judge import Judge
from mintwarden.issue.pipeline import Outcome
from mintwarden.model.request import TokenRequest
from mintwarden.web.metrics import Metrics
from mintwarden.web.reply import Handler

Step = TypeVar("Step", bound=Callable[..., Awaitable[Any]])
Issue = Callable[[TokenRequest], Awaitable[Outcome]]


class Telemetry:
    """Logs, metrics and the watch that feeds them; `traced...` put spans around parts of the line, or nothing."""

    def __init__(self, *, logs: Logs, metrics: Metrics, watch: Watch, tracing: Tracing | None) -> None:
        self.logs = logs
        self.metrics = metrics
        self.watch = watch
        self._tracing = tracing

    def traced(self, name: str, step: Step) -> Step:
        """The step, with a span around it."""
        return step if self._tracing is None else self._tracing.step(name, step)

    def traced_judge(self, judge: Judge) -> Judge:
        """The judge, its decisions timed."""
        return judge if self._tracing is None else self._tracing.judge(judge)

    def traced_issue(self, issue: Issue) -> Issue:
        """The whole line, as the children of its request's span."""
        return issue if self._tracing is None else self._tracing.issue(issue)

    def traced_surface(self, surface: Handler) -> Handler:
        """The surface, with a span for each token request."""
        return surface if self._tracing is None else self._tracing.surface(surface)

    def close(self) -> None:
        """Send what has not been sent, and write what has not been written. It may block."""
        if self._tracing is not None:
            self._tracing.close()
        self.logs.writer.flush()


def open_telemetry(config: Config) -> Telemetry:
    """Telemetry as configured; logs go to standard error."""
    metrics = Metrics()
    writer = LineWriter(
        sys.stderr.buffer, dropped=lambda count: metrics.count("mintwarden_log_lines_dropped_total", by=count)
    )
    logs = Logs(writer, level=config.telemetry.log_level, form=config.telemetry.log_format)
    logs.adopt("uvicorn.error", "asyncio")
    logs.silence("uvicorn.access")
    watch = Watch(metrics=metrics, logs=logs, clock=SystemClock())
    endpoint = config.telemetry.otlp_endpoint
    return Telemetry(logs=logs, metrics=metrics, watch=watch, tracing=open_tracing(endpoint) if endpoint else None)
