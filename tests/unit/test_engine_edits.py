"""Approve with edits: judged again, never a way to more than policy gives for the edited call on its own."""

from pathlib import Path
from typing import cast

import pytest

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.errors import NotPermitted, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.handoff import Status
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.kernel import Result
from handfast.observe.claude_code import read_call
from handfast.observe.scope import Scope
from tests.engine_room import Room

EDIT = DecisionKind.APPROVE_WITH_EDITS
DBA = """\
version: 1
teams: {dba: [bo]}
gates:
  - id: db
    when: call.command.contains("migrate")
    risk: high
    require: {from: "team:dba"}
"""


def asks(room: Room, key: str, tool: str, fields: dict[str, object]) -> Result:
    scope = Scope(Path("/repo"), Path("/repo"), (room.home,), ())
    call, facts = read_call(tool, fields, scope)
    return room.propose(key, "", call=call, facts=facts)


def bash(room: Room, key: str, command: str) -> Result:
    return asks(room, key, "Bash", {"command": command})


@pytest.mark.parametrize(
    ("original", "edited"),
    [
        ("git push", "git push --force"),  # higher risk
        ("git push", "git push && ./manage.py migrate"),  # another audience
    ],
)
def test_a_stricter_edit_opens_a_handoff_that_its_editor_cannot_approve(
    room: Room, original: str, edited: str
) -> None:
    room.engine.policies.propose(room.me, ORGANISATION, DBA)
    asked = bash(room, "t1", original)["handoff_id"]
    opened = room.decide(asked, EDIT, edited=edited)
    new = room.handoff(opened["handoff_id"])
    assert opened["grant_id"] == ""
    assert room.handoff(asked).status is Status.SUPERSEDED
    assert room.handoff(asked).edited_into == new.handoff_id
    assert (new.waiting, new.editor, new.about) == (True, room.me.id, asked)
    for kind in (DecisionKind.APPROVE, EDIT):
        with pytest.raises(NotPermitted, match="the edit is yours"):
            room.decide(new.handoff_id, kind, edited="git push --tags")
    assert "grant.minted" not in room.types()
    bo = room.another("bo")
    room.decide(new.handoff_id, actor=bo)
    assert bash(room, "t2", edited)["verdict"] == "allow"
    denied = bash(room, "t1", original)
    assert denied["verdict"] == "deny"
    assert edited in cast("str", denied["reason"])


def test_while_the_edit_waits_the_original_waits_with_it(room: Room) -> None:
    asked = bash(room, "t1", "git push")["handoff_id"]
    new = room.decide(asked, EDIT, edited="git push --force")["handoff_id"]
    for command in ("git push", "git push --force"):
        again = bash(room, command, command)
        assert (again["verdict"], again["handoff_id"]) == ("wait", new)
    room.decide(new, DecisionKind.REJECT)
    assert bash(room, "t3", "git push --force")["verdict"] == "deny"
    assert bash(room, "t4", "git push")["verdict"] == "deny"


def test_an_edit_that_asks_no_more_is_approved_by_its_editor(room: Room) -> None:
    asked = bash(room, "t1", "git push --force")["handoff_id"]
    done = room.decide(asked, EDIT, edited="git push origin fix")
    assert done["grant_id"]
    decision = room.handoff(asked).decision
    assert decision is not None
    assert decision.person_id == room.me.id
    assert bash(room, "t2", "git push origin fix")["verdict"] == "allow"


WRITE = {"file_path": "/etc/profile", "content": "one\n"}
CHANGE = {"file_path": "/etc/profile", "old_string": "a", "new_string": "b", "replace_all": False}


@pytest.mark.parametrize(
    ("tool", "fields", "part", "text"),
    [
        ("Write", WRITE, "content", "  two\n\n"),
        ("Edit", CHANGE, "new_string", "c\n"),
    ],
)
def test_the_content_of_a_file_change_can_be_edited(
    room: Room, tool: str, fields: dict[str, object], part: str, text: str
) -> None:
    """To the last space: only exactly that change redeems the grant."""
    asked = asks(room, "t1", tool, fields)["handoff_id"]
    room.decide(asked, EDIT, edited=text)
    decision = cast("Result", room.engine.views.handoff(cast("str", asked))["decision"])
    assert decision["edited_text"] == text
    for other in ({**fields, part: text.strip()}, fields):
        assert asks(room, "t2", tool, other)["verdict"] != "allow"
    allowed = asks(room, "t3", tool, {**fields, part: text})
    assert (allowed["verdict"], allowed["handoff_id"]) == ("allow", asked)


@pytest.mark.parametrize("tool", ["MultiEdit", "mcp__x__y", "NotebookEdit"])
def test_what_cannot_be_edited_is_refused_in_words(room: Room, tool: str) -> None:
    facts = Facts(Effect.EXEC, "does something", ("git.push",))
    call = Call(tool, {"edits": "sha256:0"})
    asked = room.propose("t1", "", call=call, facts=facts)["handoff_id"]
    with pytest.raises(UsageError, match="cannot be edited here"):
        room.decide(asked, EDIT, edited="anything")
    assert room.handoff(asked).waiting


def test_a_second_reviewer_may_edit_the_edit(room: Room) -> None:
    asked = bash(room, "t1", "git push")["handoff_id"]
    new = room.decide(asked, EDIT, edited="git push --force")["handoff_id"]
    bo: Actor = room.another("bo")
    room.decide(new, EDIT, bo, edited="git push --force-with-lease")
    assert bash(room, "t2", "git push --force-with-lease")["verdict"] == "allow"
    assert bash(room, "t3", "git push --force")["verdict"] == "deny"


SUBAGENTS = """\
version: 1
teams: {leads: [bo]}
gates:
  - {id: sub, when: 'call.subagent != ""', risk: high, require: {from: "team:leads"}}
"""


def test_an_edit_is_judged_as_the_call_of_who_made_it(room: Room) -> None:
    """A sub-agent's call stays one when it is edited."""
    asked = room.propose("t1", "git push", subagent="helper 1")["handoff_id"]
    room.engine.policies.propose(room.me, ORGANISATION, SUBAGENTS)
    opened = room.decide(asked, EDIT, edited="git push origin fix")
    assert opened["grant_id"] == ""
    new = room.handoff(opened["handoff_id"])
    assert "sub" in new.rules
    assert new.subagent == "helper 1"
