"""kill -9 of the server and of the runner at every point on the way of a call that the agent runs itself.

The agent goes on as a real one does: a hook that failed means that the call was not run, and it asks
again. The person goes on too: their decision is sent, with its key, until it is answered; a doubt they
settle by looking at the effect. So each story ends with the effect there exactly once.
"""

from collections.abc import Callable

import pytest

from tests.faults.installation import Agent, Installation
from tests.faults.matrix import spread
from tests.faults.stories import go_on

pytestmark = [pytest.mark.faults, pytest.mark.slow]

# The server's commits in this story: it started, the run, the proposal, the decision, the start, the
# result; those from the proposal on are struck. The proposal is made twice: it opens the case, and after the decision it takes the start.
SERVER = [
    "action.before_commit:kill:1",
    "action.after_commit:kill:1",
    "action.before_commit:kill:2",
    "action.after_commit:kill:2",
    "decision.before_commit:kill",
    "decision.after_commit:kill",
    "result.before_commit:kill",
    *(f"store.{when}_commit:kill:{nth}" for nth in (3, 5, 6) for when in ("before", "after")),
]
RUNNER = [
    "hook.before_propose:kill",
    "hook.after_propose:kill:1",
    "handoff.before_wait:kill",
    "hook.after_decision:kill",
    "hook.after_propose:kill:2",
]
# Where the agent never hears of the start that was taken: a person must say that nothing ran.
IN_DOUBT = {"action.after_commit:kill:2", "store.after_commit:kill:5", "hook.after_propose:kill:2"}


def story(place: Installation, fault: str) -> tuple[Agent, list[str]]:
    agent = place.agent("s1")
    kinds = go_on(place, agent)
    place.until(lambda: fault in place.restarts, f"the fault {fault}")
    place.prove()
    return agent, kinds


@pytest.mark.parametrize(("kind", "fault"), spread(SERVER), indirect=["kind"])
def test_the_server_is_killed(install: Callable[..., Installation], fault: str) -> None:
    place = install()
    place.start(server=fault)
    agent, kinds = story(place, fault)
    assert place.restarts == [fault]
    assert agent.lines == 1
    # A server that is back in time gives the runner, which asks again by its key, the first answer: no doubt.
    assert kinds.count("doubt") <= (fault in IN_DOUBT), place.story()


@pytest.mark.parametrize(("kind", "fault"), spread(RUNNER), indirect=["kind"])
def test_the_runner_is_killed(install: Callable[..., Installation], fault: str) -> None:
    place = install()
    place.start(runner=fault)
    agent, kinds = story(place, fault)
    assert place.restarts == [fault]
    assert agent.lines == 1
    assert kinds.count("doubt") == (fault in IN_DOUBT), place.story()
    assert "failed" in agent.words
