"""Policies in force: published by people, judged in the call's own transaction, changed without a restart."""

import pytest

from handfast.core.domain.errors import (
    InvalidTransition,
    NotPermitted,
    StaleDecision,
    UsageError,
)
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.publication import ORGANISATION
from tests.engine_room import OPERATOR, RUNNER, Room

NO_PUBLISH = """\
version: 1
gates:
  - id: no-tags
    when: call.command.contains("git push --tags")
    deny: tags are made by the release pipeline
"""
TWO_FOR_PUSH = """\
version: 1
teams: {release: [ana, bob]}
gates:
  - id: push-needs-two
    when: call.hazards.exists(h, h == "git.push")
    risk: critical
    require: {approvals: 2, from: "team:release", within: 2h, silence: reject}
"""
OFF = "version: 1\nbuiltin: {off: [push]}\n"


def test_a_published_policy_holds_from_the_next_call_on(room: Room) -> None:
    assert room.propose("1", "git push --tags")["verdict"] == "wait"
    done = room.engine.policies.propose(room.me, ORGANISATION, NO_PUBLISH)
    assert done["status"] == "in_force"
    denied = room.propose("2", "git push --tags")
    assert denied["verdict"] == "deny"
    assert "release pipeline" in str(denied["reason"])
    assert room.propose("3", "git push")["verdict"] == "wait"
    assert room.types("policy/organisation") == ["policy.proposed", "policy.published"]
    room.check()


def test_the_requirement_of_a_gate_is_in_the_handoff(room: Room) -> None:
    room.engine.policies.propose(room.me, ORGANISATION, TWO_FOR_PUSH)
    handoff = room.handoff(room.propose("1", "git push")["handoff_id"])
    assert [(c.approvals, c.audience) for c in handoff.requirement.clauses] == [
        (2, ("team:release",)),
    ]
    assert handoff.requirement.silence == "reject"
    assert handoff.levels_s == (7200,)
    assert handoff.risk == "critical"
    assert "push-needs-two" in handoff.rules


def test_a_built_in_rule_can_be_switched_off_by_the_organisation_only(room: Room) -> None:
    with pytest.raises(UsageError, match="only tighten"):
        room.engine.policies.propose(room.me, "/repo", OFF)
    room.engine.policies.propose(room.me, ORGANISATION, OFF)
    assert room.propose("1", "git push")["verdict"] == "allow"
    assert room.propose("2", "rm x", ("control-plane",))["verdict"] == "deny"


def test_a_repository_does_not_say_who_is_behind_an_owner(room: Room) -> None:
    """It could put anybody in the place of those whose files these are."""
    with pytest.raises(UsageError, match="`owners` is for the organisation's"):
        room.engine.policies.propose(
            room.me, "/repo", 'version: 1\nowners: {"@a/dba": reviewers}\n'
        )


def test_a_refused_call_stays_refused_when_policy_would_now_allow_it(room: Room) -> None:
    waiting = room.propose("1", "git push")
    room.decide(waiting["handoff_id"], DecisionKind.REJECT)
    room.engine.policies.propose(room.me, ORGANISATION, OFF)
    again = room.propose("2", "git push")
    assert again["verdict"] == "deny"
    assert "rejected by a reviewer" in str(again["reason"])
    assert room.propose("3", "git push other")["verdict"] == "allow"


def test_only_people_change_policy(room: Room) -> None:
    for actor in (OPERATOR, RUNNER, SYSTEM):
        with pytest.raises(NotPermitted):
            room.engine.policies.propose(actor, ORGANISATION, NO_PUBLISH)
    assert room.engine.policies.list() == []


def test_the_author_does_not_approve_where_there_is_another(room: Room) -> None:
    other = room.another("bob", ("operator",))
    done = room.engine.policies.propose(room.me, ORGANISATION, NO_PUBLISH)
    assert done["status"] == "proposed"
    assert room.propose("1", "git push --tags")["verdict"] == "wait"
    with pytest.raises(NotPermitted, match="author"):
        room.engine.policies.approve(room.me, ORGANISATION, str(done["digest"]))
    with pytest.raises(StaleDecision):
        room.engine.policies.approve(other, ORGANISATION, "sha256:" + "0" * 64)
    room.engine.policies.approve(other, ORGANISATION, str(done["digest"]))
    assert room.propose("2", "git push --tags")["verdict"] == "deny"
    with pytest.raises(InvalidTransition, match="in force already"):
        room.engine.policies.propose(room.me, ORGANISATION, NO_PUBLISH)


def test_a_reviewer_without_the_role_cannot_publish(room: Room) -> None:
    reviewer = room.another("eve", ("reviewer",))
    with pytest.raises(NotPermitted, match="roles"):
        room.engine.policies.propose(reviewer, ORGANISATION, NO_PUBLISH)


def test_a_declined_proposal_changes_nothing(room: Room) -> None:
    room.another("bob", ("admin",))
    done = room.engine.policies.propose(room.me, ORGANISATION, NO_PUBLISH)
    room.engine.policies.decline(room.me, ORGANISATION, str(done["digest"]), "not yet")
    assert room.engine.policies.text(ORGANISATION) == ""
    assert room.propose("1", "git push --tags")["verdict"] == "wait"


def test_a_wrong_policy_is_refused_with_line_and_column(room: Room) -> None:
    with pytest.raises(UsageError, match="4:15"):
        room.engine.policies.propose(
            room.me,
            ORGANISATION,
            "version: 1\ngates:\n  - id: a\n    when: call.tol == 'x'\n    deny: no way\n",
        )


def test_what_is_no_scope_has_no_text_and_says_so(room: Room) -> None:
    assert room.engine.policies.text("/a/repository") == ""
    with pytest.raises(UsageError, match="scope"):
        room.engine.policies.text("nope")


def test_an_edit_is_judged_by_the_policy_in_force(room: Room) -> None:
    waiting = room.propose("1", "git push")
    room.engine.policies.propose(room.me, ORGANISATION, NO_PUBLISH)
    with pytest.raises(UsageError, match="denies the edited call"):
        room.decide(
            waiting["handoff_id"], DecisionKind.APPROVE_WITH_EDITS, edited="git push --tags"
        )


def test_an_erased_policy_stops_effects_instead_of_vanishing(room: Room) -> None:
    room.engine.policies.propose(room.me, ORGANISATION, NO_PUBLISH)
    from handfast.core.domain.errors import IntegrityError
    from handfast.core.domain.publication import Publication

    state = room.engine.kernel.state(Publication, "organisation")
    assert state.in_force is not None
    room.engine.policies._compiled.clear()
    room.engine.kernel.store.erase_body(state.in_force.text.body_id)
    with pytest.raises(IntegrityError, match="published policy"):
        room.propose("1", "git push")
