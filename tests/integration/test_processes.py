"""Real processes: started, drained, killed, found again. `agent` below is this file's own script."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from handfast.core.domain.errors import AdapterError, NotFound
from handfast.runner import processes, proctable
from handfast.runner.processes import (
    AgentProcess,
    Launch,
    NeverStarted,
    ProcessIdentity,
    end,
    is_alive,
    read_exit,
    read_identity,
    start,
)
from tests.stillness import freeze

LINUX = pytest.mark.skipif(not proctable.LINUX, reason="needs /proc")
# Writes its number, then does what it is told. `leave` starts what a shell tool leaves behind: a process
# in a session of its own whose parent has gone; `ignore` does not end when asked.
AGENT = """\
import os, signal, subprocess, sys, time
open("agent.pid", "w").write(str(os.getpid()))
SLEEP = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
def left(name, ignore=False, bare=False):
    text = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " * ignore + SLEEP
    middle = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', *sys.argv[1:]], start_new_session=True)"
    subprocess.run([sys.executable, "-c", middle, text, name], env={} if bare else None)
    while not os.path.exists(name) or not open(name).read():
        time.sleep(0.01)
for word in sys.argv[1:]:
    if word == "leave": left("left.pid")
    if word == "leave-bare": left("bare.pid", bare=True)
    if word == "leave-stubborn": left("stubborn.pid", ignore=True)
    if word == "child": subprocess.Popen([sys.executable, "-c", SLEEP, "child.pid"])
    if word == "ignore": signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if word == "ready": open("ready", "w").write("x")
    if word == "sleep": time.sleep(600)
    if word == "fail": sys.exit(3)
    if word == "abort": os.kill(os.getpid(), signal.SIGABRT)
"""


def until(test: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


def number(path: Path) -> int:
    until(lambda: path.exists() and path.read_text())
    return int(path.read_text())


def there(pid: int) -> bool:
    row = proctable.row_of(pid)
    return row is not None and not row.gone


@contextlib.contextmanager
def killed_after(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()


class Place:
    def __init__(self, root: Path) -> None:
        self.cwd = root / "cwd"
        self.cwd.mkdir()
        (root / "agent.py").write_text(AGENT)
        self.folder = root / "process"
        self.root = root
        self.started: list[AgentProcess] = []

    def launch(self, *words: str, **changes: Any) -> Launch:
        command = [sys.executable, str(self.root / "agent.py"), *words]
        mark = f"{self.root}:1"
        launch = Launch(command, self.cwd, {"PATH": os.environ["PATH"]}, mark, grace_s=0.5)
        return replace(launch, **changes)

    def start(self, *words: str, **changes: Any) -> AgentProcess:
        process = start(self.launch(*words, **changes), self.folder)
        assert isinstance(process, AgentProcess)
        self.started.append(process)
        return process


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    for process in place.started:
        process.close()
    for row in proctable.marked(proctable.table(), "HANDFAST_PROCESS", f"{tmp_path}:1"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(row, signal.SIGKILL)


@pytest.fixture
def ignoring() -> Iterator[None]:
    """What a shell has its jobs in the background ignore, and `nohup` those below it."""
    numbers = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in numbers]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def test_exit_code_and_output(place: Place) -> None:
    process = place.start(
        command=["sh", "-c", "cat; echo out; echo err >&2; pwd; exit 7"], stdin=b"in\n"
    )
    found = process.wait(60)
    assert found is not None
    assert (found.code, found.signal, found.ended_by, found.left_behind) == (7, None, "agent", 0)
    assert found.stdout.path.read_text() == f"in\nout\n{place.cwd}\n"
    assert found.stderr.path.read_text() == "err\n"
    assert process.wait() == found == read_exit(place.folder)
    assert not is_alive(process.identity)


def test_signal_is_told_from_a_code(place: Place) -> None:
    found = place.start("abort").wait(60)
    assert found is not None
    assert (found.code, found.signal) == (None, signal.SIGABRT)


@pytest.mark.parametrize(
    ("what", "number"),
    [("missing", errno.ENOENT), ("plain", errno.EACCES), ("folder", errno.EACCES),
     ("format", errno.ENOEXEC), ("cwd", errno.ENOENT)],
)  # fmt: skip
def test_never_started(place: Place, what: str, number: int) -> None:
    program = place.root / what
    if what == "plain":
        program.write_text("#!/bin/sh\n")
    elif what == "folder":
        program.mkdir()
    elif what == "format":
        program.write_bytes(b"\0\0")
        program.chmod(0o755)
    launch = place.launch(command=[str(program)])
    if what == "cwd":
        launch = place.launch(cwd=place.root / "nowhere")
    outcome = start(launch, place.folder)
    assert isinstance(outcome, NeverStarted)
    assert outcome.errno == number
    assert str(place.root / ("nowhere" if what == "cwd" else what)) in outcome.reason
    with pytest.raises(NotFound):
        read_identity(place.folder)


def test_program_is_looked_up_in_the_agents_path(place: Place) -> None:
    tool = place.root / "bin" / "some-agent"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\nexit 5\n")
    tool.chmod(0o755)
    found = place.start(command=["some-agent"], environment={"PATH": str(tool.parent)}).wait(60)
    assert found is not None
    assert found.code == 5


def test_agent_starts_from_a_clean_state(place: Place, ignoring: None) -> None:
    """Exactly the given environment, three open files, no ignored or blocked signal."""
    text = (
        "import json, os, signal\n"
        "ignored = [n for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN]\n"
        "print(json.dumps([dict(os.environ), sorted(os.listdir('/proc/self/fd')), len(ignored),"
        " len(signal.pthread_sigmask(signal.SIG_BLOCK, []))]))\n"
    )
    process = place.start(
        command=[sys.executable, "-I", "-c", text], environment={"A": "é\n", "LC_ALL": "C.UTF-8"}
    )
    found = process.wait(60)
    assert found is not None
    environment, files, ignored, blocked = json.loads(found.stdout.path.read_text())
    assert environment == {"A": "é\n", "LC_ALL": "C.UTF-8", "HANDFAST_PROCESS": f"{place.root}:1"}
    assert files[:3] == ["0", "1", "2"]
    assert len(files) == 4  # and the folder being listed
    assert ignored == 2  # Python's own: SIGPIPE and SIGXFSZ
    assert blocked == 0


def test_nothing_in_the_agents_folder_is_imported(place: Place) -> None:
    for name in ("json", "ctypes", "handfast", "sitecustomize"):
        (place.cwd / f"{name}.py").write_text(
            "open('/proc/self/cwd/sprung', 'w')\nraise SystemExit(9)\n"
        )
    found = place.start(command=["true"]).wait(60)
    assert found is not None
    assert found.code == 0
    assert not (place.cwd / "sprung").exists()


def test_output_is_bounded_and_the_end_is_kept(place: Place) -> None:
    text = "import sys; sys.stdout.write('a' * 3_000_000 + 'the end\\n')"
    process = place.start(command=[sys.executable, "-c", text], head_bytes=1000, tail_bytes=100)
    found = process.wait(60)
    assert found is not None
    assert found.stdout.bytes == 3_000_008
    assert found.stdout.left_out == 3_000_008 - 1100
    kept = found.stdout.path.read_text()
    assert len(kept) < 1200
    assert kept.startswith("a" * 1000 + "\n[")
    assert kept.endswith("aathe end\n")


@pytest.mark.parametrize("size", [999, 1000, 1001, 1100, 1101])
def test_output_at_the_bound_is_whole(place: Place, size: int) -> None:
    process = place.start(
        command=[sys.executable, "-c", f"print('x' * {size - 1})"], head_bytes=1000, tail_bytes=100
    )
    found = process.wait(60)
    assert found is not None
    left_out = max(0, size - 1100)
    assert found.stdout.left_out == left_out
    assert (len(found.stdout.path.read_text()) == size) == (left_out == 0)


def test_output_can_be_read_while_it_runs(place: Place) -> None:
    place.start(command=["sh", "-c", "echo now; exec sleep 600"])
    until(lambda: (place.folder / "stdout").read_text() == "now\n")


def test_what_the_agent_leaves_behind_ends_with_it(place: Place) -> None:
    process = place.start("leave", "leave-bare", "fail")
    left = [number(place.cwd / f"{name}.pid") for name in ("left", "bare")]
    found = process.wait(60)
    assert found is not None
    assert (found.code, found.left_behind) == (3, 2)
    assert not any(there(pid) for pid in left)


def test_end_asks_first_then_kills(place: Place) -> None:
    process = place.start("leave", "leave-stubborn", "child", "ignore", "ready", "sleep")
    until((place.cwd / "ready").exists)
    pids = [number(place.cwd / f"{name}.pid") for name in ("agent", "left", "stubborn", "child")]
    assert is_alive(process.identity)
    assert process.end(0.5).gone
    assert not any(there(pid) for pid in pids)
    found = process.wait(1)
    assert found is not None
    assert (found.signal, found.ended_by) == (signal.SIGKILL, "runner")
    assert end(process.identity).signalled == ()


def test_a_stopped_agent_is_ended(place: Place) -> None:
    process = place.start("child", "ready", "sleep")
    until((place.cwd / "ready").exists)
    freeze(process.identity.agent_pid)
    freeze(process.identity.keeper_pid)
    assert process.end(0.2).gone
    assert not there(process.identity.agent_pid)
    assert not there(process.identity.keeper_pid)


def test_closing_ends_the_agent(place: Place) -> None:
    process = place.start("sleep")
    pid = number(place.cwd / "agent.pid")
    process.close()
    assert not there(pid)
    assert read_exit(place.folder).ended_by == "runner"


def test_started_in_a_thread_that_ended(place: Place) -> None:
    thread = threading.Thread(target=lambda: place.start("sleep"))
    thread.start()
    thread.join()
    pid = number(place.cwd / "agent.pid")
    assert place.started[0].wait(0.3) is None
    assert there(pid)


RUNNER = """\
import os, sys, time
from pathlib import Path
from handfast.runner.processes import Launch, start
root = Path(sys.argv[1])
command = [sys.executable, str(root / "agent.py"), *sys.argv[2:]]
start(Launch(command, root / "cwd", dict(os.environ), f"{root}:1", grace_s=0.5), root / "process")
(root / "runner-ready").touch()
time.sleep(600)
"""


def run_runner(place: Place, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", RUNNER, str(place.root), *words])


@pytest.mark.faults
def test_runner_killed_takes_the_agent_along(place: Place) -> None:
    with (
        run_runner(
            place, "leave", "leave-bare", "leave-stubborn", "child", "ignore", "sleep"
        ) as runner,
        killed_after(runner),
    ):
        names = ("agent", "left", "bare", "stubborn", "child")
        pids = [number(place.cwd / f"{name}.pid") for name in names]
        until((place.root / "runner-ready").exists)
        runner.kill()
    identity = read_identity(place.folder)
    assert identity.agent_pid == pids[0]
    until(lambda: not any(there(pid) for pid in [*pids, identity.keeper_pid]))
    assert read_exit(place.folder).ended_by == "runner_gone"
    assert end(identity).signalled == ()


@LINUX
@pytest.mark.faults
def test_runner_and_keeper_killed(place: Place) -> None:
    """The kernel ends the agent; a new runner finds the rest by the recorded identity."""
    with run_runner(place, "leave", "child", "sleep") as runner, killed_after(runner):
        agent, left, child = (
            number(place.cwd / f"{name}.pid") for name in ("agent", "left", "child")
        )
        until((place.root / "runner-ready").exists)
        identity = read_identity(place.folder)
        freeze(runner.pid)
        os.kill(identity.keeper_pid, signal.SIGKILL)
        runner.kill()
    until(lambda: not there(agent))
    assert not is_alive(identity)
    assert there(left)
    ended = end(identity, 0.5)
    assert ended.gone
    assert set(ended.signalled) == {left, child}
    assert not there(left)
    assert not there(child)
    assert read_exit(place.folder).ended_by == "unknown"


@LINUX
@pytest.mark.faults
def test_keeper_killed_beside_a_live_runner(place: Place) -> None:
    process = place.start("leave", "sleep")
    left = number(place.cwd / "left.pid")
    os.kill(process.identity.keeper_pid, signal.SIGKILL)
    found = process.wait(60)
    assert found is not None
    assert (found.code, found.signal, found.ended_by) == (None, None, "unknown")
    assert not there(left)


def test_a_reused_number_is_left_alone(place: Place) -> None:
    process = place.start("sleep")
    identity = process.identity
    with (
        subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger,
        killed_after(stranger),
    ):
        row = proctable.row_of(stranger.pid)
        assert row is not None
        before = str(int(row.started) - 1)
        for other in (
            ProcessIdentity(identity.boot, stranger.pid, before, stranger.pid, before, "another"),
            replace(identity, boot="another boot"),
            ProcessIdentity("", stranger.pid, row.started, stranger.pid, row.started, "another"),
        ):
            assert not is_alive(other)
            assert end(other, 0.1).signalled == ()
        assert there(stranger.pid)
        assert is_alive(identity)


@LINUX
def test_ending_spares_who_asks(place: Place) -> None:
    """`end` called from inside the run ends the rest, and not itself."""
    text = (
        "import os, sys; from handfast.runner.processes import *; from pathlib import Path\n"
        "import time\n"
        "while not os.path.exists(sys.argv[1] + '/process.json'): time.sleep(0.01)\n"
        "from handfast.runner import proctable\n"
        "identity = read_identity(Path(sys.argv[1]))\n"
        "from handfast.runner import processes\n"
        "rows = processes.members(identity)\n"
        "print(os.getpid() in [row.pid for row in rows])\n"
    )
    found = place.start(command=[sys.executable, "-c", text, str(place.folder)]).wait(60)
    assert found is not None
    assert found.stdout.path.read_text() == "False\n"


@LINUX
def test_names_with_brackets_do_not_confuse(place: Place) -> None:
    program = place.root / "x) S 1 (y"
    program.symlink_to("/bin/sleep")
    process = place.start(command=[str(program), "600"])
    row = proctable.row_of(process.identity.agent_pid)
    assert row is not None
    assert row.parent == process.identity.keeper_pid
    assert row.session == process.identity.agent_pid
    assert row.started == process.identity.agent_started


def test_rows_of_ps_are_read() -> None:
    text = (
        "    1     0     1 Ss   Sun Nov 23 08:29:01 2026\n"
        "  345     1   345 Z+   Sun Nov 23 08:30:00 2026\n"
    )
    rows = proctable.from_ps(text)
    assert rows[1] == proctable.Row(1, 0, 1, "Sun Nov 23 08:29:01 2026", gone=False)
    assert rows[345].gone
    assert proctable.descendants(rows, 1) == {345}
    assert proctable.ancestors(rows, 345) == {
        345,
        1,
    }


@pytest.mark.parametrize("python", ["/bin/false", "/nonexistent"])
def test_a_broken_keeper_is_said_so(
    place: Place, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_PYTHON", python)
    with pytest.raises(AdapterError) as caught:
        start(place.launch("sleep"), place.folder)
    assert caught.value.code == "keeper_failed"
