"""`handfast task`: delegated work."""

from handfast.cli.brief import readable
from handfast.cli.output import Json, say, say_json, short_time, show_fields, show_table
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
            "created": short_time(found["created_at"]),
            "legal hold": "yes: nothing of it is erased" if found.get("held") else "",
            **{name.replace("_", " "): readable(v) for name, v in found["brief"].items()},
        }
    )
    if runs:
        say()
    for run in runs:
        say(f"{run['run_id']}  {run.get('outcome') or run['status']}  {run['agent_name']}")
