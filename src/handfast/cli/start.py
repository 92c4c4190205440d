"""Places an order for a run: everything is checked before anything is written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handfast.cli.brief import load_brief
from handfast.cli.control import Control, server
from handfast.cli.output import note
from handfast.client import calls
from handfast.core.domain.containment import allowed_host
from handfast.core.domain.errors import UsageError

CLAUDE_CODE, NO_HARNESS = "claude-code", "none"


@dataclass(frozen=True, slots=True)
class Order:
    """What `handfast run` was asked for; empty texts are told from the rest."""

    command: tuple[str, ...]
    repository: str
    brief: Path | None
    target: str = ""
    agent: str = ""
    harness: str = ""
    mode: str = "enforce"
    contained: str = "auto"
    allow_host: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    task: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    control: Control
    run: dict[str, Any]


def place(order: Order, *, quiet: bool = False) -> Placed:
    """Check brief and repository, then make task and run; a task that is there already gets one more run.

    Raises UsageError, Unavailable, NotFound, InvalidTransition for a task whose work was merged.
    """
    hosts = tuple(map(allowed_host, order.allow_host))
    harness = _harness(order)
    brief = None if order.brief is None else load_brief(order.brief)[1]
    ground = None if order.task else ground_of(order.repository, order.target)
    control = server()
    agent_id = _agent(control, order, harness)
    task_id = order.task
    if brief is not None and ground is not None:
        made = control.send(calls.create_task(brief, ground.repository, ground.target))
        task_id = str(made["task_id"])
    run = control.send(
        calls.create_run(
            task_id,
            order.command,
            harness=harness,
            mode=order.mode,
            agent_id=agent_id,
            contained=order.contained,
            allow_hosts=hosts,
            labels=order.label,
        )
    )
    if not quiet:
        for line in ground.notes if ground else ():
            note(f"Note: {line}")
    return Placed(control, run)


@dataclass(frozen=True, slots=True)
class Ground:
    repository: str
    target: str
    notes: tuple[str, ...] = ()


def ground_of(repository: str, branch: str) -> Ground:
    """The repository as the run names it, and the branch it is merged to. Raises UsageError, Unavailable."""
    from handfast.runner.origin import is_address, remote_branch
    from handfast.runner.repository import check_repository

    if is_address(repository):
        target, _ = remote_branch(repository, branch)
        return Ground(repository, target)
    folder = Path(repository)
    target = branch or checked_out(folder)
    try:
        facts = check_repository(folder, target)
    except UsageError as error:
        if target:
            raise
        raise _no_branch(error, folder) from None
    return Ground(str(facts.root), target, facts.notes)


def _harness(order: Order) -> str:
    if not order.harness:
        return CLAUDE_CODE if Path(order.command[0]).name == "claude" else NO_HARNESS
    if order.harness not in (CLAUDE_CODE, NO_HARNESS):
        raise UsageError(
            f"`--harness` is `{order.harness}`", hint=f"One of: {CLAUDE_CODE}, {NO_HARNESS}."
        )
    return order.harness


def checked_out(repository: Path) -> str:
    """The branch that is checked out; '' without one, and where there is no repository."""
    from handfast.runner.git import Git

    if not repository.is_dir():
        return ""
    git = Git(repository.resolve())
    found = git.run("symbolic-ref", "--quiet", "--short", "HEAD", accept=(0, 1, 128))
    return found.text.strip() if found.code == 0 else ""


def _no_branch(error: UsageError, repository: Path) -> UsageError:
    """What is wrong with the repository itself comes before the missing branch."""
    if error.code != "target_branch_unknown":
        return error
    return UsageError(
        f"no branch is checked out in `{repository}`",
        code="target_branch_unknown",
        hint="Name the branch to merge to: --target main.",
        details={"field": "target_branch"},
    )


def _agent(control: Control, order: Order, harness: str) -> str:
    """The id of the agent, which is registered when its name is new."""
    name = order.agent or Path(order.command[0]).name
    for agent in control.send(calls.agents()):
        if name in (agent["name"], agent["agent_id"]):
            return str(agent["agent_id"])
    return str(control.send(calls.add_agent(name, harness))["agent_id"])
