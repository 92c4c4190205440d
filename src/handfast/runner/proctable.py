"""The operating system's processes, identified so that a reused number fools nobody.

A process is its number and its start: a number comes back, the pair does not within one boot. Linux is
read from `/proc` (proc_pid_stat(5)). Elsewhere `ps` is asked: starts are then exact to the second only,
sessions are process groups, and the environment of others cannot be read.

Imports little: the keeper uses it too.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

LINUX: Final = sys.platform.startswith("linux")
_PS: Final = ("ps", "-axo", "pid=,ppid=,pgid=,stat=,lstart=")
_GONE: Final = "ZX"


class Row(NamedTuple):
    pid: int
    parent: int
    session: int
    started: str  # clock ticks since boot; elsewhere the time `ps` shows
    gone: bool  # ended, but not yet collected by its parent


def boot() -> str:
    """This boot of this machine, and the number space its processes live in."""
    if not LINUX:
        asked = subprocess.run(
            ["sysctl", "-n", "kern.boottime"], capture_output=True, text=True, check=False
        )
        return asked.stdout.strip()
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return f"{boot_id}/{Path('/proc/self/ns/pid').stat().st_ino}"


def table() -> dict[int, Row]:
    if not LINUX:
        return from_ps(_ps())
    names = (entry.name for entry in Path("/proc").iterdir())
    found = (row_of(int(name)) for name in names if name.isdecimal())
    return {row.pid: row for row in found if row is not None}


def row_of(pid: int) -> Row | None:
    if not LINUX:
        return from_ps(_ps()).get(pid)
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in brackets may hold anything, brackets and blanks too; fields count on from behind it.
    state, parent, _, session, *rest = text[text.rindex(")") + 2 :].split()
    return Row(pid, int(parent), int(session), rest[15], state in _GONE)


def is_same(pid: int, started: str) -> bool:
    """Whether this very process is there and has not ended."""
    row = row_of(pid)
    return row is not None and row.started == started and not row.gone


def descendants(rows: dict[int, Row], root: int) -> set[int]:
    """Children of `root`, their children, and so on; without `root`."""
    children: dict[int, list[int]] = {}
    for row in rows.values():
        children.setdefault(row.parent, []).append(row.pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found and child != root:
                found.add(child)
                waiting.append(child)
    return found


def ancestors(rows: dict[int, Row], pid: int) -> set[int]:
    found: set[int] = set()
    while pid in rows and pid not in found:
        found.add(pid)
        pid = rows[pid].parent
    return found


def marked(rows: dict[int, Row], variable: str, value: str) -> set[int]:
    """Processes started with `variable=value` in their environment, as far as they may be read."""
    if not LINUX:
        return set()
    wanted = b"\0" + os.fsencode(f"{variable}={value}") + b"\0"
    found = set()
    for pid in rows:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if wanted in b"\0" + environment + b"\0":
            found.add(pid)
    return found


def is_namespace_init(pid: int) -> bool:
    """Whether it is the first process of a namespace of its own. Its death ends all in it."""
    if not LINUX:
        return False
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
    except OSError:
        return False
    numbers = next((x.split()[1:] for x in status.splitlines() if x.startswith("NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == "1"


def send(row: Row, number: signal.Signals) -> None:
    """Signal the very process of `row`; nothing when it has gone or may not be signalled."""
    try:
        if not hasattr(os, "pidfd_open"):
            if is_same(row.pid, row.started):
                os.kill(row.pid, number)
            return
        handle = os.pidfd_open(row.pid)
    except OSError:
        return
    try:
        # Checked while the handle is held: from here on the number cannot mean another process.
        if is_same(row.pid, row.started):
            signal.pidfd_send_signal(handle, number)
    except OSError:
        return
    finally:
        os.close(handle)


def from_ps(text: str) -> dict[int, Row]:
    rows = {}
    for line in text.splitlines():
        pid, parent, group, state, started = line.split(None, 4)
        rows[int(pid)] = Row(int(pid), int(parent), int(group), started.strip(), state[0] in _GONE)
    return rows


def _ps() -> str:
    asked = subprocess.run(
        _PS, capture_output=True, text=True, check=True, env=os.environ | {"LC_ALL": "C"}
    )
    return asked.stdout
