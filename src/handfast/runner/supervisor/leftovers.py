"""What an earlier runner, or an earlier start, left running."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from handfast.client.request import Json
from handfast.core.domain.errors import NotFound
from handfast.runner import processes
from handfast.runner.processes import ProcessIdentity
from handfast.runner.supervisor.settings import SupervisorSettings

# Containers draw a name at every start: HANDFAST_HOST gives them one that lasts.
HOST: Final = os.environ.get("HANDFAST_HOST") or socket.gethostname()
_PREVIOUS: Final = 3


def mark(run_id: str, epoch: int) -> str:
    """Names one start in the environment of all its processes."""
    return f"{run_id}.{epoch}"


def epoch_folders(folder: Path) -> list[Path]:
    """One for each start on this machine, oldest first."""
    found = [each for each in folder.glob("*-*") if each.name.replace("-", "").isdigit()]
    return sorted(found, key=lambda each: tuple(int(n) for n in each.name.split("-")))


def was_started_here(folder: Path) -> bool:
    """Whether an agent of this run got as far as running on this machine."""
    return any((each / "process.json").exists() for each in epoch_folders(folder))


def end_all(run: Json, settings: SupervisorSettings, grace_s: float) -> tuple[int, ...]:
    """End what is left of earlier starts on this machine. Gives what survived: then nothing may go on."""
    survivors: list[int] = []
    for identity in _identities(run, settings):
        survivors += processes.end(identity, grace_s).survivors
    return tuple(survivors)


def _identities(run: Json, settings: SupervisorSettings) -> Iterator[ProcessIdentity]:
    pids = set()
    for folder in epoch_folders(settings.folder(str(run["run_id"])))[-_PREVIOUS:]:
        try:
            identity = processes.read_identity(folder)
        except NotFound:
            continue
        pids.add(identity.agent_pid)
        yield identity
    process = run.get("process")
    if process and process["host"] == HOST and process["pid"] not in pids:
        # Started by a runner with another data folder: the keeper is not known, the mark is.
        epoch = int(run["epoch"])
        for earlier in range(max(epoch - _PREVIOUS, 1), epoch):
            yield ProcessIdentity(
                boot=process["boot_id"],
                keeper_pid=0,
                keeper_started="",
                agent_pid=process["pid"],
                agent_started=str(process["started_at"]),
                mark=mark(str(run["run_id"]), earlier),
            )
