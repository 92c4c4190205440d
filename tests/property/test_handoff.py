"""The handoff under every command in any order, with a clock that moves."""

from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from handfast.core.domain import events_handoff as e
from handfast.core.domain import grant_commands
from handfast.core.domain import handoff_commands as commands
from handfast.core.domain.codec import decode, encode
from handfast.core.domain.errors import RejectedError, UsageError
from handfast.core.domain.events import SYSTEM, HandoffEvent, Recorded, from_bytes, to_bytes
from handfast.core.domain.events_handoff import DecisionKind, EffectOutcome, Executor, HandoffKind
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.grant_scope import Scope, Wanted
from handfast.core.domain.handoff import FINAL, Decision, GrantStatus, Handoff, Status, evolve
from handfast.core.domain.ids import AgentId, GrantId, HandoffId, PersonId, RunId, StartId
from handfast.core.domain.requirement import Requirement
from handfast.testing.clock import START

BODY = BodyRef("bo_1", "hmac-sha256:00", 3)
ACTION, PRESENTED, EDITED = "sha256:action", "sha256:presented", "sha256:edited"
GRANT, OTHER_GRANT = GrantId("gr_1"), GrantId("gr_2")
PEOPLE = st.sampled_from([PersonId("pe_1"), PersonId("pe_2")])
DIGESTS = st.sampled_from([ACTION, EDITED, "sha256:changed", ""])
LEVELS = st.lists(st.integers(1, 100), min_size=1, max_size=3).map(tuple)


class HandoffMachine(RuleBasedStateMachine):
    """Runs what the engine runs: a command gives events, they are written, the state is their fold."""

    state: Handoff

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.log: list[bytes] = []
        self.decision: Decision | None = None
        self.final: Status | None = None
        self.starts = 0
        self.settled = False
        self.revoked_after: int | None = None

    @initialize(
        kind=st.sampled_from(list(HandoffKind)),
        risk=st.sampled_from(["low", "medium", "high", "critical"]),
        executor=st.sampled_from(list(Executor)),
        offered=st.sets(st.sampled_from(list(DecisionKind)), min_size=1),
        levels=LEVELS,
        most=st.builds(Scope, st.integers(1, 3), within_s=st.sampled_from([0, 50])),
    )
    def request(
        self,
        kind: HandoffKind,
        risk: str,
        executor: Executor,
        offered: set[DecisionKind],
        levels: tuple[int, ...],
        most: Scope,
    ) -> None:
        request = e.HandoffRequested(
            HandoffId("ho_1"),
            kind,
            risk,
            AgentId("ag_1"),
            ACTION,
            PRESENTED,
            BODY,
            BODY,
            tuple(sorted(offered)),
            levels,
            RunId("run_1"),
            executor=executor,
            requirement=Requirement(scope=most),
        )
        first = Recorded("ev_0", "handoff/ho_1", 1, self.now, SYSTEM, request)
        self.log.append(to_bytes(first))
        self.state = evolve(None, request, self.now)
        self._write(commands.route(request, "reviewers", self.now))

    def _write(self, events: list[HandoffEvent]) -> None:
        for event in events:
            before, version = self.state, len(self.log) + 1
            record = Recorded(f"ev_{version}", "handoff/ho_1", version, self.now, SYSTEM, event)
            self.log.append(to_bytes(record))
            self.state = evolve(self.state, event, self.now)
            if isinstance(event, e.GrantRedeemed):
                self._check_start(before, event)

    def _check_start(self, before: Handoff, event: e.GrantRedeemed) -> None:
        """R1, R3, R4, R5: a start needs a person's yes to this very digest, in time, and there are no more of
        them than were given, one at a time."""
        self.starts += 1
        assert before.grant is not None
        assert self.starts == event.use <= before.grant.uses <= before.requirement.scope.times
        assert before.grant.status is GrantStatus.MINTED
        assert (
            before.effect is None
            or before.effect.outcome is not EffectOutcome.UNKNOWN
            or self.settled
        )
        assert before.decision is not None
        assert before.decision.kind in (DecisionKind.APPROVE, DecisionKind.APPROVE_WITH_EDITS)
        assert before.grant is not None
        assert event.action_digest == before.grant.action_digest
        assert event.action_digest == (before.decision.edited_digest or before.action_digest)
        assert self.now < before.grant.expires_at
        assert before.status is Status.DECIDED

    @rule(seconds=st.integers(0, 400))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def time_passes_to_the_next_date(self) -> None:
        if self.state.next_due is not None:
            self.now = max(self.now, self.state.next_due)

    @rule(
        kind=st.sampled_from(list(DecisionKind)),
        person=PEOPLE,
        presented=st.sampled_from([PRESENTED, PRESENTED, PRESENTED, "sha256:older"]),
        edited=st.sampled_from(["", EDITED]),
        answer=st.sampled_from(["", "it_ran", "it_did_not_run", "yes"]),
        has_reason=st.booleans(),
        times=st.integers(0, 4),
    )
    def decide(
        self,
        kind: DecisionKind,
        person: PersonId,
        presented: str,
        edited: str,
        answer: str,
        has_reason: bool,
        times: int,
    ) -> None:
        command = commands.Decide(
            kind,
            person,
            "pin",
            presented,
            GRANT,
            200,
            has_reason=has_reason,
            edited_digest=edited if kind is DecisionKind.APPROVE_WITH_EDITS else "",
            answer=answer,
            scope=Wanted(times),
        )
        was = self.state
        try:
            events = commands.decide(was, command, self.now)
        except (RejectedError, UsageError):
            return
        assert was.waiting
        assert kind in was.offered
        assert presented == was.presented_digest
        self._write(events)
        self.decision = self.state.decision
        assert self.decision is not None

    @rule(
        grant=st.sampled_from([GRANT, GRANT, OTHER_GRANT]),
        digest=DIGESTS,
        executor=st.sampled_from([Executor.HOOKED, Executor.MEDIATED]),
    )
    def redeem(self, grant: GrantId, digest: str, executor: Executor) -> None:
        command = commands.Redeem(
            grant, StartId(f"start_{self.starts + 1}"), digest, executor, 1, 60
        )
        try:
            events = commands.redeem(self.state, command, self.now)
        except RejectedError:
            return
        self._write(events)

    @rule(
        start=st.sampled_from([StartId("start_1"), StartId("start_2"), StartId("")]),
        outcome=st.sampled_from(list(EffectOutcome)),
        executed=DIGESTS,
    )
    def settle(self, start: StartId, outcome: EffectOutcome, executed: str) -> None:
        try:
            events = commands.settle(self.state, commands.Settle(start, outcome, executed))
        except RejectedError:
            return
        assert self.starts >= 1, "an effect was taken for something that never started"
        self._write(events)

    @rule(person=PEOPLE, take=st.booleans())
    def hold(self, person: PersonId, take: bool) -> None:
        try:
            act = commands.acknowledge if take else commands.release
            self._write(act(self.state, person))
        except RejectedError:
            return

    @rule(person=PEOPLE)
    def look(self, person: PersonId) -> None:
        self._write([e.HandoffViewed(self.state.handoff_id, person, PRESENTED, 10)])

    @rule()
    def remark(self) -> None:
        self._write([e.HandoffCommented(self.state.handoff_id, BODY)])

    @rule()
    def refuse(self) -> None:
        self._write([e.GrantRefused(self.state.handoff_id, GRANT, "grant_used", ACTION)])

    @rule()
    def settle_the_doubt(self) -> None:
        events = grant_commands.reopen(self.state, HandoffId("ho_doubt"))
        self.settled = self.settled or bool(events)
        self._write(events)

    @precondition(lambda self: len(self.log) > 5)
    @rule(person=PEOPLE)
    def revoke(self, person: PersonId) -> None:
        try:
            self._write(grant_commands.revoke(self.state, person, None))
        except RejectedError:
            return
        self.revoked_after = self.starts

    @rule()
    def sweep(self) -> None:
        self._sweep()

    def _sweep(self) -> None:
        """As `engine.deadlines` does it."""
        due = self.state.next_due
        if due is not None and self.now >= due and commands.starts_unsettled(self.state):
            assert self.state.grant is not None
            unknown = commands.Settle(self.state.grant.start_id, EffectOutcome.UNKNOWN)
            self._write(commands.settle(self.state, unknown))
        else:
            self._write(commands.sweep(self.state, self.now, "reviewers"))

    @precondition(lambda self: len(self.log) > 6)
    @rule(which=st.sampled_from(["withdraw", "overtake"]))
    def end_without_decision(self, which: str) -> None:
        if which == "withdraw":
            self._write(commands.withdraw(self.state, "the run ended"))
        else:
            changed = commands.overtake(self.state, HandoffId("ho_2"), "sha256:changed")
            self._write(changed)

    @invariant()
    def the_log_gives_the_same_state(self) -> None:
        folded: Handoff | None = None
        for data in self.log:
            record = from_bytes(data)
            event = record.event
            folded = evolve(folded, event, record.at)  # type: ignore[arg-type]
        assert folded == self.state
        assert decode(Handoff, encode(self.state)) == self.state

    @invariant()
    def a_decision_stands(self) -> None:
        assert self.state.decision == self.decision
        if self.decision is not None:
            assert not self.state.waiting

    @invariant()
    def an_end_is_the_end(self) -> None:
        if self.final is not None:
            assert self.state.status is self.final
        elif self.state.status in FINAL:
            self.final = self.state.status
            assert self.state.next_due is None

    @invariant()
    def a_refused_action_has_no_grant(self) -> None:
        """R2."""
        refused = (DecisionKind.REJECT, DecisionKind.REQUEST_CHANGES)
        if self.state.decision is not None and self.state.decision.kind in refused:
            assert self.state.grant is None

    @invariant()
    def what_was_taken_back_does_not_start(self) -> None:
        assert self.revoked_after in (None, self.starts)

    @invariant()
    def control_is_with_one_party(self) -> None:
        assert bool(self.state.holder) == (self.state.status is Status.ACKNOWLEDGED) or (
            not self.state.waiting
        )

    def teardown(self) -> None:
        """R6: silence alone ends every case, and never with a start."""
        if not hasattr(self, "state"):
            return
        starts = self.starts
        for _ in range(len(self.state.levels_s) + 2):
            due: datetime | None = self.state.next_due
            if due is None:
                break
            self.now = max(self.now, due)
            self._sweep()
            self.the_log_gives_the_same_state()
        assert self.state.status in FINAL
        assert self.starts == starts


HandoffMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
TestHandoffMachine = HandoffMachine.TestCase


def test_a_handoff_begins_with_its_request() -> None:
    with pytest.raises(ValueError, match="first event"):
        evolve(None, e.HandoffWithdrawn(HandoffId("ho_1"), "x"), START)
