"""Asks wait for a checkpoint while the server is killed: it opens by the clock, once, and decides nothing."""

from collections.abc import Callable

import pytest

from tests.faults.checker import Json
from tests.faults.installation import PERSON, PIN, Installation
from tests.faults.stories import Mediated

pytestmark = pytest.mark.faults
HOUR = 3600
BUDGET = "version: 1\ninterruptions: {cost: 900, wait_at_most: 2h, planned: []}\n"


@pytest.fixture
def place(install: Callable[..., Installation]) -> Installation:
    made = install()
    made.set_clock(0)
    return made


def waiting(place: Installation) -> tuple[Mediated, str]:
    """An agent, and its ask, which waits for a checkpoint."""
    body = {"text": BUDGET, "person": PERSON, "pin": PIN}
    made = place.call("POST", "/v1/policies", body)
    assert made.json()["status"] == "in_force", made.text
    agent = Mediated(place)
    asked = str(agent.ask()["handoff_id"])
    assert place.handoff(asked)["checkpoint"]["waits"] is True
    return agent, asked


def opened(place: Installation, asked: str) -> list[Json]:
    place.until(lambda: place.handoff(asked)["status"] == "routed", "the checkpoint")
    checkpoints = place.events("checkpoint.opened")
    assert [c["handoffs"] for c in checkpoints] == [[asked]]
    assert place.events("handoff.decided", "handoff.auto_proceeded", "handoff.expired") == []
    return checkpoints


def test_what_was_due_while_no_server_ran_opens_at_the_next_start(place: Installation) -> None:
    place.serve()
    agent, asked = waiting(place)
    place.kill("server")
    place.set_clock(2 * HOUR + 1)
    place.serve()
    (checkpoint,) = opened(place, asked)
    assert checkpoint["why"] == "latest"
    due_at = place.handoff(asked)["due_at"]
    granted = place.decide({"handoff_id": asked})["grant"]["grant_id"]
    assert place.events("handoff.routed")[-1]["due_at"] == due_at
    assert place.exec(granted).code == 0
    place.prove()
    assert agent.lines == 1


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_killed_before_its_time_it_goes_on_waiting_until_then(place: Installation) -> None:
    place.serve()
    _, asked = waiting(place)
    place.kill("server")
    place.set_clock(HOUR)
    place.serve()
    agent, other = Mediated(place), place.handoff(asked)
    assert (other["status"], other["checkpoint"]["waits"]) == ("requested", True)
    assert agent.ask()["handoff_id"] == asked, "asked again, the same ask goes on waiting"
    place.set_clock(2 * HOUR + 1)
    opened(place, asked)
    place.prove()


@pytest.mark.parametrize("fault", ["checkpoint.before_commit:kill", "checkpoint.after_commit:kill"])
def test_killed_while_it_opens_it_is_opened_once_and_told_of(
    place: Installation, fault: str
) -> None:
    place.serve(fault)
    _, asked = waiting(place)
    place.set_clock(2 * HOUR + 1)
    place.until(lambda: place.restarts, "the kill")
    opened(place, asked)
    place.prove()
    assert place.restarts == [fault]
