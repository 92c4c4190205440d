"""Rules about what is asked and decided: R1, R2, R3, R5, R8, R10, R11."""

from collections.abc import Callable
from typing import TypeAlias

import pytest

from handfast.core.domain.errors import AlreadyDecided, HandfastError
from handfast.testing.gates.executor import Action, Attempt, Executor, Outcome
from handfast.testing.gates.place import Place

Resuming: TypeAlias = Callable[[Action, Attempt], Attempt]
RAN, WAITING, DENIED = Outcome.RAN, Outcome.WAITING, Outcome.DENIED


def asked(executor: Executor, place: Place, action: Action) -> Attempt:
    """Attempt it and have it wait for a person, with nothing run."""
    attempt = executor.attempt(action)
    assert attempt.outcome is WAITING, f"expected to wait: {attempt}"
    assert attempt.handoff_id in [h["handoff_id"] for h in place.waiting()]
    assert place.ran(action.marker) == 0, "it ran before anybody decided"
    return attempt


def approved(executor: Executor, place: Place, action: Action) -> Attempt:
    attempt = asked(executor, place, action)
    place.decide(attempt.handoff_id)
    return attempt


def not_run(place: Place, action: Action, attempt: Attempt, times: int = 0) -> None:
    """Neither said nor done. Says what the executor claimed when it ran all the same."""
    assert place.ran(action.marker) == times, f"it ran: {attempt}"
    assert attempt.outcome is not RAN, f"it claims that it ran: {attempt}"


class Deciding:
    """Inherited by `GateConformance`."""

    def test_r01_nothing_runs_without_an_approval(self, executor: Executor, place: Place) -> None:
        action = Action("r01")
        first = asked(executor, place, action)
        not_run(place, action, executor.attempt(action))
        for go_on in _others(executor):
            not_run(place, action, go_on(action, first))
        place.decide(first.handoff_id)
        assert executor.resume(action, first).outcome is RAN
        assert place.ran("r01") == 1

    def test_r02_a_rejected_action_never_runs(self, executor: Executor, place: Place) -> None:
        action = Action("r02-rejected")
        first = asked(executor, place, action)
        place.decide(first.handoff_id, "reject")
        for attempt in (executor.resume(action, first), executor.attempt(action)):
            assert attempt.outcome is DENIED, attempt
        assert place.ran(action.marker) == 0

    def test_r02_a_rejected_action_stays_denied_when_policy_turns(
        self, executor: Executor, place: Place
    ) -> None:
        action = Action("r02-turned")
        first = asked(executor, place, action)
        place.decide(first.handoff_id, "reject")
        place.loosen()
        for attempt in (executor.attempt(action), executor.resume(action, first)):
            not_run(place, action, attempt)
            assert attempt.outcome is DENIED, attempt

    def test_r02_what_policy_denies_never_runs(self, executor: Executor, place: Place) -> None:
        action = Action("r02-forbidden")
        place.forbid()
        attempt = executor.attempt(action)
        not_run(place, action, attempt)
        assert attempt.outcome is DENIED, attempt
        assert place.waiting() == [], "a person was asked for what policy denies"

    def test_r03_changed_arguments_need_a_new_approval(
        self, executor: Executor, place: Place
    ) -> None:
        action, other = Action("r03"), Action("r03-other")
        first = approved(executor, place, action)
        not_run(place, other, executor.resume(other, first))
        not_run(place, other, executor.attempt(other))
        assert place.ran() == 0
        attempt = executor.resume(action, first)
        assert attempt.outcome is not RAN or place.ran(action.marker) == 1
        assert place.ran(other.marker) == 0

    def test_r03_a_changed_operand_needs_a_new_approval(
        self, executor: Executor, place: Place
    ) -> None:
        operand = place.repo / "operand.sh"
        operand.write_text("true\n")
        action = Action("r03-operand", operand)
        if not executor.capabilities.operands:
            attempt = executor.attempt(action)
            not_run(place, action, attempt)
            assert attempt.outcome is not WAITING, "it asks for what it cannot bind"
            return
        first = approved(executor, place, action)
        operand.write_text("true # changed\n")
        not_run(place, action, executor.resume(action, first))
        not_run(place, action, executor.attempt(action))
        operand.write_text("true\n")
        again = executor.attempt(action)
        if again.outcome is WAITING:
            place.decide(again.handoff_id)
            again = executor.resume(action, again)
        assert again.outcome is RAN, f"what was approved does not run: {again}"
        assert place.ran(action.marker) == 1

    def test_r05_an_expired_handoff_never_runs(self, executor: Executor, place: Place) -> None:
        action = Action("r05-handoff")
        first = asked(executor, place, action)
        place.until_undecided()
        with pytest.raises(HandfastError):
            place.decide(first.handoff_id)
        not_run(place, action, executor.resume(action, first))
        assert place.handoff(first.handoff_id)["status"] == "expired"

    def test_r05_an_expired_grant_never_runs(self, executor: Executor, place: Place) -> None:
        action = Action("r05-grant")
        first = approved(executor, place, action)
        place.until_grants_expire()
        not_run(place, action, executor.replay(action, first))
        not_run(place, action, executor.resume(action, first))
        anew = executor.attempt(action)
        not_run(place, action, anew)
        assert anew.handoff_id != first.handoff_id, "it goes on with what expired"

    def test_r08_parallel_asks_keep_their_own_answers(
        self, executor: Executor, place: Place
    ) -> None:
        one, two = Action("r08-one"), Action("r08-two")
        first = asked(executor, place, one)
        second = executor.attempt(two)
        not_run(place, two, second)
        if not executor.capabilities.parallel:
            assert second.outcome is DENIED, f"a second ask is neither kept nor refused: {second}"
            return
        assert second.outcome is WAITING, second
        place.decide(second.handoff_id, "reject")  # answered in the other order
        place.decide(first.handoff_id)
        told = {a.marker: executor.resume(a, w) for a, w in ((two, second), (one, first))}
        assert told["r08-two"].outcome is DENIED, told
        assert told["r08-one"].outcome is RAN, told
        assert (place.ran("r08-one"), place.ran("r08-two")) == (1, 0)

    def test_r08_resuming_another_way_does_not_answer(
        self, executor: Executor, place: Place
    ) -> None:
        action, other = Action("r08"), Action("r08-approved")
        first = asked(executor, place, action)
        for way in _others(executor):
            not_run(place, action, way(action, first))
        if executor.capabilities.parallel:
            granted = approved(executor, place, other)
            not_run(place, action, executor.resume(action, granted))
        assert place.handoff(first.handoff_id)["decision"] is None

    def test_r10_an_outer_yes_is_not_an_approval(self, executor: Executor, place: Place) -> None:
        action = Action("r10")
        attempt = executor.answered_outside(action)
        not_run(place, action, attempt)
        first = asked(executor, place, action)
        assert place.agent_decides(first.handoff_id) is not None, "an agent decided"
        not_run(place, action, executor.resume(action, first))
        for case in place.cases():
            assert case["decision"] is None, f"somebody decided who is no person: {case}"

    def test_r11_two_deciders_at_once(self, executor: Executor, place: Place) -> None:
        action = Action("r11")
        first = asked(executor, place, action)
        said = place.decide_at_once(first.handoff_id)
        [(winner, kind, _)] = [each for each in said if each[2] is None]
        [(_, _, told)] = [each for each in said if each[2] is not None]
        assert isinstance(told, AlreadyDecided)
        assert told.details["decided_by"] == winner.id
        assert told.details["decided_at"]
        attempt = executor.resume(action, first)
        assert (attempt.outcome is RAN, place.ran(action.marker)) == (
            (True, 1) if kind == "approve" else (False, 0)
        )


def _others(executor: Executor) -> list[Resuming]:
    return [executor.resume, executor.replay]
