"""A run that meets a limit: warned once, handed over once, let go on or stopped by a person."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import pytest

from handfast.app import open_engine
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.brief import Brief, Budget
from handfast.core.domain.errors import IntegrityError
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_limits import RunMeasured
from handfast.core.domain.events_work import AgentStarted, Mode, RunOutcome
from handfast.core.domain.handoff import Status
from handfast.core.domain.ids import AgentId, RunId
from handfast.core.domain.limit_facts import History, Reported
from handfast.core.domain.package import ReviewedWork
from handfast.core.domain.publication import ORGANISATION, Publication
from handfast.core.domain.run import Run
from handfast.core.domain.track import evolve, history
from handfast.engine.actions import Read, StepResult
from handfast.engine.gating import Proposal
from handfast.engine.kernel import Result
from handfast.engine.packages import ReviewFacts
from handfast.engine.reviews import FinishedWork
from handfast.engine.runs import Exit, NewRun, Pause, Session
from handfast.engine.tasks import NewTask
from tests.engine_room import OPERATOR, RUNNER, Room, parallel


def publish(room: Room, *lines: str) -> None:
    text = "version: 1\nlimits:\n" + "".join(f"  {line}\n" for line in lines)
    room.engine.policies.propose(room.me, ORGANISATION, text)


def go(room: Room, key: str, command: str = "make", **more: object) -> Result:
    """A call with an effect that policy itself allows."""
    return room.propose(key, command, (), **more)


def fail(
    room: Room, key: str, command: str = "make", output: str = "no rule", code: int = 2
) -> None:
    assert go(room, key, command)["verdict"] == "allow"
    result = StepResult(room.run_id, key, code, failed=True, output=output)
    room.engine.actions.record_result(RUNNER, result)


def use(room: Room, run_id: str = "", **figures: object) -> None:
    told = Reported(**figures)  # type: ignore[arg-type]  # a test's own figures
    room.engine.limits.report(RUNNER, run_id or room.run_id, told)


def state(room: Room, run_id: str = "") -> Run:
    return room.engine.kernel.state(Run, run_id or room.run_id)


def package(room: Room, handoff_id: object) -> dict[str, object]:
    return cast("dict[str, object]", room.engine.views.handoff(cast("str", handoff_id))["package"])


def count(room: Room, event: str) -> int:
    return room.types(f"run/{room.run_id}").count(event)


@contextmanager
def observing(room: Room) -> Iterator[None]:
    mine = room.run_id
    session = Session(room.agent_id, "claude-code", "watched", "/repo", Mode.OBSERVE)
    room.run_id = cast("str", room.engine.runs.session(RUNNER, session)["run_id"])
    yield
    room.run_id = mine


def _calls(room: Room) -> None:
    for n in range(3):
        go(room, f"c{n}", f"make {n}")


def _repeats(room: Room) -> None:
    fail(room, "f1")
    fail(room, "f2", output="no rule")


def _errors(room: Room) -> None:
    for n in range(3):
        fail(room, f"e{n}", f"make {n}", f"error {n}")


def _retries(room: Room) -> None:
    fail(room, "r1", "pytest", "1 failed")
    fail(room, "r2", "pytest", "2 failed")
    go(room, "r3", "pytest")


def _works(room: Room) -> None:
    go(room, "w1")
    for _ in range(3):
        room.clock.move(25 * 60)
        go(room, "w2")


# metric → the policy's line, and what a run does to meet it
METRICS: dict[str, tuple[str, Callable[[Room], None]]] = {
    "cost_usd": ("{hand_over: 5}", lambda room: use(room, cost_usd="5.01")),
    "tool_calls": ("{hand_over: 3}", _calls),
    "failing_call_repeats": ("{hand_over: 2}", _repeats),
    "consecutive_errors": ("{hand_over: 3}", _errors),
    "retries": ("{hand_over: 2}", _retries),
    "reasoning_s": ("{hand_over: 10m}", lambda room: use(room, reasoning_ms=600_000)),
    "wall_s": ("{hand_over: 1h}", _works),
    "context_fill": ("{hand_over: 0.75}", lambda room: use(room, context_fill="0.76")),
    "compactions": ("{hand_over: 2}", lambda room: use(room, compactions=2)),
    "stated_confidence": ("{hand_over: 0.3}", lambda room: use(room, confidence="0.2")),
}
OFF = tuple(f"{name}: off" for name in METRICS)


def only(room: Room, metric: str) -> None:
    publish(
        room,
        *(line for line in OFF if not line.startswith(metric)),
        f"{metric}: {METRICS[metric][0]}",
    )


@pytest.mark.parametrize("metric", METRICS)
def test_each_limit_hands_the_run_over_once_and_going_on_gives_it_room(
    room: Room, metric: str
) -> None:
    only(room, metric)
    METRICS[metric][1](room)
    asked = go(room, "next", "git add .")
    assert asked["verdict"] == "wait"
    handoff = room.handoff(asked["handoff_id"])
    assert (handoff.kind, handoff.rules) == ("escalation", (f"limit.{metric}",))
    assert go(room, "other", "touch x")["handoff_id"] == asked["handoff_id"]
    assert count(room, "run.limit_reached") == 1
    room.decide(asked["handoff_id"], DecisionKind.APPROVE)
    assert go(room, "next", "git add .")["verdict"] == "allow"
    assert count(room, "run.limit_raised") == 1
    room.check()


@pytest.mark.parametrize("metric", METRICS)
def test_in_observe_mode_it_is_recorded_once_and_nothing_stops(room: Room, metric: str) -> None:
    only(room, metric)
    with observing(room):
        METRICS[metric][1](room)
        assert go(room, "next", "git add .")["verdict"] == "allow"
        assert go(room, "again", "git add .")["verdict"] == "allow"
        assert count(room, "run.limit_reached") == 1
        said = cast("dict[str, list[str]]", room.engine.views.run(room.run_id)["limits"])[
            "warnings"
        ]
        assert "would have been handed over" in said[0]
    assert room.engine.views.handoffs("all").items == []


def test_reads_go_on_while_the_run_waits(room: Room) -> None:
    only(room, "cost_usd")
    use(room, cost_usd="9")
    assert go(room, "1")["verdict"] == "wait"
    look = Facts(Effect.READ, "reads a file")
    read = go(room, "2", facts=look, call=Call("Read", {"file_path": "a"}))
    assert read["verdict"] == "allow"


def test_a_warning_is_recorded_once_and_stands_in_the_next_handoff(room: Room) -> None:
    publish(room, "cost_usd: {warn: 1, hand_over: 5}")
    use(room, cost_usd="1.20")
    use(room, cost_usd="1.30")
    assert count(room, "run.limit_warned") == 1
    asked = room.propose("push", "git push")
    assert room.handoff(asked["handoff_id"]).kind == "approval"
    assert "Cost $1.20 of $1.00 (set by the policy)." in cast(
        "str", package(room, asked["handoff_id"])["why_now"]
    )


def test_the_package_says_figure_limit_history_and_what_was_tried(room: Room) -> None:
    fail(room, "1", "pytest -q", "E  assert 3 == 4\n1 failed in 0.12s")
    fail(room, "2", "pytest -q", "E  assert 3 == 4\n1 failed in 0.31s")
    use(room, cost_usd="0.40")
    found = package(room, go(room, "3")["handoff_id"])
    sentence = "Identical failures of one call 2 of 2 (the default)."
    assert sentence in cast("str", found["why_now"])
    (tried,) = cast("list[dict[str, str]]", found["attempts"])
    assert (tried["tried"], tried["outcome"]) == ("runs pytest -q", "exit code 2, 2 times")
    assert tried["why"] == "1 failed in 0.31s"
    evidence = cast("list[dict[str, str]]", found["evidence"])
    assert evidence[0]["claim"] == "identical failures of one call 2 of 2"
    assert evidence[0]["step_id"]
    unseen = cast("list[str]", found["not_seen"])
    assert any("time the model took" in line for line in unseen)
    what = cast("dict[str, str]", found["what_will_happen"])
    assert "becomes: identical failures of one call 4 (2 more)" in what["text"]
    assert cast("dict[str, str]", found["cost"])["cost_usd"] == "0.40"


def test_the_same_call_with_another_result_is_no_repeat_and_a_success_ends_it(room: Room) -> None:
    only(room, "failing_call_repeats")
    fail(room, "1", "pytest", "3 failed")
    fail(room, "2", "pytest", "2 failed")
    fail(room, "3", "pytest", "3 failed")
    assert go(room, "4", "pytest")["verdict"] == "allow"
    room.result("4")
    fail(room, "5", "pytest", "3 failed")
    assert go(room, "6", "pytest")["verdict"] == "allow"


def test_requested_changes_are_told_to_the_agent_once(room: Room) -> None:
    only(room, "cost_usd")
    use(room, cost_usd="6")
    asked = go(room, "1")["handoff_id"]
    room.decide(asked, DecisionKind.REQUEST_CHANGES, reason="use the fixture")
    told = go(room, "1")
    assert (told["verdict"], told["words"]) == ("deny", "use the fixture")
    assert go(room, "2")["verdict"] == "allow"
    use(room, cost_usd="10.9")
    assert go(room, "3")["verdict"] == "allow"
    use(room, cost_usd="11")
    again = go(room, "4")
    assert again["verdict"] == "wait"
    assert again["handoff_id"] != asked
    room.check()


def test_an_answer_is_told_too(room: Room) -> None:
    only(room, "compactions")
    use(room, compactions=2)
    asked = go(room, "1")["handoff_id"]
    room.decide(asked, DecisionKind.ANSWER, answer="start from the tests", reason="")
    assert go(room, "1")["words"] == "start from the tests"
    assert go(room, "1")["verdict"] == "allow"


@pytest.mark.parametrize("kind", [DecisionKind.REJECT, DecisionKind.TAKE_OVER])
def test_a_person_who_says_stop_stops_the_run_for_good(room: Room, kind: DecisionKind) -> None:
    only(room, "cost_usd")
    use(room, cost_usd="6")
    asked = go(room, "1")["handoff_id"]
    room.decide(asked, kind, reason="this leads nowhere")
    for key in ("1", "2"):
        denied = go(room, key)
        assert (denied["verdict"], denied["handoff_id"]) == ("deny", asked)
        assert "this leads nowhere" in cast("str", denied["reason"])
    room.check()


def test_a_hard_bound_denies_at_once_until_a_person_lets_it_go_on(room: Room) -> None:
    publish(room, "cost_usd: {hand_over: 3, stop: 5}")
    use(room, cost_usd="5")
    denied = go(room, "1")
    assert denied["verdict"] == "deny"
    assert "only a person" in cast("str", denied["reason"])
    handoff = room.handoff(denied["handoff_id"])
    assert (handoff.kind, handoff.risk, handoff.waiting) == ("escalation", "high", True)
    assert go(room, "2")["handoff_id"] == handoff.handoff_id
    room.decide(handoff.handoff_id)
    assert go(room, "3")["verdict"] == "allow"
    use(room, cost_usd="9.99")
    assert go(room, "4")["verdict"] == "allow"
    use(room, cost_usd="10")
    assert go(room, "5")["verdict"] == "deny"


def test_the_budget_of_the_brief_is_a_hard_bound(room: Room) -> None:
    brief = Brief("Fix the build", budget=Budget(cost_usd="0.50", tool_calls=2))
    task = room.engine.tasks.create(OPERATOR, NewTask(brief, "/repo", "main", "0" * 40))
    new = NewRun(cast("str", task["task_id"]), room.agent_id, "none", ("agent", "go"))
    run_id = cast("str", room.engine.runs.create(OPERATOR, new)["run_id"])
    assert [go(room, k, k, run_id=run_id)["verdict"] for k in "abc"] == ["allow", "allow", "deny"]
    said = package(room, go(room, "d", run_id=run_id)["handoff_id"])["why_now"]
    assert said == "Tool calls 2 of 2 (the budget of the brief)."


def test_parallel_calls_open_one_escalation(room: Room) -> None:
    only(room, "cost_usd")
    use(room, cost_usd="6")
    answers = parallel(lambda n: go(room, f"p{n}", f"make {n}"))
    assert {a["verdict"] for a in answers} == {"wait"}
    assert len({a["handoff_id"] for a in answers}) == 1
    assert len(room.engine.views.handoffs("all").items) == 1
    room.check()


def test_an_escalation_nobody_answered_is_asked_again(room: Room) -> None:
    only(room, "cost_usd")
    use(room, cost_usd="6")
    first = go(room, "1")["handoff_id"]
    room.clock.move(8 * 86_400)
    room.engine.sweep()
    assert room.handoff(first).status is Status.EXPIRED
    second = go(room, "1")
    assert second["verdict"] == "wait"
    assert second["handoff_id"] != first


def test_policy_still_judges_the_call_after_the_run_may_go_on(room: Room) -> None:
    only(room, "cost_usd")
    use(room, cost_usd="6")
    asked = room.propose("1", "git push")
    assert room.handoff(asked["handoff_id"]).kind == "escalation"
    room.decide(asked["handoff_id"])
    gated = room.propose("1", "git push")
    assert (gated["verdict"], room.handoff(gated["handoff_id"]).kind) == ("wait", "approval")
    denied = room.propose("2", "x", ("control-plane",))
    assert denied["verdict"] == "deny"


# -- usage


def test_a_persons_delay_is_not_the_agents(room: Room) -> None:
    publish(room, "wall_s: {hand_over: 30m}")
    go(room, "1")
    room.clock.move(60)
    asked = room.propose("2", "git push")
    room.engine.actions.record_reads(
        RUNNER,
        room.run_id,
        [Read("r", Call("Read", {"file_path": "a"}), Facts(Effect.READ, "x"), room.clock.now())],
    )
    room.clock.move(20 * 3600)
    room.decide(asked["handoff_id"])
    assert room.propose("2", "git push")["verdict"] == "allow"
    room.clock.move(60)
    room.result("2")
    worked = state(room).usage.worked_ms(room.clock.now())
    assert worked == 120_000


def test_after_the_agents_turn_no_time_counts(room: Room) -> None:
    go(room, "1")
    room.clock.move(60)
    room.engine.limits.report(RUNNER, room.run_id, Reported(), turn_over=True)
    room.clock.move(1500)
    go(room, "2")
    room.clock.move(30)
    assert state(room).usage.worked_ms(room.clock.now()) == 90_000


def test_a_report_is_idempotent_and_totals_never_fall(room: Room) -> None:
    use(room, cost_usd="2.5", tokens_in=100, context_fill="0.5")
    before = room.engine.kernel.store.size()
    use(room, cost_usd="2.5", tokens_in=100, context_fill="0.5")
    use(room, cost_usd="1")
    assert room.engine.kernel.store.size() == before
    use(room, context_fill="0.1")
    told = state(room).usage.reported
    assert (told.cost_usd, told.tokens_in, told.context_fill) == ("2.5", 100, "0.1")


def test_what_nobody_tells_is_listed_as_not_watched(room: Room) -> None:
    found = cast("dict[str, list[str]]", room.engine.views.run(room.run_id)["limits"])
    assert found["not_watched"] == ["compactions", "context_fill", "cost_usd", "reasoning_s"]
    use(room, cost_usd="1", compactions=0, context_fill="0.2", reasoning_ms=0)
    found = cast("dict[str, list[str]]", room.engine.views.run(room.run_id)["limits"])
    assert found["not_watched"] == []


def test_failing_calls_that_are_kept_stay_few(room: Room) -> None:
    publish(room, *OFF)
    for n in range(20):
        fail(room, f"k{n}", f"make {n}", f"error {n}")
    assert len(state(room).usage.failing) == 8
    assert state(room).usage.errors_in_a_row == 20


# -- the agent's own history


def finished_run(room: Room, cost: str) -> str:
    run_id = room.queued_run()
    run = room.engine.runs.lease(RUNNER, "r", "host")
    assert run is not None
    room.engine.runs.started(RUNNER, AgentStarted(RunId(run_id), run.epoch, 1, 1, "b"))
    for n in range(4):
        go(room, f"{run_id}{n}", run_id=run_id)
    room.engine.runs.exited(RUNNER, run_id, run.epoch, Exit(0, None, "done", cost))
    room.engine.runs.ended(RUNNER, run_id, run.epoch, RunOutcome.NOTHING_CHANGED)
    return run_id


def test_the_median_of_earlier_runs_is_fixed_when_a_run_begins(room: Room) -> None:
    for cost in ("0.10", "0.20", "0.30", "0.40", "9.00"):
        finished_run(room, cost)
    run_id = room.queued_run()
    pinned = state(room, run_id).history
    assert pinned.medians["cost_usd"] == "0.3"
    assert pinned.runs["cost_usd"] == 5
    assert pinned.medians["tool_calls"] == "4"
    use(room, run_id, cost_usd="0.95")
    asked = go(room, "x", run_id=run_id)
    assert asked["verdict"] == "wait"
    assert package(room, asked["handoff_id"])["why_now"] == (
        "Cost $0.95 of $0.90 (3x this agent's own median of $0.30 over 5 earlier runs)."
    )
    room.check()


def test_an_agent_that_never_started_is_no_history(room: Room) -> None:
    room.queued_run()
    run = room.engine.runs.lease(RUNNER, "r", "host")
    assert run is not None
    room.engine.runs.never_started(RUNNER, run.run_id, run.epoch, "command not found", "")
    assert state(room, room.queued_run()).history.runs == {}


def test_only_the_newest_fifty_runs_count(room: Room) -> None:
    track = None
    for n in range(60):
        cost = "1" if n < 40 else "3"
        measured = RunMeasured(AgentId("a"), RunId(f"r{n}"), {"cost_usd": cost})
        track = evolve(track, measured, room.clock.now())
    assert track is not None
    assert history(track.runs) == History({"cost_usd": "1"}, {"cost_usd": 50})


def test_conditions_see_the_reported_cost_and_the_stated_confidence(room: Room) -> None:
    text = (
        "version: 1\ngates:\n  - id: unsure\n"
        "    when: has(run.confidence) && run.confidence < 0.5 && run.cost_usd > 1.0\n"
        "    deny: the agent is not sure\n"
    )
    room.engine.policies.propose(room.me, ORGANISATION, text)
    use(room, cost_usd="1.50")
    assert go(room, "1")["verdict"] == "allow"
    use(room, confidence="0.4")
    assert go(room, "2")["verdict"] == "deny"


def test_results_are_recorded_when_the_policy_cannot_be_read(room: Room) -> None:
    publish(room, "cost_usd: {warn: 1}")
    go(room, "1")
    state_of = room.engine.kernel.state(Publication, ORGANISATION)
    assert state_of.in_force is not None
    room.engine.audit.erase(room.me, state_of.in_force.text.body_id, "a test")
    fresh = open_engine("", room.home, room.clock)  # nothing compiled is kept in it
    try:
        fresh.actions.record_result(RUNNER, StepResult(room.run_id, "1", 0))
        limits = cast("dict[str, list[str]]", fresh.views.run(room.run_id)["limits"])
        assert "cannot be used" in limits["warnings"][0] or "not what was" in limits["warnings"][0]
        with pytest.raises(IntegrityError):
            fresh.actions.propose(
                RUNNER, Proposal(room.run_id, "2", Call("Bash", {}), Facts(Effect.EXEC, "x"))
            )
    finally:
        fresh.close()


def test_a_cost_that_is_known_only_at_the_end_stands_in_the_review(room: Room) -> None:
    publish(room, "cost_usd: {warn: 1, hand_over: 3}")
    run_id = room.queued_run()
    run = room.engine.runs.lease(RUNNER, "r", "host")
    assert run is not None
    room.engine.runs.started(RUNNER, AgentStarted(RunId(run_id), run.epoch, 1, 1, "b"))
    room.engine.runs.exited(RUNNER, run_id, run.epoch, Exit(0, None, "done", "3.20"))
    facts = ReviewFacts(ReviewedWork("a" * 40, "b" * 40, "main"), "diff")
    opened = room.engine.reviews.open(RUNNER, FinishedWork(run_id, run.epoch, facts, Pause()))
    why = cast("str", package(room, opened["handoff_id"])["why_now"])
    assert why.endswith(
        "Finished work is always reviewed. Cost $3.20 of $3.00 (set by the policy)."
    )
