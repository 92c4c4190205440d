"""The run under everything that may be recorded of it, in any order."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from handfast.core.domain import events_takeover as t
from handfast.core.domain import events_work as e
from handfast.core.domain import run as runs
from handfast.core.domain import takeover
from handfast.core.domain.codec import decode, encode
from handfast.core.domain.errors import InvalidTransition, RejectedError, StaleEpoch
from handfast.core.domain.events import SYSTEM, Recorded, RunEvent, from_bytes, to_bytes
from handfast.core.domain.events_work import BodyRef, Mode, RunOutcome
from handfast.core.domain.ids import AgentId, HandoffId, PersonId, RunId, RunnerId, StepId
from handfast.core.domain.run import Run, RunStatus
from handfast.core.domain.run_fold import MAX_OPEN_STEPS, evolve
from handfast.engine.projections import BY_NAME, dump, load
from handfast.testing.clock import START

BODY = BodyRef("bo_1", "hmac-sha256:00", 3)
RUN = RunId("run_1")
HANDOFFS = st.sampled_from([HandoffId("ho_1"), HandoffId("ho_2")])
PEOPLE = st.sampled_from([PersonId("pe_1"), PersonId("pe_2")])
KEYS = st.integers(0, MAX_OPEN_STEPS * 2).map("toolu_{}".format)


class RunMachine(RuleBasedStateMachine):
    """Every call passes the same guards as in the engine: the epoch, and that the run is not over."""

    state: Run

    def __init__(self) -> None:
        super().__init__()
        self.log: list[bytes] = []
        self.epoch = 0
        self.over = False

    @initialize(session=st.booleans())
    def create(self, session: bool) -> None:
        command = None if session else BODY
        created = e.RunCreated(RUN, AgentId("ag_1"), "claude-code", Mode.ENFORCE, command=command)
        self.log.append(to_bytes(Recorded("ev_1", "run/run_1", 1, START, SYSTEM, created)))
        self.state = evolve(None, created, START)

    def _write(self, *events: RunEvent) -> None:
        for event in events:
            version = len(self.log) + 1
            record = Recorded(f"ev_{version}", "run/run_1", version, START, SYSTEM, event)
            self.log.append(to_bytes(record))
            self.state = evolve(self._read_again(), event, START)

    def _read_again(self) -> Run:
        """The state as the next command finds it in the store."""
        found = load(BY_NAME["run"], dump(self.state))
        assert isinstance(found, Run)
        return found

    def _mine(self, epoch: int) -> bool:
        try:
            runs.check_epoch(self.state, epoch)
            runs.check_not_over(self.state)
        except RejectedError:
            assert epoch != self.state.epoch or self.state.over
            return False
        return True

    def _agents(self, epoch: int) -> bool:
        """And nobody holds it: what an agent's run may do."""
        if not self._mine(epoch):
            return False
        try:
            takeover.check_free(RUN, self.state.takeovers)
        except InvalidTransition:
            assert self.state.held
            return False
        return True

    def _epochs(self, behind: int) -> int:
        return self.state.epoch - behind

    @rule(expired=st.booleans())
    def lease(self, expired: bool) -> None:
        was = self.state
        try:
            events = runs.lease(was, RunnerId("runner"), "host", expired=expired)
        except InvalidTransition:
            return
        waits = was.held is not None and was.held.point is None and was.held.free
        assert was.status in (RunStatus.QUEUED, RunStatus.READY) or expired or waits
        assert not was.over
        assert was.held is None or was.held.point is None
        self._write(*events)
        assert self.state.epoch == was.epoch + 1

    @rule(behind=st.integers(0, 1))
    def start(self, behind: int) -> None:
        epoch = self._epochs(behind)
        if self._agents(epoch):
            self._write(e.AgentStarted(RUN, epoch, 1, 2, "boot", worktree="/w", session_id="s"))

    @rule(behind=st.integers(0, 1), waiting=st.sets(HANDOFFS))
    def pause(self, behind: int, waiting: set[HandoffId]) -> None:
        epoch = self._epochs(behind)
        if self._agents(epoch):
            self._write(e.RunPaused(RUN, epoch, tuple(sorted(waiting)), session=BODY))

    @rule(handoff=HANDOFFS)
    def settle_what_it_waits_for(self, handoff: HandoffId) -> None:
        was = self.state
        self._write(*runs.ready(was, handoff))
        if self.state.status is not was.status:
            assert was.status is RunStatus.PAUSED
            assert handoff in was.waiting_on
            assert self.state.status is RunStatus.READY

    @rule(behind=st.integers(0, 1), cost=st.sampled_from(["", "0.25", "1"]))
    def exit(self, behind: int, cost: str) -> None:
        epoch = self._epochs(behind)
        if self._mine(epoch):
            self._write(e.AgentExited(RUN, epoch, 0, cost_usd=cost, turns=3))

    @rule(outcome=st.sampled_from(list(RunOutcome)), really=st.integers(0, 9))
    def end(self, outcome: RunOutcome, really: int) -> None:
        if really == 0 and self._agents(self.state.epoch):
            self._write(e.RunEnded(RUN, outcome))

    @rule(person=PEOPLE)
    def take_over(self, person: PersonId) -> None:
        was = self.state
        if was.over or was.command is None:
            return
        event = t.RunTakenOver(RUN, person)
        try:
            events = takeover.take(RUN, was.takeovers, event, "Ann")
        except InvalidTransition:
            unrecorded = takeover.unrecorded(was.takeovers) is not None
            assert unrecorded or (was.held is not None and was.held.by != person)
            return
        self._write(*events)
        assert self.state.held is not None
        assert self.state.held.by == person

    @rule(behind=st.integers(0, 1))
    def hand_over(self, behind: int) -> None:
        epoch, now = self._epochs(behind), self.state.held
        if self._mine(epoch) and now is not None and now.point is None:
            self._write(t.RunHandedOver(RUN, epoch, "host", "/w", "b", "h", "r", "c", BODY, BODY))
            assert self.state.process is None

    @rule(person=PEOPLE, admin=st.booleans(), following=st.sampled_from(list(t.Following)))
    def hand_back(self, person: PersonId, admin: bool, following: t.Following) -> None:
        was = self.state
        event = t.RunHandedBack(RUN, person, following)
        try:
            events = takeover.hand_back(RUN, was.takeovers, event, admin=admin)
        except RejectedError:
            now = was.held
            assert now is None or now.point is None or (now.by != person and not admin)
            return
        if was.over:
            return
        self._write(*events)
        assert self.state.status is RunStatus.READY
        assert self.state.held is None

    @rule(behind=st.integers(0, 1))
    def record_work(self, behind: int) -> None:
        epoch = self._epochs(behind)
        if self._agents(epoch) and takeover.unrecorded(self.state.takeovers):
            self._write(t.PersonsWorkRecorded(RUN, epoch, "c", "h", "r", "d", 1, BODY))
            assert takeover.unrecorded(self.state.takeovers) is None

    @rule(
        key=KEYS,
        verdict=st.sampled_from(["allow", "wait", "deny", "observed"]),
        effect=st.sampled_from(["read", "exec"]),
    )
    def judge(self, key: str, verdict: str, effect: str) -> None:
        if self._mine(self.state.epoch):
            step = StepId(f"st_{len(self.log):06}")  # ids grow
            self._write(e.StepJudged(RUN, step, key, "Bash", effect, "sha256:x", verdict))
            kept = verdict != "deny" and effect != "read"
            assert (self.state.open_steps.get(key, None) is not None) >= kept

    @rule(key=KEYS, failed=st.booleans())
    def finish(self, key: str, failed: bool) -> None:
        step = self.state.open_steps.get(key)
        if step is not None and self._mine(self.state.epoch):
            self._write(e.StepFinished(RUN, StepId(step.step_id), 1, failed))
            assert key not in self.state.open_steps

    @rule(number=st.integers(1, MAX_OPEN_STEPS + 3))
    def judge_many(self, number: int) -> None:
        for n in range(number):
            self.judge(f"many_{n}", "allow", "exec")

    @invariant()
    def the_log_gives_the_same_state(self) -> None:
        folded: Run | None = None
        for data in self.log:
            record = from_bytes(data)
            folded = evolve(folded, record.event, record.at)  # type: ignore[arg-type]
        assert folded == self.state
        assert decode(Run, encode(self.state)) == self.state

    @invariant()
    def epochs_only_rise(self) -> None:
        assert self.state.epoch >= self.epoch
        self.epoch = self.state.epoch

    @invariant()
    def open_steps_are_bounded(self) -> None:
        assert len(self.state.open_steps) <= MAX_OPEN_STEPS

    @invariant()
    def a_held_run_is_nobody_elses(self) -> None:
        held = self.state.held is not None
        assert held == (self.state.status is RunStatus.TAKEN_OVER)
        if held:
            assert self.state.waiting_on == ()
            assert self.state.usage.active_since is None
        assert len(self.state.takeovers) <= takeover.MAX_KEPT

    @invariant()
    def an_ended_run_stays_ended(self) -> None:
        if self.over:
            assert self.state.over
            assert not self.state.open_steps
        self.over = self.state.over


RunMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25)
TestRunMachine = RunMachine.TestCase


def test_a_call_with_an_old_epoch_is_told_the_new_one() -> None:
    created = e.RunCreated(RUN, AgentId("ag_1"), "none", Mode.ENFORCE, command=BODY)
    run = evolve(None, created, START)
    for event in runs.lease(run, RunnerId("r"), "h", expired=False):
        run = evolve(run, event, START)
    with pytest.raises(StaleEpoch) as caught:
        runs.check_epoch(run, 0)
    assert caught.value.details == {"epoch": 1}
    assert caught.value.code == "stale_epoch"


def test_the_newest_open_steps_are_kept_whatever_their_keys_are_called() -> None:
    """A state is stored with its keys in the order of the alphabet, and read back so."""
    machine = RunMachine()
    machine.create(session=True)
    keys = [f"{'a' if n % 2 else 'z'}{n:03}" for n in range(MAX_OPEN_STEPS + 8)]
    for key in keys:
        machine.judge(key, "wait", "exec")
    assert set(machine.state.open_steps) == set(keys[-MAX_OPEN_STEPS:])
    machine.the_log_gives_the_same_state()
