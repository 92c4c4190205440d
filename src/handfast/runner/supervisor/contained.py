"""Decides for one start whether its agent is contained, and what it sees there."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, assert_never

import handfast
from handfast.client.request import Json
from handfast.core.domain.codec import decode
from handfast.core.domain.containment import NOT_CONTAINED, Contained, Containment
from handfast.core.domain.errors import RejectedError
from handfast.runner.containment import objects
from handfast.runner.containment.mounts import Mount, Seen
from handfast.runner.containment.places import EMPTY
from handfast.runner.containment.probe import Probe, probe
from handfast.runner.containment.sandbox import Sandbox, Wanted
from handfast.runner.supervisor import claude, claude_home
from handfast.runner.supervisor.plan import Agent, Start
from handfast.runner.supervisor.settings import SupervisorSettings
from handfast.runner.workspace import Workspace

_OFF: Final = Containment(Contained.OFF)


@dataclass(frozen=True, slots=True)
class Choice:
    """`told` says why not where `probe` is None."""

    order: Containment
    probe: Probe | None
    told: str = ""


def order_of(run: Json) -> Containment:
    """What was ordered. A run from before there was a choice is not contained."""
    asked = run.get("contain")
    return _OFF if asked is None else decode(Containment, asked)


def choose(run: Json, environment: Mapping[str, str]) -> Choice:
    """Raises RejectedError (`containment_impossible`) when it is required and cannot be had."""
    order = order_of(run)
    match order.want:
        case Contained.OFF:
            return Choice(order, None, f"{NOT_CONTAINED}switched off for this run")
        case Contained.AUTO | Contained.REQUIRE:
            found = probe(environment.get("PATH", ""))
            return Choice(order, found) if found.works else refused(order, found.reason)
        case _:
            assert_never(order.want)


def refused(order: Containment, why: str) -> Choice:
    """Without a sandbox, where that is allowed."""
    if order.want is Contained.REQUIRE:
        raise RejectedError(
            f"the run was to be contained, and that cannot be done here: {why}",
            code="containment_impossible",
            hint="`handfast doctor` says more. `--contained auto` starts it all the same.",
        )
    return Choice(order, None, f"{NOT_CONTAINED}{why}")


def sandbox_for(
    choice: Choice, agent: Agent, start: Start, workspace: Workspace, settings: SupervisorSettings,
    folder: Path,
) -> tuple[Sandbox | None, str]:  # fmt: skip
    """The sandbox of one start, or why there is none. `folder` holds the files of the start.

    Raises RejectedError where it is required and cannot be had, and for a host that no agent may reach.
    """
    if choice.probe is None:
        return None, choice.told
    try:
        mounts = objects.prepare(workspace, agent.folder)
    except RejectedError as error:
        return None, refused(choice.order, error.message).told
    wanted = _wanted(choice.order, agent, start, workspace, settings)
    told_files = [Mount(Seen.READ, path) for path in agent.told_files(folder) if path.exists()]
    programs = [Mount(Seen.READ, path) for path in _programs(start, workspace.path)]
    made = Sandbox(
        replace(wanted, mounts=[*programs, *wanted.mounts, *mounts, *told_files]), choice.probe
    )
    return made, made.told


def _programs(start: Start, worktree: Path) -> list[Path]:
    """What the agent is started from, where that lies in a folder of which the sandbox has an empty one: the
    program, or the whole of its Python environment, and this package."""
    found = shutil.which(start.command[0], path=start.environment.get("PATH"))
    needed = [Path(handfast.__file__).parents[1]]
    if found is not None:
        parents = Path(found).absolute().parents
        environment = (each for each in parents if (each / "pyvenv.cfg").is_file())
        needed.append(next(environment, Path(found).absolute()))
    return [
        path
        for path in needed
        if any(path.is_relative_to(each) for each in EMPTY) and not path.is_relative_to(worktree)
    ]


def _wanted(
    order: Containment, agent: Agent, start: Start, workspace: Workspace, settings: SupervisorSettings
) -> Wanted:  # fmt: skip
    wanted = Wanted(
        command=start.command,
        cwd=workspace.path,
        environment=start.environment,
        hook_url=settings.hook_url,
        server_url=settings.server_url,
        hosts=order.hosts,
        hidden=(settings.home, *settings.hidden),
    )
    if not agent.is_claude:
        return wanted
    hosts = tuple(dict.fromkeys((*claude.api_hosts(start.environment), *order.hosts)))
    state = claude_home.state_file(start.environment)
    return replace(
        wanted,
        hosts=hosts,
        mounts=claude_home.prepare(start.environment, agent.folder),
        copies=((claude_home.SEED, state),),
    )
