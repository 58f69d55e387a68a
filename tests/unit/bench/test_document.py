from __future__ import annotations

import pytest

from bench.document import BEGIN, END, NOTHING, PAGE, document, figures
from bench.report import load
from bench.run import RESULTS

RESULTS_OF_TWO = {
    "machine": {"cores": 2, "cpu": "Fast One", "system": "Linux 6.1", "python": "3.13.5", "node": "v20"},
    "parts": {
        "rates": {
            "about": "tokens per second",
            "taken": {"at": "2026-11-24T08:00:00+00:00", "revision": "abc", "load_average": [0.1, 0.2, 0.3]},
            "figures": {
                "mintwarden": {"rate": 7000, "p50_ms": 1, "p99_ms": 2, "cpu_us": 120.0, "rates": [6900, 7100]},
                "ratio": {"rate": 1.4, "cpu": 1.5},
            },
            "verdicts": [{"what": "speed", "wanted": "at least 1.3 x", "found": "1.40 x", "met": True}],
        },
        "steps": {
            "about": "what each step costs",
            "taken": {"at": "2026-11-24T08:00:00+00:00", "revision": "abc", "load_average": [0.1, 0.2, 0.3]},
            "figures": {"client_secret_basic": {"5 decide": 12.0}},
            "verdicts": [],
        },
    },
}


def test_figures_are_tables_of_every_part():
    text = figures(RESULTS_OF_TWO)
    assert "| speed | at least 1.3 x | 1.40 x | met |" in text
    assert "| mintwarden | 7,000 | 1 | 2 | 120.0 |  | 6,900 7,100 |" in text
    assert "| ratio | **1.40 x** |  |  | 1.50 x |  |  |" in text
    assert "| 5 decide | 12.0 |" in text
    assert "latest-steps.svg" in text
    assert "latest-growth.svg" not in text


def test_what_takes_seconds_is_told_in_seconds():
    part = {
        "about": "seconds to prove",
        "taken": {"at": "2026-11-24T08:00:00+00:00", "revision": "abc", "load_average": [0.1, 0.2, 0.3]},
        "verdicts": [],
        "figures": {"18 assertions": {"seconds": 4.1, "all": [4.0, 4.1, 4.3], "cpu_seconds": [3.9], "note": "proved"}},
    }
    text = figures({**RESULTS_OF_TWO, "parts": {"prove": part}})
    assert "|  | seconds | CPU seconds | runs | what |" in text
    assert "| 18 assertions | 4.1 | 3.9 | 4 4.1 4.3 | proved |" in text


def test_the_page_is_written_between_the_marks_and_nowhere_else():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    written = document(page, {})
    assert written == f"before\n{BEGIN}\n\n{NOTHING}\n\n{END}\nafter\n"
    assert document(written, RESULTS_OF_TWO) == document(page, RESULTS_OF_TWO)
    with pytest.raises(ValueError, match="no place"):
        document("nothing here", {})


def test_the_documentation_shows_the_kept_results():
    page = PAGE.read_text(encoding="utf-8")
    assert page == document(page, load(RESULTS, "latest")), "run `python -m bench --document`"
