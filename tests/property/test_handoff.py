"""The handoff under every command in any order, with a clock that moves."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from handfast.core.domain import events_handoff as e
from handfast.core.domain import grant_commands
from handfast.core.domain import handoff_commands as commands
from handfast.core.domain import handoff_routing as routing
from handfast.core.domain import handoff_votes as votes
from handfast.core.domain.codec import decode, encode
from handfast.core.domain.errors import RejectedError, UsageError
from handfast.core.domain.events import SYSTEM, HandoffEvent, Recorded, from_bytes, to_bytes
from handfast.core.domain.events_handoff import DecisionKind, EffectOutcome, Executor, HandoffKind
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.grant_scope import Scope, Wanted
from handfast.core.domain.handoff import FINAL, Decision, GrantStatus, Handoff, Status
from handfast.core.domain.handoff_fold import evolve
from handfast.core.domain.ids import AgentId, GrantId, HandoffId, PersonId, RunId, StartId
from handfast.core.domain.requirement import Clause, Level, Requirement, Silence, askings
from handfast.testing.clock import START

BODY = BodyRef("bo_1", "hmac-sha256:00", 3)
ACTION, PRESENTED, EDITED = "sha256:action", "sha256:presented", "sha256:edited"
GRANT, OTHER_GRANT = GrantId("gr_1"), GrantId("gr_2")
ALL = [PersonId(f"pe_{n}") for n in range(1, 5)]
PEOPLE = st.sampled_from(ALL)
DIGESTS = st.sampled_from([ACTION, EDITED, "sha256:changed", ""])
LEVELS = st.lists(
    st.builds(Level, st.just(("team:x",)), st.integers(1, 100), st.integers(1, 2)), max_size=3
).map(tuple)
CLAUSES = st.lists(
    st.builds(Clause, st.integers(1, 3), st.just(("team:x",)), st.booleans()),
    min_size=1,
    max_size=2,
).map(tuple)
REQUIREMENTS = st.one_of(
    st.builds(Requirement, silence=st.sampled_from(Silence)),
    st.builds(Requirement, CLAUSES, st.just(0), st.sampled_from(Silence), LEVELS),
)
SCOPES = st.builds(Scope, st.integers(1, 3), within_s=st.sampled_from([0, 50]))
WITH_SCOPE = st.builds(lambda r, most: replace(r, scope=most), REQUIREMENTS, SCOPES)
COUNTS = st.fixed_dictionaries(
    {p: st.sets(st.integers(0, 1)).map(lambda s: tuple(sorted(s))) for p in ALL}
)


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
        self.ballots: dict[PersonId, str] = {}
        self.edited_by: set[PersonId] = set()

    @initialize(
        kind=st.sampled_from(list(HandoffKind)),
        risk=st.sampled_from(["low", "medium", "high", "critical"]),
        executor=st.sampled_from(list(Executor)),
        offered=st.sets(st.sampled_from(list(DecisionKind)), min_size=1),
        takes=st.tuples(WITH_SCOPE, st.integers(1, 400)),
        counts=COUNTS,
        close=st.tuples(
            st.lists(PEOPLE, max_size=1).map(tuple),
            st.sampled_from([PersonId(""), PersonId(""), ALL[0]]),
        ),
        may_proceed=st.booleans(),
    )
    def request(
        self,
        kind: HandoffKind,
        risk: str,
        executor: Executor,
        offered: set[DecisionKind],
        takes: tuple[Requirement, int],
        counts: dict[PersonId, tuple[int, ...]],
        close: tuple[tuple[PersonId, ...], PersonId],
        may_proceed: bool,
    ) -> None:
        requirement, within = takes
        requested_by, editor = close
        n = len(requirement.clauses)
        self.counts = {p: tuple(i for i in have if i < n) for p, have in counts.items()}
        planned = askings(requirement, within)
        assert sum(a.seconds for a in planned) == within
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
            tuple(a.seconds for a in planned),
            RunId("run_1"),
            executor=executor,
            requirement=requirement,
            requested_by=requested_by,
            may_proceed=may_proceed,
            editor=editor,
        )
        first = Recorded("ev_0", "handoff/ho_1", 1, self.now, SYSTEM, request)
        self.log.append(to_bytes(first))
        self.state = evolve(None, request, self.now)
        self._write(routing.route(request, (PersonId("pe_1"),), self.now))

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
        assert before.frozen_at is None
        assert before.status is Status.DECIDED

    @rule(seconds=st.integers(0, 400))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def time_passes_to_the_next_date(self) -> None:
        if self.state.next_due is not None:
            self.now = max(self.now, self.state.next_due)

    @rule(
        kind=st.sampled_from([*DecisionKind, DecisionKind.APPROVE, DecisionKind.APPROVE]),
        person=PEOPLE,
        stale=st.sampled_from([False, False, False, True]),
        edited=st.sampled_from(["", EDITED]),
        answer=st.sampled_from(["", "it_ran", "it_did_not_run", "yes"]),
        has_reason=st.booleans(),
        times=st.integers(0, 4),
    )
    def decide(
        self,
        kind: DecisionKind,
        person: PersonId,
        stale: bool,
        edited: str,
        answer: str,
        has_reason: bool,
        times: int,
    ) -> None:
        was = self.state
        command = votes.Decide(
            kind,
            person,
            "pin",
            "sha256:older" if stale else was.presented_digest,
            GRANT,
            200,
            self.counts[person],
            has_reason=has_reason,
            edited_action=BODY,
            edited_digest=edited if kind is DecisionKind.APPROVE_WITH_EDITS else "",
            next_presented=f"sha256:presented-{len(self.log)}",
            answer=answer,
            scope=Wanted(times),
        )
        try:
            events = votes.decide(was, command, self.now)
        except (RejectedError, UsageError):
            return
        assert was.waiting
        assert was.frozen_at is None
        assert kind in was.offered
        assert not stale
        assert self.counts[person], "somebody decided who is in no audience"
        if person == was.editor:
            assert kind not in (DecisionKind.APPROVE, DecisionKind.APPROVE_WITH_EDITS)
        self._check_scope(was, events, times)
        for event in events:
            if isinstance(event, e.HandoffVoted):
                self.ballots[person] = was.presented_digest
            elif isinstance(event, e.HandoffEdited):
                self.ballots.clear()
                self.edited_by.add(person)
            elif isinstance(event, e.HandoffDecided) and kind is DecisionKind.APPROVE:
                self._check_quorum(was, self.ballots | {person: was.presented_digest})
            elif isinstance(event, e.HandoffDecided) and event.edited_digest:
                self._check_quorum(was, {person: was.presented_digest}, editor=person)
        self._write(events)
        self.decision = self.state.decision

    def _check_scope(self, was: Handoff, events: list[HandoffEvent], times: int) -> None:
        """Only the approval that decides says how far it reaches, of the form that was asked about."""
        for event in events:
            if isinstance(event, e.GrantMinted):
                assert event.uses == max(times, 1) <= was.requirement.scope.times
                assert event.uses == 1 or was.edit is None
                limit = was.requirement.scope.within_s or 200
                assert event.expires_at <= self.now + timedelta(seconds=limit)
            elif isinstance(event, e.HandoffVoted | e.HandoffEdited):
                assert times == 0

    def _check_quorum(
        self, was: Handoff, ballots: dict[PersonId, str], editor: PersonId | None = None
    ) -> None:
        """Counted here from the ballots alone: enough different people for each clause, none too close,
        each having seen what was decided on."""
        close = self.edited_by | set(was.requested_by) if editor is None else {editor}
        for i, clause in enumerate(was.requirement.clauses):
            humans = {p for p in ballots if i in self.counts[p]}
            humans -= close if clause.separate else set()
            assert len(humans) >= clause.approvals
        assert set(ballots.values()) == {was.presented_digest}

    @rule(person=PEOPLE)
    def take_back(self, person: PersonId) -> None:
        try:
            self._write(votes.unvote(self.state, person))
        except RejectedError:
            return
        del self.ballots[person]

    @rule(person=PEOPLE, only_one=st.booleans())
    def override(self, person: PersonId, only_one: bool) -> None:
        was = self.state
        seen = was.presented_digest
        command = votes.Override(person, "pin", seen, BODY, GRANT, 200, only_one)
        try:
            events = votes.override(was, command, self.now)
        except RejectedError:
            return
        assert only_one or person not in (*was.requested_by, was.editor)
        self._write(events)
        self.decision = self.state.decision
        assert self.decision is not None
        assert self.decision.overridden
        assert self.state.grant is None or self.state.grant.uses == 1

    @rule(person=PEOPLE, people=st.lists(PEOPLE, max_size=2).map(tuple))
    def re_route(self, person: PersonId, people: tuple[PersonId, ...]) -> None:
        deadline = self.state.deadline
        try:
            command = routing.ReRoute(person, ("team:x",), people, BODY)
            self._write(routing.re_route(self.state, command, self.now))
        except (RejectedError, UsageError):
            return
        assert self.state.deadline == deadline

    @rule(person=PEOPLE, seconds=st.integers(0, 100))
    def snooze(self, person: PersonId, seconds: int) -> None:
        due = self.state.next_due
        try:
            until = self.now + timedelta(seconds=seconds)
            self._write(routing.snooze(self.state, person, until, self.now))
        except (RejectedError, UsageError):
            return
        assert self.state.next_due == due
        assert self.state.put_off(person, self.now)

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
            act = routing.acknowledge if take else routing.release
            self._write(act(self.state, person))
        except RejectedError:
            return

    @rule()
    def freeze_or_thaw(self) -> None:
        was = self.state
        act = routing.freeze(was, "kill switch") if was.frozen_at is None else routing.thaw(was)
        self._write(act)
        if was.frozen_at is not None and act and was.due_at is not None:
            still = self.now - was.frozen_at
            assert self.state.due_at == was.due_at + still
            assert self.state.deadline == (was.deadline or was.due_at) + still

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
        """As `engine.deadlines` does it. A machine goes on only with what may."""
        was = self.state
        due = self.state.next_due
        if due is not None and self.now >= due and commands.starts_unsettled(self.state):
            assert self.state.grant is not None
            unknown = commands.Settle(self.state.grant.start_id, EffectOutcome.UNKNOWN)
            self._write(commands.settle(self.state, unknown))
        else:
            self._write(routing.sweep(was, self.now, routing.Due(GRANT, 200)))
        if was.decision is None and self.state.decision is not None:
            self.decision = self.state.decision
            assert self.decision.by_machine
            assert (was.risk, was.may_proceed, was.holder) == ("low", True, "")
            assert not was.editors
            assert self.state.grant is None or self.state.grant.uses == 1
            assert was.requirement.silence is Silence.AUTO_PROCEED
        if self.state.status is Status.EXPIRED:
            assert self.state.grant is None

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
        """R6: silence alone ends every case, whatever it takes and whoever is asked, and never with a
        start."""
        if not hasattr(self, "state"):
            return
        starts = self.starts
        if self.state.frozen_at is not None:
            assert self.state.next_due is None
            self._write(routing.thaw(self.state))
        for _ in range(len(self.state.levels_s) + routing.ROUNDS + 4):
            due: datetime | None = self.state.next_due
            if due is None:
                break
            self.now = max(self.now, due)
            self._sweep()
            self.the_log_gives_the_same_state()
        assert self.state.status in FINAL
        assert self.starts == starts


HandoffMachine.TestCase.settings = settings(stateful_step_count=25)
TestHandoffMachine = HandoffMachine.TestCase


def test_a_handoff_begins_with_its_request() -> None:
    with pytest.raises(ValueError, match="first event"):
        evolve(None, e.HandoffWithdrawn(HandoffId("ho_1"), "x"), START)
