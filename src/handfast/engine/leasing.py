"""Which runner works on which run: leases with an epoch, kept by heartbeats, taken over, given back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import takewhile
from typing import Final, cast

from handfast.core.domain import events_work as e
from handfast.core.domain import run as runs
from handfast.core.domain import runner as runners
from handfast.core.domain import takeover
from handfast.core.domain.errors import InvalidTransition
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.faults import fault_point
from handfast.core.domain.ids import RunnerId
from handfast.core.domain.run import Run, RunStatus, check_epoch
from handfast.core.domain.runner import Runner
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.killing import KillSwitch
from handfast.engine.paging import every
from handfast.engine.projections import BY_NAME, SESSION_RANK, load
from handfast.storage.api import Lease, Query, StateRow

LEASABLE: Final = (RunStatus.READY.value, RunStatus.QUEUED.value)
HELD: Final = (RunStatus.LEASED.value, RunStatus.RUNNING.value, RunStatus.EXITED.value)
TAKEN: Final = RunStatus.TAKEN_OVER.value
_PAGE: Final = 50
CLOCKS_APART: Final = timedelta(minutes=1)  # how much the clocks of two servers may differ


@dataclass(frozen=True, slots=True)
class Seat:
    """Who asks for a run. `instance` is the start of a registered runner, 0 for one that is not.

    `without` names runs it has given back: not offered to it again.
    """

    runner_id: str
    host: str
    instance: int = 0
    without: frozenset[str] = field(default_factory=frozenset)

    @property
    def holder(self) -> str:
        return f"{self.runner_id}#{self.instance}" if self.instance else self.runner_id

    def followed(self, holder: str) -> bool:
        """Whether `holder` is an earlier start of this very runner: a process that is gone, or refused."""
        runner_id, _, instance = holder.rpartition("#")
        earlier = instance.isdigit() and int(instance) < self.instance
        return earlier and runner_id == self.runner_id


class Leasing:
    """All calls are atomic; of runners that ask at once, one gets a run."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._switch = KillSwitch(kernel)

    def lease(self, actor: Actor, seat: Seat) -> Run | None:
        """The next run: those a person waits for first, then ready ones, queued ones, and those whose runner
        fell silent.

        Raises StaleEpoch (`runner_followed`) and NotPermitted (`runner_retired`) for a runner that may
        take none any more.
        """
        runner = self._runner(seat)
        for row in self._free(seat):
            if self._fits(runner, seat, row) and (run := self._take(actor, row.stream, seat)):
                return run
        for status in HELD:
            for row in self._rows(status):
                if not self._fits(runner, seat, row) or not self._over(row.stream, seat):
                    continue
                if run := self._take(actor, row.stream, seat):
                    self._kernel.telemetry.count("handfast.lease.takeovers")
                    return run
        return None

    def _free(self, seat: Seat) -> Iterator[StateRow]:
        yield from (row for row in self._rows(TAKEN) if self._to_hand_over(row, seat))
        for status in LEASABLE:
            yield from self._rows(status)

    def _runner(self, seat: Seat) -> Runner | None:
        if not seat.instance:
            return None
        runner = self._kernel.state(Runner, seat.runner_id)
        runners.check_instance(runner, seat.instance)
        return runner

    def _rows(self, status: str) -> Iterator[StateRow]:
        """All that a runner may take: sessions come last."""
        return _delegated(self._kernel, (status,))

    def _fits(self, runner: Runner | None, seat: Seat, row: StateRow) -> bool:
        run = cast("Run", load(BY_NAME["run"], row.doc))
        if run.command is None or run.run_id in seat.without:
            return False
        if takeover.unrecorded(run.takeovers) and not _has_worktree(run, seat):
            return False
        if runner is None:
            return not run.labels
        return not runners.unfit(runner, run.repository, run.agent_id, run.labels)

    def _to_hand_over(self, row: StateRow, seat: Seat) -> bool:
        """Whether a person waits for its worktree, and no runner is at it."""
        now = cast("Run", load(BY_NAME["run"], row.doc)).held
        waits = now is not None and now.point is None
        return waits and (bool(now and now.free) or self._over(row.stream, seat))

    def _over(self, stream: str, seat: Seat) -> bool:
        """Whether nobody keeps the lease any more.

        Also one that ends later than any lease given now would: it was given by a clock that was ahead,
        and without this nobody would take the run before that time comes.
        """
        lease = self._kernel.store.lease(stream)
        if lease is None:
            return False
        now = self._kernel.clock.now()
        longest = timedelta(seconds=self._kernel.settings.lease_s) + CLOCKS_APART
        kept = now < lease.expires_at <= now + longest
        return not kept or seat.followed(lease.holder)

    def _take(self, actor: Actor, stream: str, seat: Seat) -> Run | None:
        run_id = stream.partition("/")[2]

        def work(unit: Unit) -> Result:
            run = unit.get(Run, run_id)
            if run.command is None:
                raise InvalidTransition(f"run `{run_id}` is a person's own session")
            # Handing the worktree to a person starts no agent.
            if why := "" if run.held else self._switch.blocked(unit, run.agent_id):
                raise InvalidTransition(why)
            if seat.instance:
                runners.check_instance(unit.get(Runner, seat.runner_id), seat.instance)
                unit.rely_on(Runner, seat.runner_id)  # followed or retired at this moment
            over = self._over(stream, seat)  # after the run: another take-over renews it
            leased = runs.lease(run, RunnerId(seat.runner_id), seat.host, expired=over)
            unit.record(Run, run_id, leased)
            until = unit.now + timedelta(seconds=self._kernel.settings.lease_s)
            unit.take_lease(Lease(stream, seat.holder, run.epoch + 1, until))
            return {}

        try:
            self._kernel.run(actor, work, before_commit=lambda: fault_point("lease.before_take"))
        except InvalidTransition:
            return None
        fault_point("lease.after_take")
        return self._kernel.state(Run, run_id)

    def heartbeat(self, run_id: str, epoch: int) -> bool:
        """Keep the lease. False when it was taken over: the runner must let go."""
        until = self._kernel.clock.now() + timedelta(seconds=self._kernel.settings.lease_s)
        return self._kernel.store.renew_lease(f"run/{run_id}", epoch, until)

    def killed(self, run_id: str) -> bool:
        """Whether the agent of this run is stopped: its runner must end it and let go."""
        unit = Unit(self._kernel, SYSTEM, "")
        run = unit.get(Run, run_id)
        if run.held and run.process is None:
            return False  # no agent runs: what is left is to hand the worktree over
        return bool(self._switch.blocked(unit, run.agent_id))

    def taken_over(self, run_id: str) -> bool:
        """Whether a person has taken this run over: its runner must end the agent and hand it over."""
        return self._kernel.state(Run, run_id).held is not None

    def release(
        self, actor: Actor, run_id: str, epoch: int, reason: str, kept: "Kept | None" = None
    ) -> Result:
        """Give a run back, so that another runner takes it at once. Idempotent.

        `kept` is what it goes on from. A run that waits or has ended is let be.
        """
        kept = kept or Kept()

        def work(unit: Unit) -> Result:
            run = unit.get(Run, run_id)
            check_epoch(run, epoch)
            if run.status.value in (*HELD, TAKEN):
                session = unit.put(kept.session, "application/jsonl") if kept.session else None
                event = e.RunReleased(
                    run.run_id,
                    epoch,
                    reason[:500],
                    kept.snapshot_ref,
                    kept.snapshot_commit,
                    session,
                    run.runner_id if kept.snapshot_commit else RunnerId(""),
                )
                unit.record(Run, run_id, [event])
            return {"run_id": run_id, "status": unit.get(Run, run_id).status.value}

        return self._kernel.run(actor, work)

    def held_by(self, runner_ids: Sequence[str]) -> dict[str, list[str]]:
        """The runs each of these runners holds now."""
        found: dict[str, list[str]] = {runner_id: [] for runner_id in runner_ids}
        for row in _delegated(self._kernel, HELD):
            run = cast("Run", load(BY_NAME["run"], row.doc))
            if run.runner_id in found:
                found[run.runner_id].append(run.run_id)
        return found


def _delegated(kernel: Kernel, statuses: tuple[str, ...]) -> Iterator[StateRow]:
    rows = every(kernel.store, Query("run", statuses=statuses, limit=_PAGE))
    return takewhile(lambda row: row.rank < SESSION_RANK, rows)


def _has_worktree(run: Run, seat: Seat) -> bool:
    """What a person left in a worktree is on that machine only."""
    return run.seat == seat.runner_id or run.host == seat.host


@dataclass(frozen=True, slots=True)
class Kept:
    """What a run goes on from: a commit of the worktree and the agent's session."""

    snapshot_ref: str = ""
    snapshot_commit: str = ""
    session: bytes | None = None
