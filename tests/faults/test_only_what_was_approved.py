"""What runs is what was approved: changed, expired and repeated calls are refused in real processes."""

from collections.abc import Callable

import pytest

from tests.faults.installation import Installation
from tests.faults.stories import Mediated

pytestmark = [pytest.mark.faults, pytest.mark.parametrize("kind", ["sqlite"], indirect=True)]


def test_a_second_exec_is_refused(install: Callable[..., Installation]) -> None:
    place = install()
    place.serve()
    agent = Mediated(place)
    grant_id = agent.granted()
    assert place.exec(grant_id).code == 0
    again = place.exec(grant_id)
    assert (again.code != 0, again.problem["code"]) == (True, "grant_used")
    assert agent.lines == 1
    place.prove()
    assert [refused["reason"] for refused in place.events("grant.refused")] == ["grant_used"]


def test_a_changed_argument_is_refused_and_handed_over(
    install: Callable[..., Installation],
) -> None:
    place = install()
    place.serve()
    agent = Mediated(place)
    grant_id = agent.granted()
    body = {"action_digest": "sha256:" + "0" * 64, "executor": "mediated"}
    other = place.call("POST", f"/v1/grants/{grant_id}/redeem", body, token="agent")
    assert (other.status_code, other.json()["code"]) == (409, "stale_decision")
    assert agent.lines == 0
    approved = place.handoffs()[0]["handoff_id"]
    agent.effects = place.root / "elsewhere"
    changed = agent.ask()
    assert changed["verdict"] == "wait"
    assert changed["handoff_id"] != approved
    assert place.exec(grant_id).code == 0
    assert agent.lines == 0
    place.prove()


def test_a_grant_that_expired_is_refused_and_asked_anew(
    install: Callable[..., Installation],
) -> None:
    place = install(GRANT_TTL_S="1")
    place.serve()
    agent = Mediated(place)
    grant_id = agent.granted()
    first = place.handoffs()[0]["handoff_id"]
    place.until(lambda: place.handoff(first)["outcome"] == "grant_expired", "its end")
    assert place.exec(grant_id).problem["code"] == "grant_expired"
    anew = agent.ask()
    assert anew["verdict"] == "wait"
    assert anew["handoff_id"] != first
    assert agent.lines == 0
    place.prove()


def test_a_script_changed_while_its_call_waits_is_another_call(
    install: Callable[..., Installation],
) -> None:
    place = install()
    place.start()
    counted = place.root / "counted"
    script = place.repo / "work.sh"
    script.write_text("echo meant >> counted\n")
    agent = place.agent("s1", command="bash work.sh && git push -q nowhere main")
    first = place.until(place.waiting, "the case")[0]
    script.write_text(f"echo swapped >> {counted}\n")
    place.decide(first)
    second = place.until(place.waiting, "another case")[0]
    assert second["handoff_id"] != first["handoff_id"]
    place.decide(second, "reject")
    place.until(lambda: agent.over, "the agent's end")
    assert agent.words == ["deny"]
    assert not counted.exists()
    assert place.events("grant.redeemed") == []


def test_a_script_changed_after_the_approval_is_not_executed(
    install: Callable[..., Installation],
) -> None:
    place = install()
    place.start()
    counted = place.root / "counted"
    script = place.repo / "work.sh"
    script.write_text("echo meant\n")
    agent = place.agent("s1", command="bash work.sh && git push -q nowhere main")
    asked = place.until(place.waiting, "the case")[0]
    agent.process.kill()  # the agent is gone; the person decides all the same
    grant_id = place.decide(asked)["grant"]["grant_id"]
    script.write_text(f"echo swapped >> {counted}\n")
    refused = place.exec(grant_id)
    assert refused.problem["code"] == "stale_decision"
    assert not counted.exists()
    assert [refused["reason"] for refused in place.events("grant.refused")] == ["stale_decision"]
