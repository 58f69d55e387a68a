from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console

from bench.chart import bars
from bench.parts import PARTS
from bench.report import charts, load, save, show
from bench.run import main

PART = {
    "taken": {"at": "2026-11-24T08:00:00+00:00"},
    "figures": {
        "mintwarden": {"rate": 7000, "p50_ms": 1, "p99_ms": 2, "cpu_us": 120.0, "rates": [6900, 7000], "batch": 20},
        "ratio": {"rate": 1.4, "cpu": 1.5},
        "other": [1, 2],
    },
    "verdicts": [{"what": "speed", "wanted": "at least 1.3 x", "found": "1.40 x", "met": True}],
}
STEPS = {"figures": {"client_secret_basic": {"5 decide": 12.0, "all of a request": 100.0}}, "verdicts": []}


def test_everything_is_shown():
    out = io.StringIO()
    times = {"figures": {"18 assertions": {"seconds": 4.25, "all": [4.25], "note": "proved"}}, "verdicts": []}
    show({"rates": PART, "steps": STEPS, "prove": times}, Console(file=out, width=140))
    for text in ("4.25", "proved", "7,000", "120.0", "1.40 x", "[1, 2]", "at least 1.3 x", "met", "5 decide", "12.0"):
        assert text in out.getvalue()


def test_results_are_kept_with_their_charts(tmp_path):
    results = {"machine": {"cores": 2}, "parts": {"rates": PART, "steps": STEPS, "rules": PART}}
    save(tmp_path, "latest", results)
    assert load(tmp_path, "latest") == results
    assert {path.name for path in tmp_path.glob("*.svg")} == {
        "latest-rates.svg",
        "latest-steps.svg",
        "latest-growth.svg",
    }
    assert load(tmp_path, "other") == {}


def test_a_chart_is_well_formed_and_names_are_escaped():
    root = ET.fromstring(bars("a < b", {"mintwarden <1>": 10.0, "oidc-provider": 5.0}))
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["a < b", "mintwarden <1>", "10", "oidc-provider", "5"]
    widths = [node.get("width") for node in root.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert widths == ["420.0", "210.0"]
    assert charts({}) == {}


def test_an_unknown_part_is_refused_and_the_known_ones_are_named(capsys):
    with pytest.raises(SystemExit):
        main(["--only", "nonsense"])
    told = capsys.readouterr().err
    assert "nonsense" in told
    assert all(part.name in told for part in PARTS)


def test_help_names_every_part(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(part.about in told for part in PARTS)
