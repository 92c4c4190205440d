"""One process of the product each: started from the nursery, armed, watched, ended."""

import atexit
import json
import resource
import select
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.commands import Command, Ran
from tests.faults.checker import Json
from tests.faults.nursery import Born, Nursery

DEADLINE_S = 60.0


@cache
def nursery() -> Nursery:
    """One for this process of the tests, made at its first use."""
    made = Nursery()
    atexit.register(made.close)
    return made


@dataclass(frozen=True)
class Given:
    """What a process is started with besides its command: a fault point, a shifted clock, a planted bug."""

    fault: str = ""
    clock: Path | None = None
    plant: str = ""


SOUND = Given()


@dataclass
class Part:
    """A server or a runner."""

    process: Born
    log: Path
    given: Given = SOUND

    @property
    def fault(self) -> str:
        return self.given.fault

    @property
    def killed(self) -> bool:
        return self.process.poll() == -signal.SIGKILL

    @property
    def stopped(self) -> bool:
        """Whether it stands still, as its fault has told it."""
        try:
            text = Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return False
        return text.rpartition(")")[2].split()[0] == "T"

    def ready(self) -> Json:
        """What it said when it was ready."""
        out = self.process.stdout
        seen, _, _ = select.select([out], [], [], DEADLINE_S)
        line = out.readline() if seen else ""
        assert line, f"it did not start ({self.process.poll()}):\n{self.log.read_text()[-3000:]}"
        said: Json = json.loads(line)
        return said

    def end(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.process.wait(DEADLINE_S)
        self.process.stdout.close()

    def limit_files(self, size: int = resource.RLIM_INFINITY) -> None:
        """No file that it writes may grow beyond this: what a full disk is to a process."""
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def start(command: Command, words: Sequence[object], log: Path, given: Given = SOUND) -> Part:
    """`handfast WORDS` in a process of its own, its standard error appended to `log`."""
    environment = armed(command.environment, given)
    with log.open("a") as file:
        born = nursery().start(
            words, environment, command.folder, file, clock=given.clock, plant=given.plant
        )
    return Part(born, log, given)


def armed(environment: Mapping[str, str], given: Given) -> dict[str, str]:
    more = {"HANDFAST_FAULT": given.fault} if given.fault else {}
    return {**environment, **more}


def run(command: Command, words: Sequence[object], log: Path, given: Given = SOUND) -> Ran:
    """One command from start to end. `log` keeps its standard error and must be a new file."""
    part = start(command, words, log, given)
    with part.process.stdout as out:
        said = out.read()
    return Ran(part.process.wait(DEADLINE_S), said, log.read_text())
