"""A process that is told to stand still, and has been seen to."""

import os
import signal
import time
from pathlib import Path

DEADLINE_S = 60.0


def state_of_process(pid: int) -> str:
    """As the kernel says it: R, S, T for one that is stopped, Z; '' when there is none."""
    return _state(Path(f"/proc/{pid}/stat"))


def freeze(pid: int) -> None:
    """SIGSTOP. The signal is only sent when `kill` returns: each thread runs on until it takes notice."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + DEADLINE_S
    while not _still(pid):
        assert time.monotonic() < deadline, f"process {pid} does not stand still"
        time.sleep(0.001)


def _still(pid: int) -> bool:
    """Whether none of its threads moves. One that is gone, or only waits to be reaped, does not move."""
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(_state(path) in ("T", "Z", "X", "") for path in threads)


def _state(stat: Path) -> str:
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
