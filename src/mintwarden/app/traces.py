"""OpenTelemetry traces: one span per token request, with the nine steps of the line as its children.

Made only when `otlp_endpoint` is set; otherwise nothing of this is even imported into the line. The steps are timed
by marks and their spans made after the answer, so that a trace costs the request next to nothing.
"""

from __future__ import annotations

import contextvars
import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from mintwarden import __version__
from mintwarden.issue.judge import Judge
from mintwarden.issue.pipeline import Outcome
from mintwarden.model.asked import Asked
from mintwarden.model.decision import Decision
from mintwarden.model.facts import Facts
from mintwarden.model.request import TokenRequest
from mintwarden.web.reply import Handler, Receive, Scope, Send

AUTHENTICATE, ASSEMBLE, DECIDE = "2 authn.authenticate", "4 context.assemble", "5 policy.decide"
RECORD, SIGN = "7 ledger.record", "8 mint.sign"
PARSE, RESOLVE, PREPARE, RESPOND = "1 web.parse", "3 grant.resolve", "6 mint.prepare", "9 web.respond"

Issue = Callable[[TokenRequest], Awaitable[Outcome]]


class _Marks:
    """Start and end of each step of one request, nanoseconds since the epoch."""

    __slots__ = ("attributes", "begun", "line_begun", "line_ended", "steps")

    def __init__(self) -> None:
        self.begun = time.time_ns()
        self.line_begun = self.line_ended = 0
        self.steps: list[tuple[str, int, int]] = []
        self.attributes: dict[str, str] = {}


class Tracing:
    """Puts marks around the steps and makes spans of them."""

    def __init__(self, *, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("mintwarden", __version__)
        self._marks: contextvars.ContextVar[_Marks | None] = contextvars.ContextVar("marks", default=None)

    def step(self, name: str, step: Any) -> Any:
        """An asynchronous step, marked."""

        @functools.wraps(step)
        async def marked(*args: Any, **kwargs: Any) -> Any:
            marks, begun = self._marks.get(), time.time_ns()
            try:
                return await step(*args, **kwargs)
            finally:
                if marks is not None:
                    marks.steps.append((name, begun, time.time_ns()))

        return marked

    def judge(self, judge: Judge) -> Judge:
        """A judge whose decisions are marked."""
        return _MarkedJudge(judge, self._marks)

    def issue(
        self, issue: Callable[[TokenRequest], Awaitable[Outcome]]
    ) -> Callable[[TokenRequest], Awaitable[Outcome]]:
        """The whole line between parse and respond."""

        async def marked(request: TokenRequest) -> Outcome:
            marks = self._marks.get()
            if marks is None:
                return await issue(request)
            marks.line_begun = time.time_ns()
            marks.attributes["mintwarden.reference"] = request.reference
            try:
                outcome = await issue(request)
            finally:
                marks.line_ended = time.time_ns()
            marks.attributes |= {
                "mintwarden.decision": outcome.decision_id,
                "mintwarden.client": outcome.asked.client_id,
                "mintwarden.audience": outcome.asked.audience,
                "mintwarden.outcome": "granted" if outcome.token is not None else "refused",
            }
            return outcome

        return marked

    def surface(self, surface: Handler) -> Handler:
        """The HTTP surface: a span for each token request, under the caller's trace where it names one."""

        async def marked(scope: Scope, receive: Receive, send: Send) -> None:
            if scope.get("method") != "POST" or not scope["path"].endswith("/token"):
                await surface(scope, receive, send)
                return
            marks = _Marks()
            reset = self._marks.set(marks)
            try:
                await surface(scope, receive, send)
            finally:
                self._marks.reset(reset)
                self._emit(scope, marks)

        return marked

    def close(self) -> None:
        """Send what has not been sent."""
        self._provider.shutdown()

    def _emit(self, scope: Scope, marks: _Marks) -> None:
        ended = time.time_ns()
        carrier = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in (b"traceparent", b"tracestate")
        }
        span = self._tracer.start_span(
            "POST /token",
            context=extract(carrier),
            kind=trace.SpanKind.SERVER,
            start_time=marks.begun,
            attributes=marks.attributes,
        )
        under = trace.set_span_in_context(span)
        for name, begun, end in _nine(marks, ended):
            self._tracer.start_span(name, context=under, start_time=begun).end(end_time=max(begun, end))
        span.end(end_time=ended)


def _nine(marks: _Marks, ended: int) -> list[tuple[str, int, int]]:
    """Every step that was walked; those between two marked ones lie between their marks."""
    line_begun = marks.line_begun or ended
    found = [(PARSE, marks.begun, line_begun), *marks.steps]
    signed = any(name == SIGN for name, _, _ in marks.steps)
    for (before, _, start), (after, end, _) in zip(marks.steps, marks.steps[1:], strict=False):
        if (before, after) == (AUTHENTICATE, ASSEMBLE):
            found.append((RESOLVE, start, end))
        elif (before, after) == (DECIDE, RECORD) and signed:
            found.append((PREPARE, start, end))
    if marks.line_ended:
        found.append((RESPOND, marks.line_ended, ended))
    return sorted(found, key=lambda step: step[1])


class _MarkedJudge(Judge):
    """A judge whose decisions are marked."""

    def __init__(self, judge: Judge, marks: contextvars.ContextVar[_Marks | None]) -> None:
        self._judge = judge
        self._current = marks

    def decide(self, asked: Asked, facts: Facts, now: int, decision_id: bytes) -> Decision:
        marks, begun = self._current.get(), time.time_ns()
        try:
            return self._judge.decide(asked, facts, now, decision_id)
        finally:
            if marks is not None:
                marks.steps.append((DECIDE, begun, time.time_ns()))


def open_tracing(endpoint: str, *, processor: SpanProcessor | None = None) -> Tracing:
    """Traces sent to `endpoint` (OTLP over HTTP), or to `processor`."""
    provider = TracerProvider(resource=Resource.create({"service.name": "mintwarden", "service.version": __version__}))
    provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return Tracing(provider=provider)
