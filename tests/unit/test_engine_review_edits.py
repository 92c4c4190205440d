"""Finished work approved with edits: judged again, put to others where it takes more, and never more than was shown."""

import json
from collections.abc import Mapping

import pytest

from handfast.core.domain.change import ChangedFile
from handfast.core.domain.errors import NotPermitted, StaleDecision, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_work import RunOutcome
from handfast.core.domain.handoff import Handoff, Status
from handfast.core.domain.package import ReviewedWork
from handfast.core.domain.publication import ORGANISATION
from handfast.core.domain.reviewed_files import ReviewedFile
from handfast.core.domain.run import Run
from handfast.engine.kernel import Result
from handfast.engine.packages import ReviewFacts
from handfast.engine.review_files import edits_of, files_view
from handfast.engine.reviews import FinishedWork
from handfast.engine.runs import Pause
from tests.engine_room import RUNNER, Room

EDIT = DecisionKind.APPROVE_WITH_EDITS
FILES = (
    ReviewedFile("src/a.py", "100644", "a = 1\n", "a = 2\n"),
    ReviewedFile("b.txt", "100644", "", "b\n"),
)
LARGE = """\
version: 1
teams: {dba: [bo]}
gates:
  - id: large
    when: change.files.exists(f, f.added > 3)
    require: {from: "team:dba"}
    why: It is large.
  - id: huge
    when: change.files.exists(f, f.added > 9)
    deny: nobody reads so much
"""
PAIR = """\
version: 1
gates:
  - id: pair
    when: call.tool == "git.merge"
    require: {approvals: 2}
"""


def reviewed(room: Room, *changes: ChangedFile, files: tuple[ReviewedFile, ...] = FILES) -> Handoff:
    run_id = room.queued_run()
    run = room.engine.runs.lease(RUNNER, "runner-1", "host")
    assert run is not None
    work = ReviewedWork(
        "a" * 40, "b" * 40, "main", files=tuple(f.path for f in files), tree="c" * 40
    )
    listed = changes or tuple(ChangedFile(f.path, status="M", new_mode=f.mode) for f in files)
    facts = ReviewFacts(work, "diff", 1, 0, changes=listed, files=files)
    opened = room.engine.reviews.open(RUNNER, FinishedWork(run_id, run.epoch, facts, Pause()))
    return room.handoff(opened["handoff_id"])


def edit(room: Room, h: Handoff, texts: Mapping[str, str], actor: Actor | None = None) -> Result:
    return room.decide(h.handoff_id, EDIT, actor, edited_files=dict(texts))


def policy(room: Room, text: str) -> None:
    assert room.engine.policies.propose(room.me, ORGANISATION, text)["status"] == "in_force"


def edits_in(room: Room, ref: object) -> dict[str, str]:
    call = room.engine.handoffs.call_in(ref.body_id)  # type: ignore[attr-defined]
    return {edit.path: edit.after for edit in edits_of(call)}


def test_where_one_is_enough_it_is_decided_as_it_is_made(room: Room) -> None:
    h = reviewed(room)
    done = edit(room, h, {"src/a.py": "a = 3\n"})
    after = room.handoff(h.handoff_id)
    assert done["decided"] is True
    assert after.decision is not None
    assert after.grant is not None
    assert after.decision.kind is EDIT
    assert after.grant.action_digest == after.decision.edited_digest != h.action_digest
    assert list(edits_in(room, after.decision.edited_action)) == ["src/a.py"]
    room.check()


def test_where_it_takes_two_the_edit_is_put_to_the_others_and_votes_begin_anew(room: Room) -> None:
    policy(room, PAIR)
    bo, cy, dee = (room.another(login) for login in ("bo", "cy", "dee"))
    h = reviewed(room)
    room.decide(h.handoff_id, actor=cy)
    edit(room, h, {"src/a.py": "a = 3\n"})
    now = room.handoff(h.handoff_id)
    assert (now.waiting, now.votes, now.editors) == (True, (), (room.me.id,))
    assert now.presented_digest != h.presented_digest
    view = files_view(room.engine.kernel, h.handoff_id)
    assert [f["edited"] for f in view["files"]] == ["a = 3\n", None]  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="put to a vote"):
        edit(room, h, {"src/a.py": "a = 3\n"})
    # Another edit takes the place of the whole of the first.
    edit(room, h, {"b.txt": "B\n"}, bo)
    with pytest.raises(NotPermitted, match="the edit is yours"):
        room.decide(h.handoff_id)
    room.decide(h.handoff_id, actor=cy)
    room.decide(h.handoff_id, actor=dee)
    after = room.handoff(h.handoff_id)
    assert after.decision is not None
    assert after.grant is not None
    assert after.decision.kind is EDIT
    assert list(edits_in(room, after.decision.edited_action)) == ["b.txt"]
    assert after.grant.action_digest == after.decision.edited_digest
    room.check()


def test_an_edit_is_judged_by_the_facts_of_the_edited_change(room: Room) -> None:
    policy(room, LARGE)
    bo = room.another("bo")
    h = reviewed(room)
    with pytest.raises(UsageError, match="nobody reads so much") as refused:
        edit(room, h, {"b.txt": "x\n" * 10})
    assert refused.value.code == "edit_denied"
    opened = edit(room, h, {"b.txt": "x\n" * 5})
    new, old = room.handoff(opened["handoff_id"]), room.handoff(h.handoff_id)
    assert (old.status, old.edited_into) == (Status.SUPERSEDED, new.handoff_id)
    assert (new.kind, new.waiting, new.editor) == (h.kind, True, room.me.id)
    assert new.rules == ("large",)
    assert "It is large (rule `large`)." in str(
        room.engine.views.handoff(new.handoff_id)["why_now"]
    )
    # The run waits for the new one: its runner is told by the old one.
    assert room.engine.kernel.state(Run, h.run_id).ready_for == h.handoff_id
    with pytest.raises(NotPermitted, match="the edit is yours"):
        room.decide(new.handoff_id)
    room.decide(new.handoff_id, actor=bo)
    after = room.handoff(new.handoff_id)
    assert after.grant is not None
    assert after.grant.action_digest == new.action_digest
    view = files_view(room.engine.kernel, new.handoff_id)
    assert [f["edited"] for f in view["files"]] == [None, "x\n" * 5]  # type: ignore[attr-defined]
    room.check()


def test_a_credential_that_is_edited_in_raises_the_risk(room: Room) -> None:
    room.another("bo")
    h = reviewed(room)
    key = "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----\n"
    opened = edit(room, h, {"b.txt": key})
    assert opened["handoff_id"] != h.handoff_id
    assert room.handoff(opened["handoff_id"]).risk == "high"


def test_what_policy_denies_cannot_be_edited_through(room: Room) -> None:
    policy(room, LARGE)
    h = reviewed(room, *(ChangedFile(f.path, status="M", added=20, new_mode=f.mode) for f in FILES))
    assert not {DecisionKind.APPROVE, EDIT} & set(h.offered)


@pytest.mark.parametrize(
    "files",
    [
        (ReviewedFile("c.txt", "100644", "", "c"),),  # not of the change
        (ReviewedFile("b.txt", "100755", "", "b"),),  # under another mode
        (ReviewedFile("b.txt", "120000", "", "b"),),
        (ReviewedFile("../b.txt", "100644", "", "b"),),
        (ReviewedFile("b.txt", "100644", "", "b"), ReviewedFile("B.txt", "100644", "", "b")),
        (ReviewedFile("b.txt", "100644", "", "b" * 100_001),),
    ],
)
def test_only_files_of_the_change_are_taken(room: Room, files: tuple[ReviewedFile, ...]) -> None:
    changes = tuple(ChangedFile(f.path, status="M", new_mode=f.mode) for f in FILES)
    with pytest.raises(UsageError):
        reviewed(room, *changes, files=files)


def test_erased_files_cannot_be_edited(room: Room) -> None:
    h = reviewed(room)
    room.decide(h.handoff_id, DecisionKind.REJECT)
    room.engine.runs.ended(RUNNER, h.run_id, None, RunOutcome.REJECTED)
    room.engine.erasure.erase(room.me, h.task_id, "asked for", ["packages"])
    with pytest.raises(StaleDecision, match="erased"):
        files_view(room.engine.kernel, h.handoff_id)


def test_the_log_holds_no_text_of_an_edit_only_its_digests(room: Room) -> None:
    h = reviewed(room)
    edit(room, h, {"src/a.py": "confidential = 3\n"})
    rows = list(room.engine.kernel.store.events(stream=f"handoff/{h.handoff_id}"))
    decided = next(json.loads(row.data)["data"] for row in rows if row.type == "handoff.decided")
    assert decided["edited_digest"].startswith("sha256:")
    assert {"body_id", "digest"} <= set(decided["edited_action"])
    assert {"body_id", "digest"} <= set(decided["edited_text"])
    assert not any(b"confidential" in row.data for row in rows)
