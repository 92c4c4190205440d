"""What an approval takes, under any order of approvals, withdrawals and edits."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handfast.core.domain import events_handoff as e
from handfast.core.domain import handoff_routing as routing
from handfast.core.domain import handoff_votes as votes
from handfast.core.domain.errors import RejectedError
from handfast.core.domain.events import HandoffEvent
from handfast.core.domain.events_handoff import DecisionKind, Executor, HandoffKind
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.handoff import FINAL, Handoff
from handfast.core.domain.handoff_fold import evolve
from handfast.core.domain.ids import AgentId, GrantId, HandoffId, PersonId
from handfast.core.domain.requirement import (
    Clause,
    Level,
    Requirement,
    Silence,
    askings,
    covers,
    merged,
)
from handfast.testing.clock import START

BODY = BodyRef("bo_1", "hmac-sha256:00", 3)
GRANT = GrantId("gr_1")
PEOPLE = [PersonId(f"pe_{n}") for n in range(4)]
APPROVE, EDIT = DecisionKind.APPROVE, DecisionKind.APPROVE_WITH_EDITS
CLAUSES = st.lists(
    st.builds(Clause, st.integers(1, 3), st.just(("team:x",)), st.booleans()),
    min_size=1,
    max_size=2,
).map(tuple)
ACTS = st.lists(
    st.tuples(st.sampled_from(PEOPLE), st.sampled_from(["yes", "yes", "yes", "back", "edit"])),
    max_size=12,
)
MEMBERS = st.fixed_dictionaries(
    {p: st.sampled_from([(), (0,), (1,), (0, 1), (0, 1), (0, 1)]) for p in PEOPLE}
)
LEVELS = st.lists(
    st.builds(Level, st.just(("team:x",)), st.integers(0, 100), st.integers(1, 3)), max_size=3
).map(tuple)


def _opened(requirement: Requirement, within_s: int = 3600, **more: object) -> Handoff:
    request = e.HandoffRequested(
        HandoffId("ho_1"),
        HandoffKind.APPROVAL,
        "low",
        AgentId("ag_1"),
        "sha256:action",
        "sha256:shown",
        BODY,
        BODY,
        (APPROVE, EDIT),
        tuple(a.seconds for a in askings(requirement, within_s)),
        executor=Executor.HOOKED,
        requirement=requirement,
    )
    request = replace(request, **more)  # type: ignore[arg-type]
    state = evolve(None, request, START)
    return _fold(state, routing.route(request, (PEOPLE[0],), START))


def _fold(state: Handoff, events: list[HandoffEvent]) -> Handoff:
    for event in events:
        state = evolve(state, event, START)
    return state


def _command(
    state: Handoff, who: PersonId, kind: DecisionKind, counts: tuple[int, ...]
) -> votes.Decide:
    return votes.Decide(
        kind,
        who,
        "pin",
        state.presented_digest,
        GRANT,
        60,
        counts,
        edited_action=BODY,
        edited_digest="sha256:edited" if kind is EDIT else "",
        next_presented=state.presented_digest + "'",
    )


@settings(max_examples=500)
@given(clauses=CLAUSES, members=MEMBERS, acts=ACTS, asked_by=st.sampled_from([(), (PEOPLE[0],)]))
def test_a_quorum_counts_each_human_once_and_none_who_is_too_close(
    clauses: tuple[Clause, ...],
    members: dict[PersonId, tuple[int, ...]],
    acts: list[tuple[PersonId, str]],
    asked_by: tuple[PersonId, ...],
) -> None:
    """Against a count of its own: sets of people who said yes to what is decided on."""
    state = _opened(Requirement(clauses), requested_by=asked_by)
    counts = {p: tuple(i for i in have if i < len(clauses)) for p, have in members.items()}
    yes: set[PersonId] = set()
    close = set(asked_by)
    for who, act in acts:
        try:
            if act == "back":
                state = _fold(state, votes.unvote(state, who))
                yes.discard(who)
                continue
            command = _command(state, who, EDIT if act == "edit" else APPROVE, counts[who])
            events = votes.decide(state, command, START)
        except RejectedError:
            continue
        state = _fold(state, events)
        if act == "edit":
            yes, close = set(), close | {who}
        yes.add(who)
        if act == "edit" and state.decision is None:
            yes.discard(who)
        enough = all(
            len({p for p in yes if i in counts[p] and not (c.separate and p in close)})
            >= c.approvals
            for i, c in enumerate(clauses)
        )
        assert (state.decision is not None) is enough
        if state.decision is not None:
            assert state.grant is not None
            edited = state.editors or act == "edit"
            assert (state.grant.action_digest == "sha256:edited") is bool(edited)
            break


@settings(max_examples=300)
@given(
    levels=LEVELS,
    within=st.integers(1, 1_000),
    silence=st.sampled_from(list(Silence)),
    held=st.lists(st.booleans(), max_size=12),
    nobody=st.booleans(),
    may_proceed=st.booleans(),
    risk=st.sampled_from(["low", "medium"]),
)
def test_routing_always_ends_in_a_final_state_or_as_declared(
    levels: tuple[Level, ...],
    within: int,
    silence: Silence,
    held: list[bool],
    nobody: bool,
    may_proceed: bool,
    risk: str,
) -> None:
    requirement = Requirement(within_s=within, silence=silence, levels=levels)
    state = _opened(requirement, within, may_proceed=may_proceed, risk=risk)
    now, first_end = START, state.deadline
    assert first_end == START + timedelta(seconds=within)
    people = () if nobody else (PEOPLE[0],)
    bound = len(state.levels_s) + routing.ROUNDS + 2
    for n in range(bound + 1):
        assert n < bound, "it is asked and asked"
        if not state.waiting:
            break
        if n < len(held) and held[n]:
            state = evolve(state, e.HandoffAcknowledged(state.handoff_id, PEOPLE[0]), now)
        assert state.next_due is not None
        now = max(now, state.next_due)
        for event in routing.sweep(state, now, routing.Due(GRANT, 60, people)):
            state = evolve(state, event, now)
    if state.decision is None:
        assert state.status in FINAL
        assert state.grant is None
        if silence is not Silence.ESCALATE:
            assert now == first_end
    else:
        assert state.decision.by_machine
        assert (silence, may_proceed, risk) == (Silence.AUTO_PROCEED, True, "low")


REQUIREMENTS = st.lists(
    st.builds(
        Requirement,
        st.lists(
            st.builds(
                Clause,
                st.integers(1, 3),
                st.lists(
                    st.sampled_from(["reviewers", "team:a", "team:b"]), min_size=1, max_size=2
                ).map(tuple),
                st.booleans(),
            ),
            min_size=1,
            max_size=2,
        ).map(tuple),
    ),
    min_size=1,
    max_size=4,
)


@given(requirements=REQUIREMENTS, data=st.data())
def test_putting_requirements_together_loses_none_in_any_order(
    requirements: list[Requirement], data: st.DataObject
) -> None:
    together = merged(tuple(requirements))
    assert merged(tuple(data.draw(st.permutations(requirements)))) == together
    for one in requirements:
        assert covers(together, one), "a clause was lost"
    assert merged((together, *requirements)) == together


def test_the_same_ballot_twice_changes_nothing() -> None:
    state = _opened(Requirement((Clause(2),)))
    command = _command(state, PEOPLE[0], APPROVE, (0,))
    state = _fold(state, votes.decide(state, command, START))
    assert votes.decide(state, command, START) == []
    assert len(state.votes) == 1


def test_nobody_decides_without_counting() -> None:
    state = _opened(Requirement((Clause(1, ("team:dba",)),)))
    with pytest.raises(RejectedError, match="does not count"):
        votes.decide(state, _command(state, PEOPLE[0], APPROVE, ()), START)
