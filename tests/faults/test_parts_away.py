"""With the server or the runner away nothing with an effect runs, and nothing that happened is lost."""

from collections.abc import Callable

import pytest

from tests.faults.checker import Json
from tests.faults.installation import Installation, gated

pytestmark = [pytest.mark.faults, pytest.mark.parametrize("kind", ["sqlite"], indirect=True)]


def read(place: Installation, number: int) -> Json:
    """The hook's answer to a read, asked as the agent's harness asks."""
    body = {
        "session_id": "reads",
        "cwd": str(place.repo),
        "transcript_path": "",
        "permission_mode": "default",
        "hook_event_name": "PreToolUse",
        "tool_name": "Read",
        "tool_use_id": f"toolu_read_{number}",
        "tool_input": {"file_path": str(place.repo / "README.md")},
    }
    answer = place.ask(body)
    said: Json = answer.json()["hookSpecificOutput"]
    return said


def test_without_the_server_effects_are_denied_and_reads_go_on(
    install: Callable[..., Installation],
) -> None:
    place = install()
    place.run_runner()
    agent = place.agent("s1", asks=1)
    place.until(lambda: agent.over, "the agent's end")
    assert (agent.words, agent.lines) == (["deny"], 0)
    assert "no server answers" in agent.events("answered")[0]["reason"]
    assert [read(place, n)["permissionDecision"] for n in range(3)] == ["allow"] * 3
    place.kill("runner")
    place.start()
    place.until(lambda: len(place.events("step.judged")) == 3, "the record of the reads")
    keys = [step["key"] for step in place.events("step.judged")]
    assert keys == [f"toolu_read_{n}" for n in range(3)]
    place.prove()


def test_without_the_runner_nothing_runs(install: Callable[..., Installation]) -> None:
    place = install()
    place.serve()
    agent = place.agent("s1", asks=3)
    place.until(lambda: agent.over, "the agent's end")
    assert (agent.words, agent.lines) == (["failed"] * 3, 0)
    assert "refused" in agent.events("answered")[0]["reason"]
    assert place.handoffs() == []


@pytest.mark.parametrize("away", ["server", "runner"])
def test_a_result_that_nobody_hears(install: Callable[..., Installation], away: str) -> None:
    """The server away: the runner keeps it and delivers it. The runner away: a doubt, by itself."""
    # The server must be back before a missing result is taken for a doubt, however busy the machine is.
    place = install(SETTLE_WITHIN_S="60" if away == "server" else "4")
    place.start()
    go = place.root / "go"
    effects = place.root / "effects" / "s1"
    holds = f"{gated(effects)}; while [ ! -e {go} ]; do sleep 0.02; done"
    agent = place.agent("s1", command=holds)
    place.decide(place.until(place.waiting, "the case")[0])
    place.expect(effects)
    place.until(lambda: agent.lines == 1, "the effect")
    place.kill(away)
    go.touch()
    place.until(lambda: agent.over, "the agent's end")
    if away == "server":
        place.kill("runner")  # what it kept outlives it
        place.start()
    else:
        place.run_runner()
    place.prove()
    assert agent.lines == 1
    outcome = place.events("effect.recorded")[0]["outcome"]
    assert outcome == ("reported" if away == "server" else "unknown")
    assert len(place.waiting("doubt")) == (away == "runner")
