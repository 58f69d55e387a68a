"""Every metric as data, and the registry that holds them. `docs/operations.md` has a heading for each, checked."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""Set before the program starts its workers: where they keep the numbers that they share."""


MAX_GATHERED = 10_000
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
ENTRIES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)


class Metric(Struct, frozen=True):
    """A metric: its name as exposed, its kind, what it counts, its labels, and a histogram's bounds."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SECONDS


METRICS: tuple[Metric, ...] = (
    Metric("mintwarden_requests_total", "counter", "Answered requests.", ("route", "status", "outcome")),
    Metric("mintwarden_request_seconds", "histogram", "From the first byte read to the answer.", ("route",)),
    Metric("mintwarden_decisions_total", "counter", "Recorded decisions.", ("audience", "grant", "outcome")),
    Metric("mintwarden_refusals_total", "counter", "Refused scopes by reason.", ("audience", "reason")),
    Metric("mintwarden_requests_arriving", "gauge", "Requests that have not arrived whole."),
    Metric("mintwarden_requests_in_flight", "gauge", "Requests being worked on."),
    Metric("mintwarden_requests_waiting", "gauge", "Requests waiting for their turn."),
    Metric("mintwarden_reads_waiting", "gauge", "Reads of the log and of status lists waiting for their turn."),
    Metric("mintwarden_errors_total", "counter", "Errors that clients are not told about.", ("kind",)),
    Metric(
        "mintwarden_disagreements_total",
        "counter",
        "Decisions on which the compiled rules and Cedar disagreed: any is an alarm.",
    ),
    Metric("mintwarden_cedar_alone", "gauge", "1 when the bundle runs on Cedar alone after a disagreement."),
    Metric("mintwarden_break_glass", "gauge", "1 while an emergency version governs."),
    Metric("mintwarden_background_failures_total", "counter", "Failed runs of a background task.", ("task",)),
    Metric("mintwarden_logout_notices_total", "counter", "Notices to clients that a session ended.", ("outcome",)),
    Metric("mintwarden_logout_notices_waiting", "gauge", "Notices that their clients have not taken yet."),
    Metric("mintwarden_ssf_notices_total", "counter", "Security events that are pushed to receivers.", ("outcome",)),
    Metric("mintwarden_ssf_notices_waiting", "gauge", "Security events that their receivers have not taken yet."),
    Metric("mintwarden_ciba_notices_total", "counter", "Answers of people that clients are told of.", ("outcome",)),
    Metric("mintwarden_ciba_notices_waiting", "gauge", "Answers that their clients have not taken yet."),
    Metric(
        "mintwarden_signals_total",
        "counter",
        "Security events of transmitters that are listened to.",
        ("transmitter", "event", "outcome"),
    ),
    Metric("mintwarden_ledger_batch_entries", "histogram", "Entries of one durable commit.", buckets=ENTRIES),
    Metric("mintwarden_tree_size", "gauge", "Entries under the published checkpoint."),
    Metric("mintwarden_sequencer_quiet_seconds", "gauge", "Since the sequencer last ran without a failure."),
    Metric("mintwarden_index_behind", "gauge", "Entries that the search of decisions does not know of yet."),
    Metric("mintwarden_log_lines_dropped_total", "counter", "Log lines that nobody took in time."),
    Metric("mintwarden_downgrades", "gauge", "Audiences that enforce less for a while: any is an alert."),
    Metric("mintwarden_bundle_info", "gauge", "The bundle in force.", ("name", "digest")),
)


class _Histogram(Histogram):
    """Takes many values at once: one by one, each costs two locks and a walk over the bounds."""

    def take(self, values: Sequence[float]) -> None:
        """Observe all of `values`."""
        bounds, counts = self._upper_bounds, [0] * len(self._upper_bounds)
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self._sum.inc(sum(values))
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class Metrics:
    """The metrics of one process, on a registry of their own; with several workers, of all of them together."""

    def __init__(self, *, shared: str | None = None) -> None:
        """`shared` is the directory of `MULTIPROCESS`, by default what the environment says."""
        self._shared = os.environ.get(MULTIPROCESS) if shared is None else shared
        self._registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, _Histogram] = {}
        self._children: dict[tuple[str, ...], Callable[[Any], None]] = {}
        self._counted: dict[tuple[str, ...], float] = {}
        self._observed: dict[tuple[str, ...], list[float]] = {}
        for metric in METRICS:
            self._add(metric)

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Add to a counter; labels in the order of its declaration."""
        key = (name, *labels)
        self._counted[key] = self._counted.get(key, 0) + by

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Put a value into a histogram."""
        key = (name, *labels)
        values = self._observed.get(key)
        if values is None:
            self._observed[key] = [value]
            return
        values.append(value)
        if len(values) >= MAX_GATHERED:
            self.settle()

    def settle(self) -> None:
        """Hand what was gathered to the registry; done before each scrape, and every few seconds beside.

        The registry takes a lock for every number: too much to pay for each request on its own.
        """
        counted, self._counted = self._counted, {}
        for key, by in counted.items():
            self._child(self._counters, key, "inc")(by)
        observed, self._observed = self._observed, {}
        for key, values in observed.items():
            self._child(self._histograms, key, "take")(values)

    def _child(
        self, metrics: Mapping[str, Counter] | Mapping[str, _Histogram], key: tuple[str, ...], verb: str
    ) -> Callable[[Any], None]:
        found = self._children.get(key)
        if found is None:
            metric, labels = metrics[key[0]], key[1:]
            found = self._children[key] = getattr(metric.labels(*labels) if labels else metric, verb)
        return found

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(*labels) if labels else gauge).set(value)

    def render(self) -> tuple[str, bytes]:
        """Content type and body as Prometheus reads them."""
        self.settle()
        registry = self._registry
        if self._shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=self._shared)  # type: ignore[no-untyped-call]
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry)

    def _add(self, metric: Metric) -> None:
        if metric.kind == "counter":
            self._counters[metric.name] = Counter(metric.name, metric.help, metric.labels, registry=self._registry)
        elif metric.kind == "gauge":
            together: Literal["livesum", "livemax"] = (
                "livesum" if metric.name.startswith("mintwarden_requests") else "livemax"
            )
            self._gauges[metric.name] = Gauge(
                metric.name, metric.help, metric.labels, registry=self._registry, multiprocess_mode=together
            )
        else:
            self._histograms[metric.name] = _Histogram(
                metric.name, metric.help, metric.labels, registry=self._registry, buckets=metric.buckets
            )
