"""One process of the product each: started from the nursery, armed, watched, ended."""

import json
import resource
import select
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from handfast.engine.faults import STRUCK
from tests.commands import Command, Ran
from tests.faults.checker import Json
from tests.nursery import Born, nursery
from tests.stillness import state_of_process

DEADLINE_S = 120.0  # only to end a hang


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
    began: int = 0  # how long the log was
    struck_at: float = 0.0
    lifted: bool = False

    @property
    def fault(self) -> str:
        return self.given.fault

    @property
    def killed(self) -> bool:
        return self.process.poll() == -signal.SIGKILL

    @property
    def action(self) -> str:
        return self.fault.split(":")[1] if self.fault else ""

    @property
    def struck(self) -> bool:
        """Whether its fault point was reached. It says so before it acts: a stop is waited for."""
        if self.fault and not self.struck_at:
            with self.log.open() as file:
                file.seek(self.began)
                said = f"{STRUCK}{self.fault}\n" in file.read()
            if said and (self.action != "stop" or state_of_process(self.process.pid) == "T"):
                self.struck_at = time.monotonic()
        return bool(self.struck_at)

    def lift(self) -> None:
        """The end of a fault that a process survives: it thaws, its disk has room again."""
        self.process.send_signal(signal.SIGCONT)
        self.limit_files()

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
        began = file.tell()
        born = nursery().start(
            words,
            environment,
            command.folder,
            stderr=file,
            clock=given.clock,
            plant=given.plant,
        )
    return Part(born, log, given, began)


def armed(environment: Mapping[str, str], given: Given) -> dict[str, str]:
    more = {"HANDFAST_FAULT": given.fault} if given.fault else {}
    return {**environment, **more}


def run(command: Command, words: Sequence[object], log: Path, given: Given = SOUND) -> Ran:
    """One command from start to end. `log` keeps its standard error and must be a new file."""
    part = start(command, words, log, given)
    with part.process.stdout as out:
        said = out.read()
    return Ran(part.process.wait(DEADLINE_S), said, log.read_text())
