"""`handfast bodies`, and the legal hold of a task: what is kept, and what is erased for good."""

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from handfast.cli.control import server
from handfast.cli.output import Json, note, say, say_json, show_fields, show_table
from handfast.cli.person import logged_in, sign
from handfast.client import body_calls
from handfast.core.domain.errors import InvalidTransition

Kind = Literal["steps", "packages", "sessions", "words"]


def list_bodies(*, task: str, as_json: Json = False) -> None:
    """Show how much content a task left, by kind, and whether it may be erased.

    Parameters
    ----------
    task
        The task's id, `task_…`.
    """
    found = server().send(body_calls.standing(task))
    if as_json:
        say_json(found)
        return
    _show(found)
    hold = found.get("hold")
    if hold:
        show_fields(
            {"legal hold by": hold["by_name"], "since": hold["at"], "reason": hold["reason"]}
        )
    elif found["hindered"]:
        say(f"Not to be erased now: {found['hindered']}.")


def erase(
    *,
    task: str,
    reason: str,
    what: Annotated[tuple[Kind, ...], Parameter(negative=())] = (),
    as_json: Json = False,
) -> None:
    """Erase the content a task left, for good. Shows what first; asks for your PIN on the terminal.

    Entries and proofs of the log stay: `handfast audit verify` says what was erased, by whom and why.

    Parameters
    ----------
    task
        The task's id, `task_…`.
    reason
        Why. It stays in the log for ever: put no personal data into it.
    what
        `steps`, `packages`, `sessions` or `words`; may be repeated. All of them when left out.
    """
    attempt = body_calls.erase(task, reason, what, {})
    with logged_in(f"erase the bodies of {task}", attempt) as (control, terminal):
        found = control.send(body_calls.standing(task))
        if found["hindered"]:
            raise InvalidTransition(
                f"the bodies of task `{task}` cannot be erased now: {found['hindered']}",
                hint="Decide what waits and end its runs, or release the hold, first.",
            )
        chosen = [k for k in found["kinds"] if not what or k["kind"] in what]
        lines = [f"  {k['kind']}: {k['bodies']:,} bodies, {k['bytes']:,} bytes" for k in chosen]
        signed = sign(terminal, "\n".join(["This is erased for good:", *lines]))
        done = control.send(body_calls.erase(task, reason, what, signed.fields))
        signed.remember()
    if as_json:
        say_json(done)
        return
    say(f"Erased {done['bodies']:,} bodies.")
    if not done["scrubbed"]:
        note(
            "The database still holds the bytes in places it has let go of: see docs/retention.md."
        )


def hold(task: str, /, *, reason: str, as_json: Json = False) -> None:
    """Put a task under a legal hold: nothing of it is erased. Asks for your PIN on the terminal.

    Parameters
    ----------
    task
        Its id, `task_…`.
    reason
        Why; kept as content beside the log.
    """
    with logged_in(f"hold {task}", body_calls.hold(task, reason, {})) as (control, terminal):
        signed = sign(terminal, f"Nothing of task {task} is erased until the hold is released")
        done = control.send(body_calls.hold(task, reason, signed.fields))
        signed.remember()
    _said(done, f"{task} is under a legal hold.", as_json=as_json)


def release(task: str, /, *, reason: str, as_json: Json = False) -> None:
    """End a legal hold. Asks for your PIN on the terminal.

    Parameters
    ----------
    task
        Its id, `task_…`.
    reason
        Why; kept as content beside the log.
    """
    with logged_in(f"release {task}", body_calls.release(task, reason, {})) as (control, terminal):
        signed = sign(
            terminal, f"End the legal hold of task {task}; retention may erase its bodies"
        )
        done = control.send(body_calls.release(task, reason, signed.fields))
        signed.remember()
    _said(done, f"{task} is under no legal hold any more.", as_json=as_json)


def _said(done: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        say_json(done)
    else:
        say(text)


def _show(found: dict[str, Any]) -> None:
    rows = [(k["kind"], f"{k['bodies']:,}", f"{k['bytes']:,}") for k in found["kinds"]]
    show_table(("kind", "bodies", "bytes"), rows)
