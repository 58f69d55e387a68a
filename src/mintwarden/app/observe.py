"""Turns what the rooms tell of their work into metrics and log lines."""

from __future__ import annotations

import traceback

from mintwarden.app.logs import Logs
from mintwarden.model.clock import Clock
from mintwarden.model.decision import Decision
from mintwarden.model.errors import MintwardenError
from mintwarden.model.ids import decision_text
from mintwarden.policy.mode_changes import ModeChange
from mintwarden.web.metrics import Metrics
from mintwarden.web.observe import Served


class Watch:
    """Hears of requests, failures, disagreements and background work."""

    def __init__(self, *, metrics: Metrics, logs: Logs, clock: Clock) -> None:
        self._metrics = metrics
        self._logs = logs
        self._clock = clock
        self._down = 0

    def served(self, what: Served) -> None:
        """A request was answered."""
        metrics = self._metrics
        metrics.count("mintwarden_requests_total", what.route, str(what.status), what.outcome)
        metrics.observe("mintwarden_request_seconds", what.seconds, what.route)
        if what.decision:
            outcome = "granted" if what.outcome == "granted" else "refused"
            metrics.count("mintwarden_decisions_total", what.audience, what.grant, outcome)
            for reason in what.reasons:
                metrics.count("mintwarden_refusals_total", what.audience, reason)
        self._logs.request(what, self._clock.now())

    def committed(self, entries: int) -> None:
        """So many ledger entries became durable together."""
        self._metrics.observe("mintwarden_ledger_batch_entries", entries)

    def failed(self, reference: str, error: BaseException) -> None:
        """An error that the client is not told about: kind and hint, or the traceback of an unforeseen one."""
        if isinstance(error, MintwardenError):
            self._metrics.count("mintwarden_errors_total", error.kind.value)
            self._logs.logger.error(
                "failed", reference=reference, kind=error.kind.value, what=error.public, hint=error.hint
            )
            return
        self._metrics.count("mintwarden_errors_total", "unforeseen")
        self._logs.logger.error(
            "failed", reference=reference, kind="unforeseen", type=type(error).__name__, trace=_trace(error)
        )

    def not_ready(self, part: str, error: BaseException) -> None:
        """A part of the service cannot do its work."""
        self._logs.logger.warning("not ready", part=part, what=_brief(error))

    def stumbled(self, task: str, error: BaseException) -> None:
        """A run of a background task failed; it will be tried again."""
        self._metrics.count("mintwarden_background_failures_total", task)
        hint = error.hint if isinstance(error, MintwardenError) else ""
        self._logs.logger.error("background task failed", task=task, what=_brief(error), hint=hint)

    def notice_became(self, about: str, outcome: str) -> None:
        """A notice to a client was `delivered`, an attempt `failed`, or one was `given_up`; `about` what it is."""
        self._metrics.count(f"mintwarden_{about}_notices_total", outcome)

    def notice_failed(self, about: str, client_id: str, error: MintwardenError) -> None:
        """A client was not told at the first attempt: said at once, since the last one is hours away."""
        self._logs.logger.warning(
            "client not told yet", about=about, client_id=client_id, what=_brief(error), hint=error.hint
        )

    def notices_waiting(self, about: str, waiting: int) -> None:
        """So many are kept until their clients have them."""
        self._metrics.set(f"mintwarden_{about}_notices_waiting", waiting)

    def signalled(self, transmitter: str, event: str, outcome: str) -> None:
        """A security event was `applied`, `ignored`, `replayed` or `refused`, or `nothing` had to follow from it.

        `event` is a short name of ours, or `other`.
        """
        self._metrics.count("mintwarden_signals_total", transmitter, event, outcome)

    def signal_told(self, transmitter: str, event: str, what: str) -> None:
        """What whoever runs this may want to know of a transmitter's events; nothing that it sent is in it."""
        tell = self._logs.logger.info if event == "other" else self._logs.logger.warning
        tell("security event", transmitter=transmitter, event_type=event, what=what)

    def disagreement(self, bundle: str, decision_id: bytes, compiled: Decision, cedar: Decision) -> None:
        """The compiled rules and Cedar disagreed: an alarm, and the bundle runs on Cedar alone from now on."""
        self._metrics.count("mintwarden_disagreements_total")
        self._metrics.set("mintwarden_cedar_alone", 1)
        self._logs.logger.error(
            "the compiled rules and Cedar disagree: the bundle runs on Cedar alone",
            bundle=bundle,
            decision=decision_text(decision_id),
            compiled=list(compiled.granted_scopes),
            cedar=list(cedar.granted_scopes),
        )

    def returned(self, change: ModeChange) -> None:
        """An audience or a guardrail enforces again: its time to observe is over."""
        self._logs.logger.warning("back from observing by itself", what=change.what, name=change.id, to=change.after)

    def downgrades(self, count: int) -> None:
        """How many audiences enforce less than they did, for a while: any is an alert."""
        self._metrics.set("mintwarden_downgrades", count)
        if count > self._down:
            self._logs.logger.warning("less is enforced than before, for a while", audiences=count)
        self._down = count

    def emergency(self, number: int, digest: str) -> None:
        """An emergency version governs on this node, by that activation: an alarm; 0 when none does."""
        self._metrics.set("mintwarden_break_glass", 1 if number else 0)
        if number:
            self._logs.logger.error("break-glass: an emergency version governs", activation=number, digest=digest)


def _brief(error: BaseException) -> str:
    if isinstance(error, MintwardenError):
        return error.public
    return type(error).__name__


def _trace(error: BaseException) -> list[str]:
    """Where it happened, without the error's own text, which may quote what a client sent."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)][
        -12:
    ]
