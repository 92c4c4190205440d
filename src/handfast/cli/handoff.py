"""`handfast handoff list`, `show` and `changes`: reading, none of them decides."""

from handfast.cli.control import server
from handfast.cli.output import Json, say, say_json, shown
from handfast.cli.queue_list import show_handoffs
from handfast.cli.reads import check_status, reads
from handfast.cli.show import handoff_lines
from handfast.client import review_calls


def list_handoffs(
    *,
    status: str = "waiting",
    run: str = "",
    task: str = "",
    limit: int = 50,
    as_json: Json = False,
) -> None:
    """List handoffs.

    Parameters
    ----------
    status
        `waiting` (most pressing first), `decided`, `closed` or `all`.
    run
        Only those of this run.
    task
        Only those of this task.
    limit
        At most so many.
    """
    with reads() as source:
        items = source.handoffs(check_status(status), run_id=run, task_id=task, limit=limit)
    if as_json:
        say_json({"items": items})
    else:
        show_handoffs(items, f"No handoff is {status}.")


def show(handoff: str, /, *, as_json: Json = False) -> None:
    """Show one handoff with all its facts.

    Parameters
    ----------
    handoff
        Its id, `ho_…`.
    """
    with reads() as source:
        found = source.handoff(handoff)
    if as_json:
        say_json(found)
        return
    for line in handoff_lines(found):
        say(line)


def changes(handoff: str, /, *, as_json: Json = False) -> None:
    """Print the whole diff of a handoff, also where it is too large to be shown with it.

    Parameters
    ----------
    handoff
        Its id, `ho_…`.
    """
    text = server().send(review_calls.changes(handoff)).decode("utf-8", "replace")
    if as_json:
        say_json({"handoff_id": handoff, "diff": text})
        return
    print(shown(text.removesuffix("\n"), len(text)))
