"""Finished work meets the published policy: what its merge takes, who owns it, and what nobody may approve."""

import pytest

from handfast.core.domain.change import ChangedFile
from handfast.core.domain.errors import InvalidTransition, NotPermitted
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.handoff import Handoff, Status
from handfast.core.domain.package import ReviewedWork
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.packages import ReviewFacts
from handfast.engine.reviews import FinishedWork
from handfast.engine.runs import Pause
from tests.engine_room import RUNNER, Room

POLICY = """\
version: 1
gates:
  - id: migrations
    when: change.files.exists(f, f.path.contains("/migrations/"))
    risk: critical
    require: {approvals: 1, from: team:dba, within: 4h}
    why: A migration locks tables.
  - id: owned
    when: call.tool == "git.merge" && change.files.exists(f, size(f.owners) > 0)
    require: {from: owners}
  - id: release-branch
    when: call.tool == "git.merge" && "release" in call.branches
    deny: only the pipeline writes the release branch
teams: {dba: [ben]}
"""


def reviewed(room: Room, *changes: ChangedFile, target: str = "main") -> Handoff:
    run_id = room.queued_run()
    run = room.engine.runs.lease(RUNNER, "runner-1", "host")
    assert run is not None
    work = ReviewedWork("a" * 40, "b" * 40, target, files=tuple(c.path for c in changes))
    facts = ReviewFacts(work, "diff", 1, 0, changes=changes)
    opened = room.engine.reviews.open(RUNNER, FinishedWork(run_id, run.epoch, facts, Pause()))
    return room.handoff(opened["handoff_id"])


@pytest.fixture
def staffed(room: Room) -> Room:
    room.another("ben")
    room.another("cy")
    done = room.engine.policies.propose(room.me, ORGANISATION, POLICY)
    assert done["status"] == "in_force"
    return room


def test_a_merge_that_meets_no_gate_takes_one_reviewer(staffed: Room) -> None:
    h = reviewed(staffed, ChangedFile("src/a.py"))
    assert (h.risk, h.rules) == ("medium", ())
    staffed.decide(h.handoff_id)
    assert staffed.handoff(h.handoff_id).status is Status.DECIDED


def test_a_migration_is_merged_by_the_team_that_answers_for_it(staffed: Room) -> None:
    h = reviewed(staffed, ChangedFile("db/migrations/1.sql", status="A", added=3))
    assert (h.risk, h.rules) == ("critical", ("migrations",))
    assert h.levels_s == (4 * 3600,)
    with pytest.raises(NotPermitted):
        staffed.decide(h.handoff_id)
    package = staffed.engine.views.handoff(h.handoff_id)["package"]
    assert "A migration locks tables (rule `migrations`)." in package["why_now"]  # type: ignore[index]
    staffed.decide(h.handoff_id, actor=staffed.signed_in("ben"))
    assert staffed.handoff(h.handoff_id).status is Status.DECIDED


def test_every_owned_file_needs_one_of_its_owners(staffed: Room) -> None:
    h = reviewed(staffed, ChangedFile("a", owners=("@ben",)), ChangedFile("b", owners=("@cy",)))
    staffed.decide(h.handoff_id, actor=staffed.signed_in("ben"))
    assert staffed.handoff(h.handoff_id).waiting
    staffed.decide(h.handoff_id, actor=staffed.signed_in("cy"))
    assert not staffed.handoff(h.handoff_id).waiting


def test_what_policy_denies_nobody_can_approve(staffed: Room) -> None:
    h = reviewed(staffed, ChangedFile("a"), target="release")
    assert DecisionKind.APPROVE not in h.offered
    with pytest.raises(InvalidTransition, match="not offered"):
        staffed.decide(h.handoff_id)
    staffed.decide(h.handoff_id, DecisionKind.REQUEST_CHANGES)
    staffed.check()
