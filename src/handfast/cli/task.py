"""`handfast task`: delegated work."""

from pathlib import Path

from handfast.cli.brief import load_brief, readable
from handfast.cli.output import Json, cell, say, say_json, short_time, show_fields, show_table
from handfast.cli.reads import reads


def list_tasks(*, limit: int = 50, as_json: Json = False) -> None:
    """List tasks, newest first.

    Parameters
    ----------
    limit
        At most so many.
    """
    with reads() as source:
        items = source.tasks(limit=limit)
    if as_json:
        say_json({"items": items})
        return
    rows = [
        (t["task_id"], t.get("outcome") or "open", t["brief"]["intent"], t["repository"], short_time(t["created_at"]))
        for t in items
    ]  # fmt: skip
    show_table(["id", "status", "intent", "repository", "created (UTC)"], rows, "No tasks yet.")


def add(
    *, repo: str, brief: Path, parent: str = "", target: str = "", as_json: Json = False
) -> None:
    """Make a task that nobody works on yet. `handfast run --task` starts an agent on it.

    Parameters
    ----------
    repo
        The git repository to work on: a folder here, or an address that every runner reaches.
    brief
        The brief, in YAML or JSON: see `handfast brief new`.
    parent
        The task that this is a part of. Its brief bounds this one.
    target
        The branch that approved work is merged to. The one checked out, when left out.
    """
    from handfast.cli.control import server
    from handfast.cli.start import ground_of
    from handfast.client import calls

    _, plain = load_brief(brief)
    ground = ground_of(repo, target)
    asked = calls.create_task(plain, ground.repository, ground.target, parent)
    task_id = server().send(asked)["task_id"]
    if as_json:
        say_json({"task_id": task_id})
    else:
        say(task_id)


def show(task: str, /, *, as_json: Json = False) -> None:
    """Show a task with its brief and its runs.

    Parameters
    ----------
    task
        Its id, `task_…`.
    """
    with reads() as source:
        found = source.task(task)
        runs = source.runs(task_id=task)
    if as_json:
        say_json({**found, "runs": runs})
        return
    show_fields(
        {
            "task": found["task_id"],
            "status": found.get("outcome") or "open",
            "repository": found["repository"],
            "branch": found["target_branch"],
            "part of": found.get("parent", ""),
            "left for parts": readable(found.get("left") or {}),
            "brief digest": found["brief_digest"],
            "created": short_time(found["created_at"]),
            "legal hold": "yes: nothing of it is erased" if found.get("held") else "",
            **{name.replace("_", " "): readable(v) for name, v in found["brief"].items()},
        }
    )
    if tried := found.get("attempts"):
        say()
        say("Tried so far")
        for each in tried:
            why = f" ({cell(each['why'], 300)})" if each["why"] else ""
            say(f"  - {cell(each['tried'], 300)}: {cell(each['outcome'])}{why}")
    if runs:
        say()
    for run in runs:
        say(f"{run['run_id']}  {run.get('outcome') or run['status']}  {run['agent_name']}")
