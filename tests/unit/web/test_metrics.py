from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mintwarden.web.metrics import METRICS, SECONDS, Metrics


def test_names_are_plain_and_described():
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"mintwarden_[a-z_]+", metric.name)
        assert (metric.kind == "counter") is metric.name.endswith("_total")
        assert metric.help.endswith(".")


def test_what_is_counted_is_exposed():
    metrics = Metrics(shared="")
    metrics.count("mintwarden_decisions_total", "payments", "client_credentials", "granted")
    metrics.count("mintwarden_decisions_total", "payments", "client_credentials", "granted", by=2)
    metrics.observe("mintwarden_request_seconds", 0.003, "token")
    metrics.set("mintwarden_tree_size", 7)
    kind, body = metrics.render()
    assert kind.startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert samples["mintwarden_decisions_total", "client_credentials", "granted", "payments"] == 3
    assert samples["mintwarden_request_seconds_bucket", "0.005", "token"] == 1
    assert samples["mintwarden_request_seconds_bucket", "0.002", "token"] == 0
    assert samples["mintwarden_tree_size",] == 7


def test_two_registries_do_not_know_each_other():
    one, other = Metrics(shared=""), Metrics(shared="")
    one.count("mintwarden_disagreements_total")
    assert b"mintwarden_disagreements_total 0.0" in other.render()[1]


def test_a_label_cannot_break_the_exposition():
    metrics = Metrics(shared="")
    metrics.count("mintwarden_errors_total", 'x"} 1\nforged_metric 2\n')
    families = text_string_to_metric_families(metrics.render()[1].decode())
    assert "forged_metric" not in {family.name for family in families}


def test_unknown_metrics_are_a_mistake():
    metrics = Metrics(shared="")
    metrics.count("nonsense")
    with pytest.raises(KeyError):
        metrics.render()


@given(st.lists(st.one_of(st.sampled_from(SECONDS), st.floats(0, 20, allow_nan=False)), max_size=40))
def test_many_values_at_once_count_as_they_would_one_by_one(values):
    metrics = Metrics(shared="")
    registry = CollectorRegistry()
    singly = Histogram("mintwarden_request_seconds", "The same.", ["route"], registry=registry, buckets=SECONDS)
    for value in values:
        metrics.observe("mintwarden_request_seconds", value, "token")
        singly.labels("token").observe(value)
    found = _samples(metrics.render()[1].decode(), "mintwarden_request_seconds")
    assert found == pytest.approx(_samples(generate_latest(registry).decode(), "mintwarden_request_seconds"))


def _samples(text: str, name: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.name == name and not sample.name.endswith("_created")
    }
