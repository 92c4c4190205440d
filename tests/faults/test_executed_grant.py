"""kill -9 of `handfast exec` and of the server at every point between the grant and its recorded effect.

The agent issues the same `handfast exec` again, as one does whose command broke off. What was started is
refused; nobody reports an effect, so the sweep makes it unknown and opens a doubt.
"""

from collections.abc import Callable

import pytest

from tests.faults.installation import Installation
from tests.faults.matrix import spread
from tests.faults.stories import Mediated

pytestmark = [pytest.mark.faults, pytest.mark.slow]

# Commits of the server: it started, the run, the proposal, the decision, the start, then the effect; or,
# when `exec` died, what the sweep makes of the start.
SERVER = {
    "grant.before_redeem:kill": "",
    "grant.redeemed:kill": "unknown",
    "effect.before_commit:kill": "unknown",
    "effect.after_commit:kill": "verified",
}
EXEC = ["exec.before_run:kill", "exec.after_run:kill"]
SWEEP = ["store.before_commit:kill:6", "store.after_commit:kill:6"]


def outcomes(place: Installation) -> list[str]:
    return [effect["outcome"] for effect in place.events("effect.recorded")]


@pytest.mark.parametrize(("kind", "fault"), spread(SERVER), indirect=["kind"])
def test_the_server_is_killed(install: Callable[..., Installation], fault: str) -> None:
    place = install(SETTLE_WITHIN_S="1")
    place.serve(fault)
    agent = Mediated(place)
    grant_id = agent.granted()
    place.exec(grant_id)
    place.until(lambda: place.restarts == [fault], f"the fault {fault}")
    agent.again(grant_id)
    if SERVER[fault] == "unknown":
        agent.settle_doubt()
    place.prove()
    assert agent.lines == 1
    assert outcomes(place)[0] == (SERVER[fault] or "verified")


@pytest.mark.parametrize(("kind", "fault"), spread(EXEC), indirect=["kind"])
def test_the_executor_is_killed(install: Callable[..., Installation], fault: str) -> None:
    place = install(SETTLE_WITHIN_S="1")
    place.serve()
    agent = Mediated(place)
    grant_id = agent.granted()
    assert place.exec(grant_id, fault).code == -9
    assert agent.lines == (fault == "exec.after_run:kill")
    refused = place.exec(grant_id)
    assert refused.problem["code"] == "grant_used"
    agent.settle_doubt()
    place.prove()
    assert agent.lines == 1
    assert outcomes(place)[0] == "unknown"


@pytest.mark.parametrize(("kind", "fault"), spread(SWEEP), indirect=["kind"])
def test_the_server_is_killed_while_it_opens_the_doubt(
    install: Callable[..., Installation], fault: str
) -> None:
    place = install(SETTLE_WITHIN_S="1")
    place.serve(fault)
    agent = Mediated(place)
    assert place.exec(agent.granted(), "exec.after_run:kill").code == -9
    place.until(lambda: place.restarts == [fault], f"the fault {fault}")
    agent.settle_doubt()
    place.prove()
    assert agent.lines == 1
    assert outcomes(place) == ["unknown"]
