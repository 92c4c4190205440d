"""Whatever a run does: working time only grows and is never more than has passed; what is kept stays few."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from handfast.core.domain import events_limits as m
from handfast.core.domain import events_work as e
from handfast.core.domain.codec import decode, encode
from handfast.core.domain.events import RunEvent
from handfast.core.domain.ids import AgentId, HandoffId, RunId, StepId
from handfast.core.domain.run import Run
from handfast.core.domain.run_fold import evolve
from handfast.core.domain.usage import MAX_FAILING, MAX_WAITS
from handfast.testing.clock import START

RUN, NUMBERS = RunId("run_1"), st.integers(0, 15)
VERDICTS = st.sampled_from(["allow", "wait", "deny", "observed"])
EFFECTS = st.sampled_from(["read", "exec"])


def judged(number: int, verdict: str, effect: str) -> RunEvent:
    call = f"sha256:{number % 12}"
    return e.StepJudged(RUN, StepId(f"st_{number}"), f"k{number}", "Bash", effect, call, verdict)


EVENTS: st.SearchStrategy[RunEvent] = st.one_of(
    st.builds(judged, NUMBERS, VERDICTS, EFFECTS),
    st.builds(
        lambda n, code: e.StepFinished(RUN, StepId(f"st_{n}"), code), NUMBERS, st.integers(0, 2)
    ),
    st.builds(lambda over: m.UsageReported(RUN, turn_over=over), st.booleans()),
    st.just(e.AgentStarted(RUN, 1, 1, 1, "b")),
    st.just(e.RunPaused(RUN, 1, (HandoffId("ho_1"),))),
    st.just(e.AgentExited(RUN, 1)),
)
STEPS = st.lists(st.tuples(st.integers(0, 7_200), EVENTS), max_size=40)


@given(STEPS)
def test_working_time_and_what_is_kept_are_bounded(steps: list[tuple[int, RunEvent]]) -> None:
    now = START
    run = evolve(None, e.RunCreated(RUN, AgentId("ag_1"), "claude-code", e.Mode.ENFORCE), now)
    worked = 0
    for seconds, event in steps:
        now += timedelta(seconds=seconds)
        run = evolve(run, event, now)
        assert worked <= run.usage.worked_ms(now) <= (now - START) / timedelta(milliseconds=1)
        worked = run.usage.worked_ms(now)
        assert len(run.usage.failing) <= MAX_FAILING
        assert len(run.usage.waits) <= MAX_WAITS
    assert decode(Run, encode(run)) == run


@given(st.integers(1, 900), st.integers(1, 800))
def test_a_call_that_waits_for_a_person_costs_the_agent_nothing(works: int, waits: int) -> None:
    run = evolve(None, e.RunCreated(RUN, AgentId("ag_1"), "claude-code", e.Mode.ENFORCE), START)
    asked = START + timedelta(seconds=works)
    run = evolve(run, judged(1, "wait", "exec"), asked)
    run = evolve(run, judged(2, "allow", "exec"), asked)
    answered = asked + timedelta(seconds=waits)
    run = evolve(run, judged(1, "allow", "exec"), answered)
    assert run.usage.worked_ms(answered) == works * 1000
