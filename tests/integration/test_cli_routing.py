"""Routing commands and votes in the terminal and over HTTP."""

import pytest

from handfast.core.domain.events import Actor
from tests.integration.test_cli_decide import PIN, World, world
from tests.served import LOGIN, Served
from tests.served import PIN as SERVED_PIN

__all__ = ["world"]  # a fixture of the neighbouring file
SIGN = [("Login", "ana"), ("PIN", PIN)]


def test_holding_snoozing_and_giving_back(world: World) -> None:
    asked = world.waiting("git push origin hold")
    refused = world.handfast.typed("handoff", "snooze", asked, "30m", answers=SIGN)
    assert refused.code == 3
    assert "not held by you" in refused.err
    for words, status in (
        (["acknowledge", asked], "acknowledged"),
        (["snooze", asked, "30m"], "acknowledged"),
        (["release", asked], "routed"),
    ):
        done = world.handfast.typed("handoff", *words, answers=SIGN)
        assert (done.code, done.err, world.status(asked)) == (0, "", status)


def test_re_routing_names_who_is_asked(world: World) -> None:
    asked = world.waiting("git push origin elsewhere")
    done = world.handfast.typed(
        "handoff", "route", asked, "person:ana", "--reason", "mine", answers=SIGN
    )
    assert (done.code, done.out) == (0, f"{asked}: asked person:ana\n")
    shown = world.handfast("handoff", "show", asked)
    assert "Asked    person:ana" in shown.out
    assert "Takes    1 approval of reviewers" in shown.out


def test_an_override_asks_why_and_opens_its_review(world: World) -> None:
    asked = world.waiting("git push origin burning")
    done = world.handfast.typed(
        "handoff", "override", asked, "--json", answers=[("Reason", "it burns"), *SIGN]
    )
    assert (done.code, done.err) == (0, "")
    assert done.json["review_id"] in world.inbox()
    shown = world.handfast("handoff", "show", asked)
    assert "in an emergency: it took more" in shown.out


@pytest.mark.parametrize(
    ("words", "operation"),
    [
        (("release",), "release_handoff"),
        (("unvote",), "withdraw_vote"),
        (("route", "reviewers", "--reason", "x"), "route_handoff"),
        (("snooze", "5m"), "snooze_handoff"),
        (("override", "--reason", "x"), "override_handoff"),
    ],
    ids=lambda v: v if isinstance(v, str) else v[0],
)
def test_without_a_terminal_nothing_is_done_and_the_try_is_recorded(
    world: World, words: tuple[str, ...], operation: str
) -> None:
    asked = world.waiting(f"git push origin {operation}")
    before = world.refusals()
    done = world.handfast("handoff", words[0], asked, *words[1:], stdin=f"ana\n{PIN}\n")
    assert done.code == 4
    assert world.refusals()[len(before) :] == [("operator", operation)]


def test_over_http_an_approval_counts_until_it_is_enough(served: Served) -> None:
    served.engine.policies.propose(
        Actor("person", served.person_id, "browser"),
        "organisation",
        "version: 1\ngates: [{id: g, when: 'true', require: {approvals: 2}}]\n",
    )
    asked = served.stop()
    path = f"/v1/handoffs/{asked['handoff_id']}"
    assert asked["takes"]["in_words"] == "2 approvals of reviewers"
    noor = {"person": LOGIN, "pin": SERVED_PIN}
    body = {"kind": "approve", "presented_digest": asked["presented_digest"], **noor}
    operator = served.client("operator")
    voted = operator.post(f"{path}/decisions", json=body)
    assert voted.status_code == 201, voted.text
    assert (voted.json()["waiting"], voted.json()["decision"]) == (True, None)
    assert [v["by_name"] for v in voted.json()["takes"]["votes"]] == ["Noor Haddad"]
    assert operator.post(f"{path}/unvote", json=noor).status_code == 200
    assert operator.get(path).json()["takes"]["votes"] == []
    agent = served.client("agent").post(f"{path}/override", json=body)
    assert (agent.status_code, agent.json()["code"]) == (403, "not_permitted")
    nowhere = operator.post(f"{path}/route", json={"to": [], "reason": "x", **noor})
    assert nowhere.status_code == 422
