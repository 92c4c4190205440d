"""`handfast run take-over` and `hand-back`: a run in a person's hands."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import Parameter

from handfast.cli.control import Control
from handfast.cli.output import Json, cell, note, say, say_json, shown
from handfast.cli.person import logged_in, sign
from handfast.cli.show import step_line
from handfast.client import calls, takeover_calls
from handfast.core.domain.errors import UsageError

_EVERY_S: Final = 0.3
_LISTED: Final = 20


def take_over(
    run: str,
    /,
    *,
    reason: str = "",
    shell: Annotated[bool, Parameter(negative=())] = False,
    wait: float = 60.0,
    as_json: Json = False,
) -> int:
    """Stop the agent of a run and get its worktree. Asks for your PIN on the terminal.

    Exit code 3 when the agent was not stopped in time: it may do nothing any more, and it will be.

    Parameters
    ----------
    run
        Its id, `run_…`.
    reason
        Why; it stands in the audit trail.
    shell
        Open your shell in the worktree, where that is on this machine.
    wait
        Seconds to wait for the worktree.
    """
    with logged_in(f"take over {run}", takeover_calls.take_over(run, reason, {})) as (
        control,
        terminal,
    ):
        found = control.send(calls.run(run))
        for line in _asking(found):
            terminal.say(line)
        signed = sign(terminal, f"Take over {run}: its agent is ended, the worktree is yours")
        control.send(takeover_calls.take_over(run, reason, signed.fields))
        signed.remember()
    found = _until_there(control, run, wait)
    if as_json:
        say_json(found)
    else:
        for line in in_hands(control, found):
            say(line)
    if shell:
        _shell(found)
    return 0 if _last(found).get("handed_over_at") else 3


def hand_back(
    run: str,
    /,
    *,
    note: str = "",
    then: Literal["resume", "review", "end"] = "resume",
    wait: float = 30.0,
    as_json: Json = False,
) -> None:
    """Hand a run back that you took over. Asks for your PIN on the terminal.

    Parameters
    ----------
    run
        Its id, `run_…`.
    note
        What the agent should know. It gets this, and from git exactly what you changed.
    then
        `resume`: the agent goes on. `review`: the work is handed to review as it is. `end`: the run ends;
        branch and snapshots stay, the worktree goes.
    wait
        Seconds to wait until what you changed is on record.
    """
    attempt = takeover_calls.hand_back(run, note, then, {})
    with logged_in(f"hand back {run}", attempt) as (control, terminal):
        signed = sign(terminal, f"Hand back {run}, then {then}")
        control.send(takeover_calls.hand_back(run, note, then, signed.fields))
        signed.remember()
    until = time.monotonic() + wait
    while not _last(found := control.send(calls.run(run)))["recorded"]:
        if time.monotonic() > until:
            break
        time.sleep(_EVERY_S)
    if as_json:
        say_json(found)
        return
    for line in _handed_back(_last(found)):
        say(line)


def in_hands(control: Control, run: dict[str, Any]) -> Iterator[str]:
    """Everything somebody needs who has just taken a run over."""
    last = _last(run)
    yield f"{run['run_id']} is in the hands of {cell(last['by_name'])} since {last['at'][:19]} UTC"
    if not last["handed_over_at"]:
        yield "Its agent may do nothing any more and is being stopped. The worktree is not yours yet."
        return
    found = last["found"]
    yield f"worktree   {run['worktree']}"
    yield f"machine    {cell(last['host'])}"
    yield f"branch     {cell(run['branch'])}"
    yield f"base       {cell(run['base_commit'])}"
    yield f"as it was  {cell(last['from_commit'])} (snapshot)"
    yield from _listed("Uncommitted", found.get("uncommitted"))
    yield from _listed("Left out of the snapshot", found.get("left_out"))
    if found.get("operation"):
        yield f"A {cell(found['operation'])} waits to be continued."
    processes = found.get("processes") or []
    yield from _listed(
        "Was running, and was ended with the agent",
        [f"{p['pid']}  {p['command'] or '(not readable)'}" for p in processes],
    )
    yield from _open(control, run)


def _open(control: Control, run: dict[str, Any]) -> Iterator[str]:
    """The last steps, and what was asked and is not answered."""
    steps = _newest(control, run["run_id"])
    if steps:
        yield "Last steps:"
        yield from (f"  {step_line(step)}" for step in steps[-3:])
    handoffs = control.send(calls.handoffs("all", run_id=run["run_id"]))["items"]
    asked = [h for h in handoffs if h["kind"] == "question" and not h["decision"]]
    doubts = [h for h in handoffs if h["kind"] == "doubt" and h["waiting"]]
    yield from _listed("Asked, and not answered", [_question(control, h) for h in asked])
    yield from _listed("In doubt", [f"{h['handoff_id']}  {h['ask']}" for h in doubts])
    yield f"Hand it back: handfast run hand-back {run['run_id']} --note …"


def _question(control: Control, h: dict[str, Any]) -> str:
    full = control.send(calls.handoff(h["handoff_id"]))
    return str(full["package"]["what_will_happen"]["text"])


def _newest(control: Control, run_id: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    after = 0
    while True:
        page = control.send(calls.steps(run_id, after))
        steps = [*steps, *(s for s in page["items"] if s.get("tool"))][-3:]
        after = int(page.get("next") or 0)
        if not after:
            return steps


def _handed_back(last: dict[str, Any]) -> Iterator[str]:
    if not last["recorded"]:
        yield "Handed back. Its runner has not recorded yet what you changed; it does that before all else."
        return
    work = last["work"]
    count = last["changed"]
    yield f"Handed back. On record: {count} file{'' if count == 1 else 's'} changed by you."
    for f in (work.get("files") or [])[:_LISTED]:
        yield f"  {f['status']} {cell(f['path'])}"
    yield f"from {last['from_commit']} to {last['to_commit']}"
    yield f"digest {last['work_digest']}"


def _listed(title: str, items: object) -> Iterator[str]:
    if isinstance(items, list) and items:
        yield f"{title}:"
        yield from (f"  {cell(item)}" for item in items[:_LISTED])
        if len(items) > _LISTED:
            yield f"  … and {len(items) - _LISTED} more"


def _asking(run: dict[str, Any]) -> Iterator[str]:
    yield f"{run['run_id']}  {run['status']}  {cell(run['agent_name'])}"
    brief = run.get("brief") or {}
    yield shown(brief.get("intent", ""), 400)
    if run.get("held_by"):
        yield f"It is in the hands of {cell(run['held_by_name'])} since {run['held_since'][:19]} UTC."


def _until_there(control: Control, run: str, wait_s: float) -> dict[str, Any]:
    until = time.monotonic() + wait_s
    while True:
        found: dict[str, Any] = control.send(calls.run(run))
        if _last(found).get("handed_over_at") or time.monotonic() > until:
            return found
        time.sleep(_EVERY_S)


def _last(run: dict[str, Any]) -> dict[str, Any]:
    takeovers = run.get("takeovers") or [{}]
    return dict(takeovers[-1])


def _shell(run: dict[str, Any]) -> None:
    """Raises UsageError where the worktree is on another machine, or not handed over yet."""
    from handfast.runner.supervisor.leftovers import HOST

    place = Path(run.get("worktree") or "/nowhere")
    last = _last(run)
    if not last.get("handed_over_at") or last["host"] != HOST or not place.is_dir():
        raise UsageError(
            f"the worktree of run `{run['run_id']}` is not on this machine",
            code="worktree_elsewhere",
            hint=f"It is on `{last.get('host', '')}`: {run.get('worktree', '')}",
        )
    note(f"Your shell, in {place}. Leave it with `exit`; the run stays yours.")
    words = [os.environ.get("SHELL") or "/bin/sh"]
    subprocess.run(words, cwd=place, check=False)
