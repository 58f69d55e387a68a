"""What is read from processes, tools and servers, and what is made of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from bench.compare import Measured, ratio, summary
from bench.flood import parse_answer, percentile
from bench.load import LoadError, Run, read_run
from bench.machine import cpu_name
from bench.part import at_least, no_dearer
from bench.parts.memory import growth
from bench.process import TICKS, Turns, cpu_seconds, end, memory_kib, parse_cpu, parse_memory
from bench.servers import read_metric


def test_processor_time_is_read_behind_a_name_that_holds_anything():
    assert parse_cpu("7 (a) R (b c) S 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0") == 200 / TICKS


def test_memory_is_the_processs_own():
    assert parse_memory("VmRSS:\t  900 kB\nRssAnon:\t  512 kB\nRssFile:\t 388 kB\n") == 512
    assert parse_memory("Name:\tkthreadd\n") == 0
    assert memory_kib(os.getpid()) > 1_000
    assert cpu_seconds(os.getpid()) > 0


def test_a_process_runs_only_in_its_turn_and_ends_even_when_stopped():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    turns = Turns(process)
    turns.pause()
    assert os.waitpid(process.pid, os.WUNTRACED)[1] == signal.SIGSTOP << 8 | 0x7F
    with turns.running():
        pass
    end(process)
    assert process.returncode == -signal.SIGTERM


TOLD = {
    "requests": 300, "duration_us": 2_000_000, "failures": 0, "position": 310, "wraps": 0, "socket_errors": 0,
    "p50_us": 1_500, "p90_us": 2_000, "p99_us": 9_000, "max_us": 12_000,
}  # fmt: skip


def test_a_run_is_read():
    run = read_run(TOLD, first=1_000, connections=64)
    assert (run.rate, run.p50, run.p99) == (150, 1.5, 9)
    assert run.position == 1_000 + 310 + 64  # those in flight count as sent: no proof is used twice


@pytest.mark.parametrize("fault", ["failures", "socket_errors", "wraps"])
def test_a_tainted_run_does_not_count(fault):
    with pytest.raises(LoadError):
        read_run({**TOLD, fault: 1}, first=0, connections=64)


def measured(rate, p99, cpu, batch=None):
    run = Run(rate=rate, p50=1, p90=1, p99=p99, worst=1, requests=1, position=1, failures=0)
    return Measured(run=run, cpu_us=cpu, batch=batch)


def test_a_summary_is_the_median_run():
    found = summary([measured(90, 3, 150), measured(100, 5, 120, 20), measured(70, 9, 110, 30)])
    assert (found["rate"], found["p99_ms"], found["cpu_us"], found["batch"]) == (90, 3, 120, 25)
    assert found["rates"] == [90, 100, 70]


def test_a_ratio_is_of_tokens_in_the_same_time_and_for_the_same_processor_time():
    assert ratio({"rate": 150, "cpu_us": 100}, {"rate": 100, "cpu_us": 140}) == {"rate": 1.5, "cpu": 1.4}


def test_verdicts():
    assert at_least("x", 1.3, 1.3).met
    assert not at_least("x", 1.29, 1.3).met
    small, large = {"cpu_us": 100, "rate": 100}, {"cpu_us": 114, "rate": 50}
    assert no_dearer("x", small, large, percent=15).met
    assert not no_dearer("x", small, large, percent=10).met


def test_growth_of_memory_is_that_of_the_last_half():
    assert growth([(100, 50.0), (200, 100.0), (300, 100.0), (400, 100.0)]) == 0.0
    assert growth([(100, 50.0), (190, 50.0), (250, 100.0), (400, 110.0)]) == 10.0
    assert growth([(100, 50.0)]) == 0.0


def test_a_metric_is_the_sum_of_its_samples():
    text = '# HELP a_total b\na_total{x="1"} 2.0\na_total{x="2"} 3.0\na_total_created 9\n'
    assert read_metric(text, "a_total") == 5
    assert read_metric(text, "b") == 0


def test_the_processor_is_named():
    assert cpu_name("processor : 0\nmodel name : Fast One\n") == "Fast One"
    assert cpu_name("") != ""


def test_an_answer_is_read_when_it_is_whole():
    whole = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 2\r\n\r\n{}"
    assert parse_answer(whole) == (503, 2.0)
    assert parse_answer(whole[:-1]) is None
    assert parse_answer(whole[:20]) is None
    assert parse_answer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") == (200, 0.0)


def test_percentiles():
    assert percentile([], 0.99) == 0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2
    assert percentile([3.0, 1.0, 2.0], 1.0) == 3
