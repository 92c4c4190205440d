"""Runs the real `handfast` command, with and without a controlling terminal."""

import fcntl
import json
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SRC = Path(__file__).parents[1] / "src"
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Ran:
    """What a command did. `terminal` is what appeared on its controlling terminal."""

    code: int
    out: str
    err: str
    terminal: str = ""

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def problem(self) -> dict[str, Any]:
        found = json.loads(self.err)
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True)
class Command:
    """`handfast` in a world of its own: nothing of the caller's environment but the path."""

    home: Path
    folder: Path
    more: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        kept = ("PATH", "LD_LIBRARY_PATH", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "TMPDIR")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "HOME": str(self.folder),
            "HANDFAST_HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(SRC),
            # Loading it takes over a second of each server; tests of the relay turn it on.
            "HANDFAST_RELAY": "off",
            **self.more,
        }

    def words(self, arguments: Sequence[object]) -> list[str]:
        return [sys.executable, "-m", "handfast", *map(str, arguments)]

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        """A process of its own session, so without a controlling terminal."""
        return subprocess.Popen(
            self.words(arguments),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *arguments: object, stdin: str = "", **more: str) -> Ran:
        """Without a controlling terminal."""
        done = subprocess.run(
            self.words(arguments),
            cwd=self.folder,
            env={**self.environment, **more},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
            start_new_session=True,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def typed(self, *arguments: object, answers: Sequence[tuple[str, str]], **more: str) -> Ran:
        """With a controlling terminal, standard input a pipe. Types each answer at its question."""
        master, slave = pty.openpty()

        def take_terminal() -> None:
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        process = subprocess.Popen(
            self.words(arguments),
            cwd=self.folder,
            env={**self.environment, **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=take_terminal,  # noqa: PLW1509 - one system call, no locks
            pass_fds=(slave,),
        )
        os.close(slave)
        try:
            seen = "".join(_answer(master, question, said) for question, said in answers)
            out, err = process.communicate(input="", timeout=DEADLINE_S)
            seen += _rest(master)
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()
            os.close(master)
        return Ran(process.returncode, out, err, seen)


def _answer(master: int, question: str, said: str) -> str:
    """Read until the question stands there, then type. Gives what was read."""
    deadline = time.monotonic() + DEADLINE_S
    seen = ""
    while question not in seen:
        more = _read(master, deadline - time.monotonic())
        assert more, f"{question!r} was not asked: {seen}"
        seen += more
    os.write(master, said.encode() + b"\n")
    return seen


def _rest(master: int) -> str:
    seen = ""
    while more := _read(master, 1.0):
        seen += more
    return seen


def _read(master: int, timeout_s: float) -> str:
    """'' when nothing came in time, or the other side is closed."""
    ready, _, _ = select.select([master], [], [], max(timeout_s, 0))
    if not ready:
        return ""
    try:
        return os.read(master, 65536).decode(errors="replace")
    except OSError:
        return ""


@contextmanager
def serving(handfast: Command, *more: object) -> Iterator[dict[str, Any]]:
    """`handfast serve` on free ports; gives what it said when it was ready. Ended by SIGTERM."""
    process = handfast.start("serve", "--port", "0", "--runner-port", "0", "--json", *more)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], DEADLINE_S)
        line = process.stdout.readline() if ready else ""
        assert line, process.stderr.read()
        yield json.loads(line)
        process.terminate()
        process.wait(DEADLINE_S)
        assert process.returncode == 0, process.stderr.read()
        assert not (handfast.home / "server.json").exists()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()
