"""A server process under measurement: what it used, and stopping it while another one is measured."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
SETTLE_SECONDS = 0.2
"""How long a server gets to finish what is under way before it is stopped."""

SERVER_CORE, LOAD_CORE = 0, 1


def pinned(command: list[str], core: int | None) -> list[str]:
    """The command on one core; as it is on a machine that has only one."""
    if core is None or (os.cpu_count() or 1) < 2:
        return command
    return ["taskset", "-c", str(core), *command]


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process so far, in user and kernel, as `/proc/PID/stat` has it."""
    return parse_cpu(Path(f"/proc/{pid}/stat").read_text())


def parse_cpu(stat: str) -> float:
    """Seconds of `utime` and `stime` in the text of a `stat` file; the command's name may hold anything."""
    fields = stat.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_kib(pid: int) -> int:
    """Resident memory that is the process's own (`RssAnon`), in KiB: pages of files that it reads are not."""
    return parse_memory(Path(f"/proc/{pid}/status").read_text())


def parse_memory(status: str) -> int:
    """`RssAnon` in the text of a `status` file, in KiB; 0 when there is none."""
    for line in status.splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    return 0


class Turns:
    """Processes of which one set runs at a time; the others are stopped (SIGSTOP) and use nothing."""

    def __init__(self, *processes: subprocess.Popen[bytes]) -> None:
        self.processes = processes

    def pause(self) -> None:
        """Stop them, after what is under way."""
        time.sleep(SETTLE_SECONDS)
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let them run."""
        self._signal(signal.SIGCONT)

    @contextmanager
    def running(self) -> Iterator[None]:
        """They run inside the block only."""
        self.resume()
        try:
            yield
        finally:
            self.pause()

    def _signal(self, number: signal.Signals) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(number)


def end(process: subprocess.Popen[bytes], limit: float = 30.0) -> None:
    """Ask a process to end, stopped or not, and wait; kill it when it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
