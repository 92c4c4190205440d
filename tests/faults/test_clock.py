"""The clock of server and runner is set forward or back, by hours and days, while something is under way.

A jump may end what waits, as the same time passing would. It approves nothing, doubles nothing, and what it
ended does not come back when the clock is set right.
"""

from collections.abc import Callable

import pytest

from tests.faults.installation import Installation
from tests.faults.stories import Mediated, Run, go_on, there

pytestmark = [pytest.mark.faults, pytest.mark.parametrize("kind", ["sqlite"], indirect=True)]
HOUR, DAY = 3600, 86_400


@pytest.fixture
def place(install: Callable[..., Installation]) -> Installation:
    made = install(LEASE_S="2")
    made.set_clock(0)
    return made


def ended(place: Installation, handoff_id: str) -> str:
    place.until(lambda: place.handoff(handoff_id)["status"] in ("closed", "expired"), "its end")
    return str(place.handoff(handoff_id)["outcome"])


def test_forward_by_days_a_case_expires_and_is_not_approved(place: Installation) -> None:
    place.serve()
    agent = Mediated(place)
    first = agent.ask()["handoff_id"]
    place.set_clock(3 * DAY)
    assert ended(place, first) == "nobody answered"
    place.set_clock(0)
    second = agent.ask()["handoff_id"]
    assert second != first
    assert place.handoff(first)["status"] == "expired", "set right, the clock brings nothing back"
    assert place.exec(place.decide(place.handoff(second))["grant"]["grant_id"]).code == 0
    place.prove()
    assert agent.lines == 1


def test_forward_by_days_a_grant_is_of_no_use_any_more(place: Installation) -> None:
    place.serve()
    agent = Mediated(place)
    grant_id = agent.granted()
    place.set_clock(2 * DAY)
    assert place.exec(grant_id).problem["code"] == "grant_expired"
    place.set_clock(-HOUR)
    assert place.exec(grant_id).problem["code"] == "grant_expired"
    place.prove()
    assert agent.lines == 0


def test_forward_past_its_settling_a_start_is_in_doubt_and_its_late_result_changes_nothing(
    place: Installation,
) -> None:
    place.serve()
    agent = Mediated(place)
    grant_id = agent.granted()
    handoff_id = "ho_" + grant_id.removeprefix("gr_")
    body = {"action_digest": place.handoff(handoff_id)["action_digest"], "executor": "mediated"}
    path = f"/v1/grants/{grant_id}"
    start = place.call("POST", f"{path}/redeem", body, token="agent", key="redeem").json()
    place.set_clock(2 * HOUR)
    doubt = place.until(lambda: place.waiting("doubt"), "a doubt")[0]
    agent.effects.write_text("ran\n")
    report = {"start_id": start["start_id"], "outcome": "verified"}
    late = place.call("POST", f"{path}/effect", report, token="agent").json()
    assert late["outcome"] == "unknown"
    place.decide(doubt, "answer", answer="it_ran")
    place.prove()


@pytest.mark.parametrize("back", [HOUR, 3 * DAY], ids=["hour", "days"])
def test_back_nothing_ends_early_and_a_new_server_goes_on(place: Installation, back: int) -> None:
    """A server whose clock was set back stands still in time; one that starts then reads what is there."""
    place.serve()
    agent = Mediated(place)
    first = place.handoff(agent.ask()["handoff_id"])
    place.set_clock(-back)
    place.kill("server")
    place.serve()
    assert place.handoff(first["handoff_id"])["waiting"]
    assert place.exec(place.decide(first)["grant"]["grant_id"]).code == 0
    place.set_clock(0)
    place.prove()
    assert agent.lines == 1


def test_back_and_forth_while_an_agent_works_at_the_hook(place: Installation) -> None:
    place.start()
    agent = place.agent("s1")
    waiting = place.until(place.waiting, "the case")
    place.set_clock(12 * HOUR)
    assert place.waiting() == waiting
    place.set_clock(-12 * HOUR)
    go_on(place, agent)
    place.prove()
    assert (agent.words, agent.lines) == (["allow"], 1)


def test_forward_a_lease_is_over_and_the_run_goes_on_once(place: Installation) -> None:
    place.start()
    go = place.root / "go"
    run = Run(place, f"while [ ! -e {go} ]; do sleep 0.05; done; echo work > work.txt\n")
    place.until(run.recorded, "its start")
    for shift in (HOUR, -HOUR, 2 * HOUR):
        place.set_clock(shift)
        assert place.get("/v1/audit/head")["size"] > 0
    go.touch()
    run.merged()
    place.prove()
    assert run.lines("starts") == ["start"]


def test_a_lease_from_a_clock_that_was_ahead_holds_nobody_up(place: Installation) -> None:
    place.set_clock(2 * DAY)
    place.start()
    go = place.root / "go"
    run = Run(place, f"while [ ! -e {go} ]; do sleep 0.05; done; echo work > work.txt\n")
    place.until(run.recorded, "its start")
    place.kill("runner")
    place.kill("server")
    place.set_clock(0)
    go.touch()
    place.start()
    run.ended()
    place.prove()
    assert [pid for pid in run.pids if there(pid)] == []
