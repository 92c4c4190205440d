"""The reference improvement loop: eight asks of one piece of work, which people answer in three sittings.

An agent improves a service. Before the work it has two questions and a plan; before the merge a deletion of a
sub-agent's, a question and the finished change; at the release a push and what announces it. Asked one by one
these are eight interruptions. With an interruption budget they are the three planned checkpoints of the work.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from handfast.core.domain.events_checkpoint import Stage, Why
from handfast.core.domain.package import ReviewedWork
from handfast.engine.deferring import recent
from handfast.engine.packages import ReviewFacts
from handfast.engine.reviews import FinishedWork
from handfast.engine.runs import Pause
from tests.engine_room import RUNNER, Room
from tests.unit.test_engine_votes import policy

COST = 20.0  # reviewer-minutes that an interruption costs
BUDGET = "interruptions: {cost: 20, per_day: 3, wait_at_most: 4h, sitting: 15m}\n"
DECIDED_AT = (15, 80, 100)  # minutes: when the person has answered everything there is


@dataclass(frozen=True)
class _Step:
    """`at` is minutes from the start. A question that does not block lets the agent go on."""

    at: int
    ask: str
    blocking: bool = True
    hazard: str = ""


LOOP = (
    _Step(0, "Which of the two retry libraries?", blocking=False),
    _Step(4, "May the public error type change?", blocking=False),
    _Step(10, "This is the plan. Shall I go on?"),
    _Step(40, "rm -r legacy_retry", hazard="fs.delete-tracked"),
    _Step(55, "Keep the old name for one release?", blocking=False),
    _Step(70, "finished work"),
    _Step(95, "git push origin v2.1", hazard="git.push"),
    _Step(96, "gh release create v2.1", hazard="forge.write"),
)


def _asked(room: Room, step: _Step) -> str:
    if step.hazard:
        return cast("str", room.propose(step.ask, step.ask, (step.hazard,))["handoff_id"])
    if step.ask == "finished work":
        run_id = room.queued_run()
        run = room.engine.runs.lease(RUNNER, "runner-1", "host")
        assert run is not None
        facts = ReviewFacts(ReviewedWork("a" * 40, "b" * 40, "main", files=("r.py",)), "diff", 1, 0)
        done = room.engine.reviews.open(RUNNER, FinishedWork(run_id, run.epoch, facts, Pause()))
        return cast("str", done["handoff_id"])
    asked = room.engine.reviews.ask(RUNNER, room.run_id, step.ask, blocking=step.blocking)
    return cast("str", asked["handoff_id"])


def _lived(room: Room) -> Iterator[tuple[str, int]]:
    """Minute by minute: asks come, the server sweeps, the person answers. Each telling of a person, with
    the minute."""
    asked: list[str] = []
    told: set[str] = set()
    for minute in range(101):
        asked += [_asked(room, step) for step in LOOP if step.at == minute]
        room.engine.sweep()
        now_told = [h for h in asked if h not in told and room.handoff(h).to_tell]
        told |= set(now_told)
        yield from ((h, minute) for h in now_told)
        if minute in DECIDED_AT:
            for handoff in (room.handoff(h) for h in asked):
                if handoff.waiting:
                    answer = "yes" if handoff.offered[0] == "answer" else ""
                    room.decide(handoff.handoff_id, handoff.offered[0], answer=answer)
        room.clock.move(60)


def test_eight_asks_compile_into_three_checkpoints(room: Room) -> None:
    policy(room, BUDGET)
    told = list(_lived(room))
    checkpoints = recent(room.engine.kernel)[::-1]
    assert [minute for _, minute in told] == [10, 70, 95]
    assert [len(c.handoffs) for c in checkpoints] == [3, 3, 2]
    assert [c.why for c in checkpoints] == [Why.PLANNED] * 3
    stages = [{room.handoff(h).stage for h in c.handoffs} for c in checkpoints]
    assert stages == [{Stage.PLAN}, {Stage.CHANGE}, {Stage.RELEASE}]


def test_what_the_waiting_cost_stays_far_below_the_interruptions_it_saved(room: Room) -> None:
    """10 and 6 minutes of two questions nobody waits for; 30 minutes of a blocked sub-agent and 15 of a
    question: 0.32 and 4.8 reviewer-minutes, against five interruptions of 20."""
    policy(room, BUDGET)
    tellings = len(list(_lived(room)))
    waited = [c.waited_mils / 1000 for c in recent(room.engine.kernel)[::-1]]
    assert waited == [0.32, 4.8, 0.0]
    assert all(cost < COST for cost in waited)
    assert tellings * COST + sum(waited) == 65.12


def test_without_a_budget_the_same_loop_interrupts_eight_times(room: Room) -> None:
    assert [minute for _, minute in _lived(room)] == [step.at for step in LOOP]


def test_no_ask_of_the_loop_went_on_without_its_own_decision(room: Room) -> None:
    policy(room, BUDGET)
    list(_lived(room))
    cases = [room.handoff(h) for c in recent(room.engine.kernel) for h in c.handoffs]
    assert len(cases) == 8
    assert all(h.decision is not None and h.decision.person_id == room.me.id for h in cases)
    assert room.types().count("handoff.decided") == 8
