"""Runs the real `handfast` command, with and without a controlling terminal."""

import json
import os
import pty
import select
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.nursery import SRC, Born, nursery

DEADLINE_S = 120.0  # only to end a hang


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
    """`handfast` in a world of its own: nothing of the caller's environment but the path. Its processes come
    from the nursery, with what they load loaded; `words` are for one that is started from nothing."""

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

    def start(self, *arguments: object) -> Born:
        """A process of its own session, so without a controlling terminal."""
        return nursery().start(arguments, self.environment, self.folder)

    def __call__(self, *arguments: object, stdin: str = "", **more: str) -> Ran:
        """Without a controlling terminal."""
        world = {**self.environment, **more}
        process = nursery().start(arguments, world, self.folder, asks=True)
        try:
            out, err = process.communicate(stdin, DEADLINE_S)
        finally:
            process.end()
        return Ran(process.wait(), out, err)

    def typed(self, *arguments: object, answers: Sequence[tuple[str, str]], **more: str) -> Ran:
        """With a controlling terminal, standard input a pipe. Types each answer at its question."""
        master, slave = pty.openpty()
        world = {**self.environment, **more}
        process = nursery().start(arguments, world, self.folder, asks=True, terminal=slave)
        os.close(slave)
        try:
            seen = "".join(_answer(master, question, said) for question, said in answers)
            out, err = process.communicate(timeout=DEADLINE_S)
            seen += _rest(master)
        finally:
            process.end()
            os.close(master)
        return Ran(process.wait(), out, err, seen)


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
    with handfast.start("serve", "--port", "0", "--runner-port", "0", "--json", *more) as process:
        try:
            ready, _, _ = select.select([process.stdout], [], [], DEADLINE_S)
            line = process.stdout.readline() if ready else ""
            assert line, process.stderr.read()
            yield json.loads(line)
            process.terminate()
            assert process.wait(DEADLINE_S) == 0, process.stderr.read()
            assert not (handfast.home / "server.json").exists()
        finally:
            process.kill()
