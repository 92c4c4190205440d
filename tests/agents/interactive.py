"""An interactive session of the real binary on a terminal of its own."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from handfast.testing.claude_binary import accept_dialogs, claude_env
from handfast.testing.fake_anthropic import FakeAnthropic
from tests.agents.bench import Bench

START_TIMEOUT_S = 30.0


class Terminal:
    """Our end of the terminal. Output is drained while waiting, else the program stalls."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.shown = ""

    def drain(self, for_s: float = 0.05) -> None:
        readable, _, _ = select.select([self._descriptor], [], [], for_s)
        if readable:
            try:
                self.shown += os.read(self._descriptor, 65536).decode("utf-8", "replace")
            except OSError:
                return

    def wait_for(self, holds: Callable[[], bool], timeout_s: float = START_TIMEOUT_S) -> None:
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, f"the screen got: {self.shown[-2000:]!r}"
            self.drain()

    def wait_quiet(self, quiet_s: float = 0.5) -> None:
        """Return when something was shown and nothing more came for `quiet_s`."""
        self.wait_for(lambda: bool(self.shown))
        size, since = len(self.shown), time.monotonic()
        deadline = since + START_TIMEOUT_S
        while time.monotonic() - since < quiet_s:
            assert time.monotonic() < deadline, "the screen never comes to rest"
            self.drain()
            if len(self.shown) != size:
                size, since = len(self.shown), time.monotonic()

    def type(self, words: str) -> None:
        """Type `words`, and Enter once they are on the screen."""
        os.write(self._descriptor, words.encode())
        self.wait_quiet()
        os.write(self._descriptor, b"\r")


@contextmanager
def interactive_claude(bench: Bench, model: FakeAnthropic, *, mode: str) -> Iterator[Terminal]:
    """Start `claude` on a terminal, past its dialogs; ended on the way out."""
    accept_dialogs(bench.home, bench.repo)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        [str(bench.binary), "--permission-mode", mode],
        cwd=bench.repo,
        env={**claude_env(bench.home, model.url), "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        terminal = Terminal(ours)
        terminal.wait_quiet(1.0)
        yield terminal
    finally:
        process.kill()
        process.wait()
        os.close(ours)
