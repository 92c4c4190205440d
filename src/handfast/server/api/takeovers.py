"""Runs in a person's hands: taken over, handed over by their runner, handed back."""

from fastapi import APIRouter

from handfast.engine.takeovers import Changed, Found
from handfast.server.api import contents
from handfast.server.api import schema_takeover as schema
from handfast.server.api.schema_work import RunMoved
from handfast.server.identity import CallerDep

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["runs"])


@router.post("/take-over")
def take_over_run(
    caller: CallerDep, run_id: str, asked: schema.TakeOverIn | None = None
) -> schema.TakenOver:
    """The agent may do nothing from now on; its runner ends it and hands the worktree over. Idempotent for
    whoever holds it; anybody else is told who does."""
    given = asked or schema.TakeOverIn()
    person = caller.taker(given.person, given.pin, run_id)
    done = caller.engine.takeovers.take(person, run_id, given.reason)
    return schema.TakenOver.model_validate(done)


@router.post("/hand-back")
def hand_back_run(
    caller: CallerDep, run_id: str, asked: schema.HandBackIn | None = None
) -> schema.HandedBack:
    """By whoever took it over, or an admin. What changed meanwhile is told by git, not by the person."""
    given = asked or schema.HandBackIn()
    person = caller.taker(given.person, given.pin, run_id)
    done = caller.engine.takeovers.hand_back(person, run_id, given.note, given.then)
    return schema.HandedBack.model_validate(done)


@router.post("/handed-over")
def run_handed_over(caller: CallerDep, run_id: str, asked: schema.HandedOverIn) -> RunMoved:
    """The agent is gone and the worktree is the person's. Idempotent."""
    found = Found(
        host=asked.host,
        worktree=asked.worktree,
        branch=asked.branch,
        head_commit=asked.head_commit,
        snapshot_ref=asked.snapshot_ref,
        snapshot_commit=asked.snapshot_commit,
        session=contents.content(caller, asked.session_body_id),
        seen=asked.seen.model_dump(mode="json"),
    )
    takeovers, held = caller.engine.takeovers, caller.holds(run_id)
    return RunMoved.model_validate(takeovers.handed_over(caller.actor, held, asked.epoch, found))


@router.post("/persons-work")
def record_persons_work(caller: CallerDep, run_id: str, asked: schema.PersonsWorkIn) -> RunMoved:
    """What a person changed before they handed the run back. Idempotent."""
    changed = Changed(
        from_commit=asked.from_commit,
        head_commit=asked.head_commit,
        snapshot_ref=asked.snapshot_ref,
        snapshot_commit=asked.snapshot_commit,
        changed=asked.changed,
        work=asked.work.model_dump(mode="json"),
    )
    takeovers, held = caller.engine.takeovers, caller.holds(run_id)
    return RunMoved.model_validate(takeovers.recorded(caller.actor, held, asked.epoch, changed))
