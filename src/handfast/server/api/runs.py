"""Runs: made, leased by a runner, started, paused, ended."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from handfast.core.domain.agent import Agent
from handfast.core.domain.containment import Contained, Containment, allowed_host
from handfast.core.domain.errors import UsageError
from handfast.core.domain.events_work import AgentStarted, Mode
from handfast.core.domain.ids import RunId
from handfast.engine.leasing import Kept, Seat
from handfast.engine.runs import Exit, NewRun, Pause, Session
from handfast.server.api import contents, schema_runner
from handfast.server.api import schema_work as schema
from handfast.server.api.tasks import After, Key, Limit
from handfast.server.identity import Caller, CallerDep

router = APIRouter(prefix="/v1", tags=["runs"])


@router.post("/runs", status_code=201)
def create_run(
    caller: CallerDep, asked: schema.RunIn, idempotency_key: Key = ""
) -> schema.RunCreated:
    """Queue a task's run for a runner, or register a session. A session's run is found again, not doubled."""
    if asked.session_id:
        made = caller.engine.runs.session(caller.actor, _session(caller, asked))
    elif asked.task_id and asked.command and not caller.is_agent:
        new = NewRun(
            task_id=caller.task(asked.task_id),
            agent_id=_agent(caller, asked),
            harness=asked.harness,
            command=asked.command,
            mode=asked.mode or Mode.ENFORCE,
            request_key=caller.key(idempotency_key),
            contain=Containment(
                asked.contained or Contained.AUTO, tuple(map(allowed_host, asked.allow_hosts))
            ),
            labels=asked.labels,
        )
        made = caller.engine.runs.create(caller.actor, new)
    else:
        raise UsageError(
            "a run needs `task_id` and `command`, or `session_id`",
            hint="A task's run is created by an operator; a session's run by its runner.",
        )
    run = caller.run(str(made["run_id"]))
    return schema.RunCreated(run_id=run.run_id, status=run.status.value, mode=run.mode.value)


def _session(caller: Caller, asked: schema.RunIn) -> Session:
    """An agent that reports for itself is always enforced: it may not choose to be only watched."""
    caller.works_in(asked.repository or asked.cwd)
    mode = asked.mode or Mode(str(caller.engine.hooks.status()["mode"]))
    return Session(
        agent_id=_agent(caller, asked),
        harness=asked.harness,
        session_id=asked.session_id,
        cwd=asked.cwd,
        mode=Mode.ENFORCE if caller.is_agent else mode,
        repository=asked.repository,
        runner_id=asked.runner_id,
    )


def _agent(caller: Caller, asked: schema.RunIn) -> str:
    """The agent named, the caller itself, or the only one registered for this harness."""
    if caller.is_agent:
        return caller.principal.id
    if asked.agent_id:
        caller.engine.kernel.state(Agent, asked.agent_id)
        return asked.agent_id
    fitting = [a for a in caller.engine.views.agents() if a["harness"] == asked.harness]
    if len(fitting) != 1:
        raise UsageError(
            f"`agent_id` is missing, and {len(fitting)} agents are registered for `{asked.harness}`",
            hint="Name one: `handfast agent list` shows them, `handfast agent add` registers one.",
        )
    return str(fitting[0]["agent_id"])


@router.get("/runs")
def list_runs(
    caller: CallerDep,
    task_id: Annotated[str, Query(max_length=64)] = "",
    after: After = "",
    limit: Limit = 50,
) -> schema.RunPage:
    """Newest first."""
    page = caller.engine.views.runs(task_id=task_id, after=after, limit=limit, within=caller.sight)
    return schema.RunPage.model_validate({"items": page.items, "next": page.next})


@router.get("/runs/{run_id}")
def get_run(caller: CallerDep, run_id: str) -> schema.RunOut:
    caller.run(run_id)
    return schema.RunOut.model_validate(caller.engine.views.run(run_id))


@router.get("/runs/{run_id}/steps")
def list_steps(
    caller: CallerDep,
    run_id: str,
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Limit = 200,
) -> schema.StepPage:
    """Oldest first. `next` is 0 at the end."""
    caller.run(run_id)
    return schema.StepPage.model_validate(caller.engine.views.steps(run_id, after, limit))


@router.post(
    "/leases", responses={204: {"description": "Nothing to do."}}, response_model=schema.RunOut
)
def lease_run(caller: CallerDep, asked: schema.LeaseIn) -> schema.RunOut | Response:
    """Take the next run that is ready, queued, or left by a runner that fell silent."""
    runner_id = caller.principal.runner_id or asked.runner_id
    seat = Seat(runner_id, asked.host, asked.instance, frozenset(asked.without))
    run = None
    if asked.capacity > 0:
        with caller.engine.kernel.telemetry.span("handfast.runner.lease") as span:
            run = caller.engine.runs.leasing.lease(caller.actor, seat)
            span.add({"leased": run is not None, "epoch": run.epoch if run else 0})
    if run is None:
        return Response(status_code=204)
    return schema.RunOut.model_validate(caller.engine.views.run(run.run_id))


@router.post("/runs/{run_id}/heartbeat")
def heartbeat_run(caller: CallerDep, run_id: str, asked: schema.HeartbeatIn) -> schema.Held:
    """Keep the lease. `held` false: another runner has the run, so stop the agent and let go. `killed` true:
    a person stopped the agent, so end it and let go, too. `taken_over` true: a person wants the run, so end the
    agent and hand the worktree over to them."""
    runs = caller.engine.runs
    held = runs.heartbeat(caller.holds(run_id), asked.epoch)
    taken = held and runs.leasing.taken_over(run_id)
    return schema.Held(held=held, killed=held and runs.killed(run_id), taken_over=taken)


@router.post("/runs/{run_id}/started")
def run_started(caller: CallerDep, run_id: str, asked: schema.StartedIn) -> schema.RunMoved:
    event = AgentStarted(
        run_id=RunId(caller.holds(run_id)),
        epoch=asked.epoch,
        pid=asked.pid,
        pid_started_at=asked.pid_started_at,
        boot_id=asked.boot_id,
        worktree=asked.worktree,
        branch=asked.branch,
        base_commit=asked.base_commit,
        session_id=asked.session_id,
        containment=asked.containment,
    )
    return _moved(caller.engine.runs.started(caller.actor, event))


@router.post("/runs/{run_id}/paused")
def run_paused(caller: CallerDep, run_id: str, asked: schema.PausedIn) -> schema.RunMoved:
    """Let go of a run that waits. It is ready at once when what it waits for is settled already."""
    pause = Pause(
        snapshot_ref=asked.snapshot_ref,
        snapshot_commit=asked.snapshot_commit,
        session=contents.content(caller, asked.session_body_id),
        waiting_on=asked.waiting_on,
        reason=asked.reason,
    )
    return _moved(caller.engine.runs.paused(caller.actor, caller.holds(run_id), asked.epoch, pause))


@router.post("/runs/{run_id}/exited")
def run_exited(caller: CallerDep, run_id: str, asked: schema.ExitedIn) -> schema.RunMoved:
    left = Exit(
        exit_code=asked.exit_code,
        signal=asked.signal,
        reason=asked.reason,
        cost_usd=asked.cost_usd,
        turns=asked.turns,
        duration_ms=asked.duration_ms,
        output=contents.text(caller, asked.output_body_id, asked.output),
    )
    return _moved(caller.engine.runs.exited(caller.actor, caller.holds(run_id), asked.epoch, left))


@router.post("/runs/{run_id}/never-started")
def run_never_started(
    caller: CallerDep, run_id: str, asked: schema.NeverStartedIn
) -> schema.RunMoved:
    """The agent's program never ran: its own outcome, not a failure of the work."""
    output = contents.text(caller, asked.output_body_id, asked.output)
    runs = caller.engine.runs
    return _moved(
        runs.never_started(caller.actor, caller.holds(run_id), asked.epoch, asked.reason, output)
    )


@router.post("/runs/{run_id}/ended")
def run_ended(caller: CallerDep, run_id: str, asked: schema.EndedIn) -> schema.RunMoved:
    """End a run: open handoffs are withdrawn and its task is closed. Idempotent."""
    return _moved(
        caller.engine.runs.ended(caller.actor, caller.holds(run_id), asked.epoch, asked.outcome)
    )


@router.post("/runs/{run_id}/release")
def release_run(caller: CallerDep, run_id: str, asked: schema_runner.ReleaseIn) -> schema.RunMoved:
    """Give a run back: another runner takes it at once. Idempotent; a run that waits is let be."""
    session = contents.content(caller, asked.session_body_id)
    kept = Kept(asked.snapshot_ref, asked.snapshot_commit, session)
    leasing, held = caller.engine.runs.leasing, caller.holds(run_id)
    return _moved(leasing.release(caller.actor, held, asked.epoch, asked.reason, kept))


@router.post("/runs/{run_id}/settle")
def settle_run(caller: CallerDep, run_id: str, asked: schema.SettleIn) -> schema.Doubts:
    """The agent's process is gone: starts without an effect become unknown, each with a doubt."""
    result = caller.engine.runs.settle(caller.actor, caller.holds(run_id), asked.epoch)
    return schema.Doubts.model_validate(result)


@router.post("/runs/{run_id}/gaps")
def record_gap(caller: CallerDep, run_id: str, asked: schema.GapIn) -> schema.RunMoved:
    """Record that something was not seen."""
    return _moved(caller.engine.runs.gap(caller.actor, run_id, asked.kind, asked.detail))


@router.post("/runs/{run_id}/usage")
def report_usage(caller: CallerDep, run_id: str, asked: schema.UsageReportIn) -> schema.RunMoved:
    """What the run has used so far, in totals. Idempotent. Limits that are met warn at once, and hand the
    run over at its next call with an effect. Whether the agent's turn is over is believed of a runner only:
    no agent stops its own clock."""
    caller.run(run_id)
    told, over = asked.reported(), asked.turn_over and not caller.is_agent
    limits = caller.engine.limits
    return _moved(limits.report(caller.actor, run_id, told, turn_over=over))


def _moved(result: dict[str, object]) -> schema.RunMoved:
    return schema.RunMoved.model_validate(result)
