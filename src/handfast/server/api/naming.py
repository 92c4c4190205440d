"""Which bodies a caller may read: those that a case, run or task of theirs names. Everything else is private."""

import json

from handfast.core.domain.body_kinds import body_ids
from handfast.core.domain.errors import NotFound, UsageError
from handfast.core.domain.run import Run
from handfast.server.identity import Caller


def check_named(caller: Caller, body_id: str, of: str) -> None:
    """Raises NotFound for a body that nothing of `of` refers to, and for an `of` that is not the caller's to see;
    UsageError without one."""
    if not of:
        raise UsageError(
            "`of` is missing", hint="Name the handoff, run or task where you read of the body."
        )
    stream = _seen(caller, of)
    store = caller.engine.kernel.store
    after = 0
    while rows := store.events(stream=stream, after=after, limit=500):
        for row in rows:
            # A text that only looks like the id is no reference: agents choose what some fields hold.
            if body_id.encode() in row.data and body_id in body_ids(json.loads(row.data)["data"]):
                return
        after = rows[-1].version
    raise NotFound(f"there is no body `{body_id}`")


def _seen(caller: Caller, of: str) -> str:
    """The stream of what is meant. A registered runner sees the runs that it holds."""
    match of.partition("_")[0]:
        case "ho":
            stream, run_id = f"handoff/{of}", str(caller.handoff(of).run_id)
        case "run":
            stream, run_id = f"run/{of}", str(caller.run(of).run_id)
        case _:
            stream, run_id = f"task/{caller.task(of)}", ""
    own = caller.principal.runner_id
    if own and not (run_id and caller.engine.kernel.state(Run, run_id).runner_id == own):
        raise NotFound(f"this runner holds nothing of `{of}`")
    return stream
