"""Folds the events of a run into its state. Pure: the time comes in with each event."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from handfast.core.domain import events_takeover as t
from handfast.core.domain import events_work as e
from handfast.core.domain import takeover, usage
from handfast.core.domain.copying import replace
from handfast.core.domain.events import RunEvent
from handfast.core.domain.events_limits import UsageReported
from handfast.core.domain.events_work import RunCreated
from handfast.core.domain.ids import HandoffId
from handfast.core.domain.run import OpenStep, Process, Run, RunStatus
from handfast.core.domain.usage import LimitEvent, Usage


def evolve(state: Run | None, event: RunEvent, at: datetime) -> Run:
    """Fold one recorded event. `at` is the envelope's time."""
    if isinstance(event, RunCreated):
        return _created(event, at)
    if state is None:
        raise ValueError("a run's first event must be run.created")
    if isinstance(event, e.StepJudged | e.StepFinished | e.CoverageGap):
        return _still(_step(state, event, at), at)
    if isinstance(event, LimitEvent):
        return _still(_limited(state, event, at), at)
    if isinstance(event, takeover.TakeoverEvent):
        return _taken(state, event, at)
    return _in_hands(_lifecycle(state, event, at), event)


def _still(state: Run, at: datetime) -> Run:
    """A late result of the agent does not start the clock of a run that a person holds."""
    if not state.takeovers or state.held is None or state.usage.active_since is None:
        return state
    return replace(state, usage=usage.ended(state.usage, at))


_FREE = (RunStatus.QUEUED, RunStatus.PAUSED, RunStatus.READY)


def _taken(state: Run, event: takeover.TakeoverEvent, at: datetime) -> Run:
    free = state.status in _FREE
    now = replace(state, takeovers=takeover.evolve(state.takeovers, event, at, free=free))
    match event:
        case t.RunTakenOver():
            return replace(
                now,
                status=RunStatus.TAKEN_OVER,
                waiting_on=(),
                ready_for=HandoffId(""),
                usage=usage.ended(state.usage, at),
            )
        case t.RunHandedOver():
            return replace(
                now,
                process=None,
                worktree=event.worktree,
                branch=event.branch,
                snapshot_ref=event.snapshot_ref,
                snapshot_commit=event.snapshot_commit,
                session=event.session or state.session,
                seat=event.seat or state.seat,
            )
        case t.RunHandedBack():
            return replace(now, status=RunStatus.READY)
        case t.PersonsWorkRecorded():
            return replace(
                now,
                snapshot_ref=event.snapshot_ref,
                snapshot_commit=event.snapshot_commit,
                seat=event.seat or state.seat,
            )
        case _:
            assert_never(event)


def _in_hands(state: Run, event: "_Lifecycle") -> Run:
    """A person who holds the run keeps it whatever its runner says. What they handed back is told to the agent
    by its next start, or by the review of its work."""
    last = state.takeovers[-1] if state.takeovers else None
    if last is None:
        return state
    if last.back is None:
        free = isinstance(event, e.RunPaused | e.RunReleased)
        kept = takeover.leased(state.takeovers, free=free)
        status = state.status if state.over else RunStatus.TAKEN_OVER
        return replace(state, status=status, takeovers=kept)
    reviewed = isinstance(event, e.RunPaused) and last.back.following is t.Following.REVIEW
    if isinstance(event, e.AgentStarted) or reviewed:
        return replace(state, takeovers=takeover.tell(state.takeovers))
    return state


def _limited(state: Run, event: LimitEvent, at: datetime) -> Run:
    if isinstance(event, UsageReported):
        return replace(state, usage=usage.told(state.usage, event, at))
    return replace(state, limits=usage.limited(state.limits, event))


def _created(event: RunCreated, at: datetime) -> Run:
    return Run(
        run_id=event.run_id,
        agent_id=event.agent_id,
        harness=event.harness,
        mode=event.mode,
        status=RunStatus.QUEUED if event.command else RunStatus.RUNNING,
        created_at=at,
        task_id=event.task_id,
        command=event.command,
        session_id=event.session_id,
        cwd=event.cwd,
        repository=event.repository,
        runner_id=event.runner_id,
        contain=event.contain,
        history=event.history,
        budget=event.budget,
        usage=Usage() if event.command else usage.started(Usage(), at),
        requested_by=event.requested_by,
        labels=event.labels,
    )


_Lifecycle = (
    e.RunLeased
    | e.AgentStarted
    | e.RunPaused
    | e.RunReady
    | e.RunReleased
    | e.AgentExited
    | e.AgentNeverStarted
    | e.RunEnded
)


def _lifecycle(state: Run, event: _Lifecycle, at: datetime) -> Run:
    match event:
        case e.RunLeased():
            return replace(
                state,
                status=RunStatus.LEASED,
                runner_id=event.runner_id,
                host=event.host,
                epoch=event.epoch,
            )
        case e.AgentStarted():
            return _started(state, event, at)
        case e.RunPaused():
            return replace(
                state,
                status=RunStatus.PAUSED,
                waiting_on=event.waiting_on,
                ready_for=HandoffId(""),
                snapshot_ref=event.snapshot_ref or state.snapshot_ref,
                snapshot_commit=event.snapshot_commit or state.snapshot_commit,
                session=event.session or state.session,
                seat=event.seat or state.seat,
                process=None,
                usage=usage.ended(state.usage, at),
            )
        case e.RunReady():
            return replace(state, status=RunStatus.READY, ready_for=event.handoff_id, waiting_on=())
        case e.RunReleased():
            return _released(state, event, at)
        case e.AgentExited():
            return _exited(state, event, at)
        case e.AgentNeverStarted():
            return replace(
                state,
                status=RunStatus.EXITED,
                exit_reason=event.reason,
                output=event.output,
                process=None,
            )
        case e.RunEnded():
            return replace(
                state,
                status=RunStatus.ENDED,
                outcome=event.outcome,
                open_steps={},
                process=None,
                usage=usage.ended(state.usage, at),
            )
        case _:
            assert_never(event)


def _released(state: Run, event: e.RunReleased, at: datetime) -> Run:
    return replace(
        state,
        status=RunStatus.READY if state.worktree else RunStatus.QUEUED,
        snapshot_ref=event.snapshot_ref or state.snapshot_ref,
        snapshot_commit=event.snapshot_commit or state.snapshot_commit,
        session=event.session or state.session,
        seat=event.seat or state.seat,
        process=None,
        usage=usage.ended(state.usage, at),
    )


def _started(state: Run, event: e.AgentStarted, at: datetime) -> Run:
    return replace(
        state,
        status=RunStatus.RUNNING,
        process=Process(state.host, event.pid, event.pid_started_at, event.boot_id),
        worktree=event.worktree or state.worktree,
        branch=event.branch or state.branch,
        base_commit=event.base_commit or state.base_commit,
        session_id=event.session_id or state.session_id,
        containment=event.containment,
        seat=event.seat or state.seat,
        ready_for=HandoffId(""),
        usage=usage.restarted(state.usage, at),
        # A new start tells the agent what people have said since the last one.
        limits=replace(state.limits, to_tell=HandoffId("")),
    )


def _exited(state: Run, event: e.AgentExited, at: datetime) -> Run:
    return replace(
        state,
        status=RunStatus.EXITED,
        process=None,
        exit_code=event.exit_code,
        exit_reason=event.reason,
        cost_usd=str(Decimal(state.cost_usd) + Decimal(event.cost_usd or "0")),
        turns=state.turns + event.turns,
        duration_ms=state.duration_ms + event.duration_ms,
        output=event.output,
        usage=replace(
            usage.ended(state.usage, at), costed=state.usage.costed or bool(event.cost_usd)
        ),
    )


def _step(state: Run, event: e.StepJudged | e.StepFinished | e.CoverageGap, at: datetime) -> Run:
    c = state.counts
    if isinstance(event, e.CoverageGap):
        return replace(state, counts=replace(c, gaps=c.gaps + 1))
    if isinstance(event, e.StepFinished):
        return _result(state, event, at)
    counts = replace(
        c,
        steps=c.steps + 1,
        reads=c.reads + int(event.effect == "read"),
        stopped=c.stopped + int(event.verdict == "wait"),
        denied=c.denied + int(event.verdict == "deny"),
        would_stop=c.would_stop + int(event.verdict == "observed"),
    )
    judged = replace(state, counts=counts, usage=usage.judged(state.usage, event, at))
    if event.verdict == "deny" and state.takeovers and event.handoff_id:
        # Said once: the agent may ask about it anew.
        kept = {k: s for k, s in state.open_steps.items() if s.handoff_id != event.handoff_id}
        judged = replace(judged, open_steps=kept)
    if event.verdict == "deny":
        told = bool(event.handoff_id) and event.handoff_id == state.limits.to_tell
        return (
            replace(judged, limits=replace(state.limits, to_tell=HandoffId(""))) if told else judged
        )
    if event.effect == "read":
        return judged
    step = OpenStep(event.step_id, event.action_digest, event.verdict, event.handoff_id)
    return replace(judged, open_steps=_bounded(state.open_steps, event.key, step))


def _result(state: Run, event: e.StepFinished, at: datetime) -> Run:
    steps = state.open_steps
    digest = next((s.action_digest for s in steps.values() if s.step_id == event.step_id), "")
    return replace(
        state,
        open_steps={k: s for k, s in steps.items() if s.step_id != event.step_id},
        counts=replace(state.counts, failed=state.counts.failed + int(event.failed)),
        usage=usage.finished(state.usage, event, digest, at),
    )


MAX_OPEN_STEPS = 32


def _bounded(steps: Mapping[str, OpenStep], key: str, step: OpenStep) -> dict[str, OpenStep]:
    """Keep the newest open steps: results of older ones never came and are shown as unknown.

    Step ids sort by age. The order of the mapping says nothing: a stored state has its keys sorted.
    """
    others = sorted(((k, s) for k, s in steps.items() if k != key), key=lambda x: x[1].step_id)
    return {**dict(others[1 - MAX_OPEN_STEPS :]), key: step}
