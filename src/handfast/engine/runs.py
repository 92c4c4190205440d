"""The life of a run: created, leased, started, paused, resumed, reviewed, ended."""

import re
from dataclasses import dataclass, field, replace
from typing import cast

from handfast.core.domain import events_work as e
from handfast.core.domain import handoff_commands as commands
from handfast.core.domain import run as runs
from handfast.core.domain import takeover
from handfast.core.domain import task as tasks
from handfast.core.domain.agent import Agent
from handfast.core.domain.containment import Containment
from handfast.core.domain.errors import NotFound, NotPermitted, UsageError
from handfast.core.domain.events import Actor, RunEvent
from handfast.core.domain.events_work import BodyRef, Mode, RunOutcome, TaskOutcome
from handfast.core.domain.handoff import WAITING, Handoff, Status
from handfast.core.domain.ids import AgentId, HandoffId, RunId, RunnerId
from handfast.core.domain.run import Run, RunStatus, check_epoch, check_not_over
from handfast.core.domain.task import Task
from handfast.core.domain.track import Track
from handfast.engine.audiences import Audiences
from handfast.engine.effects import settle_unknown
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.leasing import Leasing, Seat
from handfast.engine.limits import RunLimits, keep_measure
from handfast.engine.paging import every
from handfast.engine.projections import BY_NAME, load
from handfast.engine.repeats import said_by
from handfast.engine.runners import check_label
from handfast.engine.tasks import Tasks
from handfast.engine.track_records import history_for
from handfast.storage.api import Query


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run of a task: `command` is the agent's command line."""

    task_id: str
    agent_id: str
    harness: str
    command: tuple[str, ...]
    mode: Mode = Mode.ENFORCE
    request_key: str = ""
    contain: Containment = field(default_factory=Containment)
    labels: tuple[str, ...] = ()  # only a runner that has all of them takes it


@dataclass(frozen=True, slots=True)
class Session:
    """A person's own agent session, seen through the hook."""

    agent_id: str
    harness: str
    session_id: str
    cwd: str
    mode: Mode
    repository: str = ""
    runner_id: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    snapshot_ref: str = ""
    snapshot_commit: str = ""
    session: bytes | None = None
    waiting_on: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Exit:
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    cost_usd: str = ""
    turns: int = 0
    duration_ms: int = 0
    output: str = ""


class Runs:
    """All calls are atomic. Those of a runner carry its epoch and raise StaleEpoch when outdated."""

    def __init__(self, audiences: Audiences, briefs: Tasks, limits: RunLimits) -> None:
        self._limits = limits
        self._audiences = audiences
        self._kernel: Kernel = audiences.kernel
        self._briefs = briefs
        self.leasing = Leasing(audiences.kernel)

    def create(self, actor: Actor, new: NewRun) -> Result:
        """Queue a run for a runner. Idempotent by `request_key`. Raises NotFound, NotPermitted, UsageError."""
        for label in new.labels:
            check_label(label)

        def work(unit: Unit) -> Result:
            task = unit.get(Task, new.task_id)
            self._active_agent(unit, new.agent_id)
            self._briefs.again(unit, task)
            unit.record(Task, task.task_id, tasks.reopen(task, actor.person))
            run_id = RunId(new_id("run"))
            event = e.RunCreated(
                run_id=run_id,
                agent_id=AgentId(new.agent_id),
                harness=new.harness,
                mode=new.mode,
                task_id=task.task_id,
                command=unit.put_json(list(new.command)),
                repository=task.repository,
                contain=new.contain,
                history=history_for(self._kernel, unit.find(Track, new.agent_id), task.repository),
                budget=self._briefs.brief(task).budget,
                requested_by=actor.person,
                labels=new.labels,
            )
            unit.record(Run, run_id, [event])
            unit.post("run.queued", {"run_id": run_id})
            return {"run_id": run_id}

        return self._kernel.run(actor, work, key=new.request_key, command=said_by(new))

    def _active_agent(self, unit: Unit, agent_id: str) -> Agent:
        agent = unit.find(Agent, agent_id)
        if agent is None:
            raise NotFound(
                f"agent `{agent_id}` is not registered", hint="Use `handfast agent add`."
            )
        if agent.suspended:
            raise NotPermitted(f"agent `{agent_id}` is suspended", hint="Ask an operator.")
        return agent

    def session(self, actor: Actor, s: Session) -> Result:
        """The run of a session, made on its first call. Idempotent by agent and session id."""
        match = f"{s.agent_id}|{s.session_id}"
        found = self._kernel.store.find(Query("run", match=match, newest_first=True, limit=1))
        if found and found[0].status != RunStatus.ENDED.value:
            run = cast("Run", load(BY_NAME["run"], found[0].doc))
            return {"run_id": run.run_id, "mode": run.mode.value}

        def work(unit: Unit) -> Result:
            self._active_agent(unit, s.agent_id)
            run_id = RunId(new_id("run"))
            event = e.RunCreated(
                run_id=run_id,
                agent_id=AgentId(s.agent_id),
                harness=s.harness,
                mode=s.mode,
                session_id=s.session_id,
                cwd=s.cwd,
                repository=s.repository,
                runner_id=RunnerId(s.runner_id),
                history=history_for(
                    self._kernel, unit.find(Track, s.agent_id), s.repository or s.cwd
                ),
            )
            unit.record(Run, run_id, [event])
            return {"run_id": run_id, "mode": s.mode.value}

        key = f"session:{match}:{found[0].stream if found else ''}"
        return self._kernel.run(actor, work, key=key, command=[match])

    def lease(self, actor: Actor, runner_id: str, host: str) -> Run | None:
        """The next run for a runner that is not registered. See `Leasing.lease`."""
        return self.leasing.lease(actor, Seat(runner_id, host))

    def heartbeat(self, run_id: str, epoch: int) -> bool:
        return self.leasing.heartbeat(run_id, epoch)

    def killed(self, run_id: str) -> bool:
        return self.leasing.killed(run_id)

    def started(self, actor: Actor, event: e.AgentStarted) -> Result:
        def work(unit: Unit) -> Result:
            run = self._agents(unit, event.run_id, event.epoch)
            unit.record(Run, run.run_id, [replace(event, seat=run.runner_id)])
            return {"run_id": run.run_id}

        return self._kernel.run(actor, work)

    def never_started(
        self, actor: Actor, run_id: str, epoch: int, reason: str, output: str
    ) -> Result:
        """The agent's program never ran: its own outcome, not a failure of the work."""

        def work(unit: Unit) -> Result:
            run = self._agents(unit, run_id, epoch)
            body = unit.put(output) if output else None
            events: list[RunEvent] = [
                e.AgentNeverStarted(run.run_id, epoch, reason[:500], body),
                e.RunEnded(run.run_id, RunOutcome.NEVER_STARTED),
            ]
            unit.record(Run, run_id, events)
            self._close_task(unit, run, TaskOutcome.FAILED)
            return {"run_id": run_id, "outcome": RunOutcome.NEVER_STARTED.value}

        return self._kernel.run(actor, work)

    def exited(self, actor: Actor, run_id: str, epoch: int, x: Exit) -> Result:
        """The agent's process ended. A repeat in the same epoch changes nothing.

        Raises UsageError for a cost that is no amount.
        """
        if not re.fullmatch(r"([0-9]{1,12}(\.[0-9]{1,12})?)?", x.cost_usd):
            raise UsageError(f"`cost_usd` is {x.cost_usd[:40]!r}", hint="Write it like `0.25`.")

        def work(unit: Unit) -> Result:
            run = self._mine(unit, run_id, epoch)
            if run.status is RunStatus.EXITED or (run.held and run.process is None):
                return {"run_id": run_id}
            event = e.AgentExited(
                run_id=run.run_id,
                epoch=epoch,
                exit_code=x.exit_code,
                signal=x.signal,
                reason=x.reason[:500],
                cost_usd=x.cost_usd,
                turns=x.turns,
                duration_ms=x.duration_ms,
                output=unit.put(x.output) if x.output else None,
            )
            unit.record(Run, run_id, [event])
            self._limits.noticed(unit, run_id, agent_gone=True)
            return {"run_id": run_id}

        return self._kernel.run(actor, work)

    def paused(self, actor: Actor, run_id: str, epoch: int, p: Pause) -> Result:
        """Let go of a run that waits. When what it waits for is settled already, it is ready at once."""

        def work(unit: Unit) -> Result:
            run = self._agents(unit, run_id, epoch)
            session = unit.put(p.session, "application/jsonl") if p.session else None
            unit.record(Run, run_id, pause_events(run, epoch, p, session))
            for handoff_id in p.waiting_on:
                h = unit.get(Handoff, handoff_id)
                unit.rely_on(Handoff, handoff_id)  # a decision at this moment must not be missed
                if not h.waiting:
                    unit.record(Run, run_id, runs.ready(unit.get(Run, run_id), h.handoff_id))
            return {"run_id": run_id, "status": unit.get(Run, run_id).status.value}

        return self._kernel.run(actor, work)

    def settle(self, actor: Actor, run_id: str, epoch: int | None) -> Result:
        """The agent's process is gone: every start without an effect becomes unknown, with a doubt.

        Result: `doubts`, the handoffs that were opened. Idempotent.
        """

        def work(unit: Unit) -> Result:
            run = unit.get(Run, run_id)
            if epoch is not None:
                check_epoch(run, epoch)
            doubts: list[str] = []
            for row in self._started(run):
                h = unit.get(Handoff, row)
                if commands.starts_unsettled(h) and commands.started_in(h, run.run_id):
                    why = "the agent's process ended before a result was recorded"
                    doubts.append(settle_unknown(self._audiences, unit, h, why).handoff_id)
            return {"doubts": list(doubts)}

        return self._kernel.run(actor, work)

    def ended(self, actor: Actor, run_id: str, epoch: int | None, outcome: RunOutcome) -> Result:
        """End a run: open handoffs are withdrawn, its task is closed. Idempotent."""

        def work(unit: Unit) -> Result:
            run = unit.get(Run, run_id)
            if run.over:
                return {"run_id": run_id, "outcome": run.outcome.value if run.outcome else ""}
            if epoch is not None:
                check_epoch(run, epoch)
            takeover.check_free(run.run_id, run.takeovers)
            unit.record(Run, run_id, [e.RunEnded(run.run_id, outcome)])
            keep_measure(unit, unit.get(Run, run_id))
            waiting = tuple(s.value for s in WAITING)
            for handoff_id in self._handoffs(run_id, waiting):
                h = unit.get(Handoff, handoff_id)
                unit.record(Handoff, handoff_id, commands.withdraw(h, "the run ended"))
            self._close_task(unit, run, _TASK_OUTCOME[outcome])
            unit.post("run.ended", {"run_id": run_id})
            return {"run_id": run_id, "outcome": outcome.value}

        return self._kernel.run(actor, work)

    def gap(self, actor: Actor, run_id: str, kind: str, detail: str) -> Result:
        """Record that something was not seen."""

        def work(unit: Unit) -> Result:
            run = unit.get(Run, run_id)
            unit.record(Run, run_id, [e.CoverageGap(run.run_id, kind[:100], detail[:500])])
            return {"run_id": run_id}

        return self._kernel.run(actor, work)

    def _started(self, run: Run) -> list[str]:
        """Handoffs that may have a start of this run: its own, and of its task's other runs."""
        found = self._handoffs(run.run_id, (Status.RESUMED.value,))
        if run.task_id:
            query = Query("handoff", task_id=run.task_id, statuses=(Status.RESUMED.value,))
            found += [r.stream.partition("/")[2] for r in every(self._kernel.store, query)]
        return list(dict.fromkeys(found))

    def _handoffs(self, run_id: str, statuses: tuple[str, ...]) -> list[str]:
        """All of them, however many; their states are read a page at a time."""
        query = Query("handoff", run_id=run_id, statuses=statuses)
        return [row.stream.partition("/")[2] for row in every(self._kernel.store, query)]

    def _close_task(self, unit: Unit, run: Run, outcome: TaskOutcome) -> None:
        if run.task_id:
            task = unit.get(Task, run.task_id)
            unit.record(Task, run.task_id, tasks.close(task, outcome))

    def _agents(self, unit: Unit, run_id: str, epoch: int) -> Run:
        """A run that goes on as its agent's: refused while a person holds it."""
        run = self._mine(unit, run_id, epoch)
        takeover.check_free(run.run_id, run.takeovers)
        return run

    def _mine(self, unit: Unit, run_id: str, epoch: int) -> Run:
        run = unit.get(Run, run_id)
        check_epoch(run, epoch)
        check_not_over(run)
        return run


def pause_events(run: Run, epoch: int, p: Pause, session: BodyRef | None) -> list[RunEvent]:
    return [
        e.RunPaused(
            run_id=run.run_id,
            epoch=epoch,
            waiting_on=tuple(HandoffId(h) for h in p.waiting_on),
            snapshot_ref=p.snapshot_ref,
            snapshot_commit=p.snapshot_commit,
            session=session,
            reason=p.reason[:500],
            seat=run.runner_id,
        )
    ]


_TASK_OUTCOME = {
    RunOutcome.MERGED: TaskOutcome.MERGED,
    RunOutcome.REJECTED: TaskOutcome.REJECTED,
    RunOutcome.NEVER_STARTED: TaskOutcome.FAILED,
    RunOutcome.FAILED: TaskOutcome.FAILED,
    RunOutcome.NOTHING_CHANGED: TaskOutcome.WITHDRAWN,
    RunOutcome.WITHDRAWN: TaskOutcome.WITHDRAWN,
    RunOutcome.SESSION_OVER: TaskOutcome.WITHDRAWN,
}
