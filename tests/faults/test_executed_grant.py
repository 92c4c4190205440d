"""kill -9 of `handfast exec` and of the server at every point between the grant and its recorded effect.

The agent issues the same `handfast exec` again, as one does whose command broke off. What was started is
refused; nobody reports an effect, so the sweep makes it unknown and opens a doubt.
"""

from collections.abc import Callable

import pytest

from tests.faults.checker import Json
from tests.faults.installation import Installation, gated

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


class Mediated:
    """An agent that asks over the API and runs what it may through `handfast exec`."""

    def __init__(self, place: Installation) -> None:
        self.place = place
        self.effects = place.root / "effects"
        body = {"session_id": "s1", "cwd": str(place.repo), "mode": "enforce"}
        made = place.sure(lambda: place.call("POST", "/v1/runs", body, token="agent", key="run"))
        self.run_id = made.json()["run_id"]
        self._asked = 0

    def ask(self) -> Json:
        self._asked += 1
        key = f"t{self._asked}"
        call = {"tool": "Bash", "arguments": {"command": gated(self.effects)}, "cwd": "."}
        body = {"key": key, "call": call, "executor": "mediated"}
        path = f"/v1/runs/{self.run_id}/actions"
        answer = self.place.sure(
            lambda: self.place.call("POST", path, body, token="agent", key=key)
        )
        assert answer.status_code == 200, answer.text
        self.place.expect(self.effects)
        found: Json = answer.json()
        return found

    def granted(self) -> str:
        """Ask, and have it approved. Gives the grant's id."""
        asked = self.ask()
        assert asked["verdict"] == "wait"
        decided = self.place.decide({"handoff_id": asked["handoff_id"]})
        return str(decided["grant"]["grant_id"])

    @property
    def lines(self) -> int:
        return len(self.effects.read_text().splitlines()) if self.effects.exists() else 0

    def again(self, grant_id: str) -> None:
        """The same `exec`, until it is answered by a server that is there."""
        self.place.until(
            lambda: "server_unreachable" not in self.place.exec(grant_id).err, "an answer"
        )

    def settle_doubt(self) -> None:
        """Equal calls wait on the doubt until a person has looked; then the work is done, once."""
        doubt = self.place.until(lambda: self.place.waiting("doubt"), "a doubt")[0]
        attached = self.ask()
        assert (attached["verdict"], attached["handoff_id"]) == ("wait", doubt["handoff_id"])
        if self.lines:
            self.place.decide(doubt, "answer", answer="it_ran")
            assert self.ask()["verdict"] == "deny"
            return
        self.place.decide(doubt, "answer", answer="it_did_not_run")
        assert self.place.exec(self.granted()).code == 0


def outcomes(place: Installation) -> list[str]:
    return [effect["outcome"] for effect in place.events("effect.recorded")]


@pytest.mark.parametrize("fault", SERVER)
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


@pytest.mark.parametrize("fault", EXEC)
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


@pytest.mark.parametrize("fault", SWEEP)
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
