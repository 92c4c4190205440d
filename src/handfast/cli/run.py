"""`handfast run`: give work to an agent, and look at runs."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from handfast.cli.catalogue import COMMANDS
from handfast.cli.output import (
    Json,
    say,
    say_json,
    say_json_list,
    short_time,
    show_fields,
    show_table,
)
from handfast.cli.reads import reads
from handfast.cli.show import limit_lines, step_line
from handfast.cli.takeover import hand_back, take_over
from handfast.core.domain.errors import UsageError

_DOES = {e.name: e.does for e in COMMANDS if e.group == "run"}
app = App(name="run", help=_DOES[""])
app.command(take_over, name="take-over", help=_DOES["take-over"])
app.command(hand_back, name="hand-back", help=_DOES["hand-back"])


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Bounds:
    """What holds the agent of a run, and where it may run.

    Parameters
    ----------
    mode
        `enforce` stops risky calls for a decision, `observe` only records them.
    contained
        `auto` starts the agent in a sandbox where that works, and says why where it does not;
        `require` refuses to start without one; `off` starts it as your own user.
    allow_host
        `HOST:PORT` the agent may reach from its sandbox, besides its model. May be repeated.
    label
        Only a runner with this label takes the run. May be repeated.
    task
        A task that is there already, instead of `--repo` and `--brief`: one more run of it, whose agent is told
        what was tried before.
    """

    mode: Literal["enforce", "observe"] = "enforce"
    contained: Literal["auto", "require", "off"] = "auto"
    allow_host: Annotated[tuple[str, ...], Parameter(negative=())] = ()
    label: Annotated[tuple[str, ...], Parameter(negative=())] = ()
    task: str = ""


@app.default
def start(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    repo: str = "",
    brief: Path | None = None,
    target: str = "",
    agent: str = "",
    harness: str = "",
    bounds: Bounds | None = None,
    detach: Annotated[bool, Parameter(negative=())] = False,
    as_json: Json = False,
) -> int:
    """Start an agent on a brief, in a worktree of its own, and follow it to its end.

    The exit code tells the outcome: 0 merged or nothing to change, 1 failed, 3 rejected or
    withdrawn, 7 the agent never started. Ctrl-C stops following; the run goes on.

    Parameters
    ----------
    command
        The agent's command line, after `--`: `-- claude -p 'Read the brief.'`
    repo
        The git repository to work on: a folder here, or an address that every runner reaches
        (`https://…`, `ssh://…`, `git@host:path`). A merge is pushed there.
    brief
        The brief, in YAML: see `handfast brief new`.
    target
        The branch that approved work is merged to. The one checked out, when left out.
    agent
        The registered agent's name. The program's name when left out; registered when it is new.
    harness
        `claude-code` (stopped at its hook) or `none`. Told from the program when left out.
    detach
        Print the run's id and return at once.
    """
    from handfast.cli.follow import follow
    from handfast.cli.start import Order, place

    if not command:
        raise UsageError(
            "the agent's command is missing",
            hint="Give it after --: handfast run --repo PATH --brief FILE -- claude -p 'Go.'",
        )
    bounds = bounds or Bounds()
    _check_named(bounds.task, repo, brief, target)
    order = Order(command, repo, brief, target, agent, harness, **asdict(bounds))
    placed = place(order, quiet=as_json)
    if detach:
        if as_json:
            say_json(placed.run)
        else:
            say(placed.run["run_id"])
        return 0
    return follow(placed.control, placed.run["run_id"], as_json=as_json)


def _check_named(task: str, repo: str, brief: Path | None, target: str) -> None:
    """Either a task, or a repository and a brief for a new one."""
    if task and (repo or brief or target):
        raise UsageError(
            "`--task` has its repository and its brief",
            hint="Leave out --repo, --brief and --target.",
        )
    if not task and (not repo or brief is None):
        missing = "--brief" if repo else "--repo"
        raise UsageError(f"`{missing}` is missing", hint="See `handfast run --help`.")


@app.command(name="list", help=_DOES["list"])
def list_runs(*, task: str = "", limit: int = 50, as_json: Json = False) -> None:
    """List runs, newest first.

    Parameters
    ----------
    task
        Only those of this task.
    limit
        At most so many.
    """
    with reads() as source:
        items = source.runs(task_id=task, limit=limit)
    if as_json:
        say_json({"items": items})
        return
    rows = [
        (
            r["run_id"],
            r.get("outcome") or r["status"],
            r["agent_name"],
            r.get("repository") or r.get("cwd", ""),
            (r.get("counts") or {}).get("steps", 0),
            short_time(r["created_at"]),
        )
        for r in items
    ]
    heads = ("id", "status", "agent", "repository", "steps", "created (UTC)")
    show_table(heads, rows, "No runs yet.")


@app.command(help=_DOES["show"])
def show(run: str, /, *, as_json: Json = False) -> None:
    """Show a run and its steps.

    Parameters
    ----------
    run
        Its id, `run_…`.
    """
    with reads() as source:
        found = source.run(run)
        handoffs = source.handoffs("all", run_id=run)
        if as_json:
            say_json_list({**found, "handoffs": handoffs}, "steps", source.steps(run))
            return
        show_fields(_fields(found))
        for line in limit_lines(found.get("limits") or {}):
            say(line)
        say()
        for step in source.steps(run):
            say(step_line(step))
        for h in handoffs:
            say(f"{h['handoff_id']}  {h['status']}  {h['ask']}")


def _fields(run: dict[str, Any]) -> dict[str, object]:
    counts = run.get("counts") or {}
    return {
        "run": run["run_id"],
        "status": run.get("outcome") or run["status"],
        "in the hands of": f"{run['held_by_name']} since {short_time(run['held_since'])} UTC"
        if run.get("held_by")
        else "",
        "mode": run["mode"],
        "containment": run.get("containment", ""),
        "agent": run["agent_name"],
        "runner": f"{run.get('runner_id', '')} on {run['host']}, epoch {run.get('epoch', 0)}"
        if run.get("host")
        else "",
        "task": run.get("task_id", ""),
        "repository": run.get("repository") or run.get("cwd", ""),
        "branch": run.get("branch", ""),
        "worktree": run.get("worktree", "") if run.get("held_by") else "",
        "command": " ".join(run.get("command") or []),
        "created": short_time(run["created_at"]),
        "exit": run.get("exit_code"),
        "reason": run.get("exit_reason", ""),
        "cost": f"{run.get('cost_usd', '0')} USD, {run.get('turns', 0)} turns",
        "counts": ", ".join(f"{v} {k.replace('_', ' ')}" for k, v in counts.items() if v),
        "output": (run.get("output") or "")[-2000:],
    }


@app.command(help=_DOES["replay"])
def replay(
    run: str = "",
    /,
    *,
    every: Annotated[bool, Parameter(name="--all", negative=())] = False,
    verify: Annotated[bool, Parameter(negative=())] = False,
    rebuild: Annotated[bool, Parameter(negative=())] = False,
    at: int = 0,
    as_json: Json = False,
) -> int:
    """Fold the log again. Exit code 6 when a stored state is not the fold of its events.

    Parameters
    ----------
    run
        The run's id, `run_…`.
    every
        Every stream of the log instead of one run's.
    verify
        Compare with the stored states instead of printing the events.
    rebuild
        With `--verify`: write each state that is not the fold again, as the log says.
    at
        Print the run's state after so many events instead.
    """
    from handfast.cli import replay as replays

    if bool(run) == every:
        raise UsageError("give one run id, or `--all`", hint="See `handfast run replay --help`.")
    if rebuild and not verify:
        raise UsageError("`--rebuild` needs `--verify`", hint="See `handfast run replay --help`.")
    if verify:
        return replays.verify(run, rebuild=rebuild, as_json=as_json)
    if at and run:
        return replays.state(run, at)
    if every:
        raise UsageError("`--all` needs `--verify`", hint="handfast run replay --all --verify")
    return replays.story(run, as_json=as_json)
