"""Quorum and separation of duties: who counts, who does not, and what an approval takes."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.brief import Brief
from handfast.core.domain.change import ChangedFile
from handfast.core.domain.errors import (
    AlreadyDecided,
    InvalidTransition,
    NotPermitted,
    StaleDecision,
)
from handfast.core.domain.events import Actor, from_bytes
from handfast.core.domain.events_handoff import DecisionKind, HandoffUnvoted
from handfast.core.domain.handoff import Status
from handfast.core.domain.ids import PersonId
from handfast.core.domain.requirement import Clause, Requirement, covers, with_owners
from handfast.engine.gating import owners_of
from handfast.engine.kernel import Unit
from handfast.engine.runs import NewRun
from handfast.engine.tasks import NewTask
from handfast.observe.claude_code import read_call
from handfast.observe.scope import Scope
from tests.engine_room import Room, parallel

EDIT = DecisionKind.APPROVE_WITH_EDITS


def policy(room: Room, text: str) -> None:
    """Put it in force while there is one person who may publish."""
    room.engine.policies.propose(room.me, "organisation", "version: 1\n" + text)


def needing(room: Room, require: str) -> None:
    policy(room, f"gates: [{{id: g, when: 'true', require: {require}}}]\n")


def asked(room: Room, command: str = "git push", run_id: str = "") -> str:
    proposed = room.propose(command, command, run_id=run_id or room.run_id)
    return cast("str", proposed["handoff_id"])


def test_two_approvals_take_two_people_and_the_last_one_decides(room: Room) -> None:
    needing(room, "{approvals: 2}")
    ben, cy = room.another("ben"), room.another("cy")
    case = asked(room)
    room.decide(case, actor=ben)
    assert room.handoff(case).waiting
    assert room.propose("again", "git push")["verdict"] == "wait"
    room.decide(case, actor=cy)
    h = room.handoff(case)
    assert h.decision is not None
    assert h.grant is not None
    assert (h.status, h.decision.person_id) == (Status.DECIDED, cy.id)
    assert [v.person_id for v in h.votes] == [ben.id]
    types = room.types(f"handoff/{case}")
    assert types[-3:] == ["handoff.voted", "handoff.decided", "grant.minted"]
    room.check()


def test_one_approval_adds_no_event(room: Room) -> None:
    case = asked(room)
    room.decide(case)
    expected = ["handoff.requested", "handoff.routed", "handoff.decided", "grant.minted"]
    assert room.types(f"handoff/{case}") == expected


def test_the_same_person_counts_once(room: Room) -> None:
    needing(room, "{approvals: 2}")
    ben = room.another("ben")
    case = asked(room)
    for reason in ("first", "second", "third"):
        room.decide(case, actor=ben, reason=reason)
    assert room.handoff(case).waiting
    assert room.types().count("handoff.voted") == 1


def test_votes_at_once_all_count(rooms: Room) -> None:
    needing(rooms, "{approvals: 3}")
    people = [rooms.another(f"p{n}") for n in range(3)]
    case = asked(rooms)
    parallel(lambda n: rooms.decide(case, actor=people[n]), threads=3)
    h = rooms.handoff(case)
    assert h.decision is not None
    decided = {h.decision.person_id, *(v.person_id for v in h.votes)}
    assert decided == {p.id for p in people}
    assert rooms.types().count("grant.minted") == 1


def test_a_refusal_of_one_decides_at_once(room: Room) -> None:
    """R2: nobody outvotes a refusal."""
    needing(room, "{approvals: 3}")
    ben, cy = room.another("ben"), room.another("cy")
    case = asked(room)
    room.decide(case, actor=ben)
    room.decide(case, DecisionKind.REJECT, actor=cy)
    with pytest.raises(AlreadyDecided):
        room.decide(case)
    assert room.propose("again", "git push")["verdict"] == "deny"


def test_a_vote_can_be_taken_back_until_it_decided(room: Room) -> None:
    needing(room, "{approvals: 2}")
    ben, cy = room.another("ben"), room.another("cy")
    case = asked(room)
    room.decide(case, actor=ben)
    room.engine.handoffs.unvote(ben, case)
    with pytest.raises(InvalidTransition, match="no approval of yours"):
        room.engine.handoffs.unvote(ben, case)
    room.decide(case, actor=cy)
    assert room.handoff(case).waiting
    room.decide(case, actor=ben)
    with pytest.raises(AlreadyDecided):
        room.engine.handoffs.unvote(cy, case)


def test_an_approval_ends_with_the_role_that_let_its_person_decide(room: Room) -> None:
    needing(room, "{approvals: 2}")
    bob, cat = room.another("bob"), room.another("cat")
    handoff_id = asked(room)
    room.decide(handoff_id, actor=bob)
    room.engine.staff.set_roles(room.me, "bob", ["viewer"])
    assert room.decide(handoff_id, actor=cat)["decided"] is False
    assert [v.person_id for v in room.handoff(handoff_id).votes] == [cat.id]
    assert room.decide(handoff_id)["decided"] is True


def leaves_the_team(room: Room) -> None:
    room.engine.knowing.set_teams(room.me, "bob", [])


def leaves_the_project(room: Room) -> None:
    room.engine.knowing.set_project(room.me, "shop", ["/repo"], ["cat", "ana"], [])


@pytest.mark.parametrize("leaves", [leaves_the_team, leaves_the_project])
def test_an_approval_ends_with_the_membership_that_made_it_count(
    room: Room, leaves: Callable[[Room], None]
) -> None:
    gates = "gates: [{id: g, when: 'true', require: {approvals: 2, from: ['team:dba']}}]\n"
    policy(room, "teams: {dba: [nobody]}\n" + gates)
    bob, cat = room.another("bob"), room.another("cat")
    room.engine.knowing.set_project(room.me, "shop", ["/repo"], ["bob", "cat", "ana"], [])
    for login in ("bob", "cat", "ana"):
        room.engine.knowing.set_teams(room.me, login, ["dba"])
    handoff_id = asked(room)
    room.decide(handoff_id, actor=bob)
    leaves(room)
    assert room.decide(handoff_id, actor=cat)["decided"] is False
    assert [v.person_id for v in room.handoff(handoff_id).votes] == [cat.id]
    rows = room.engine.kernel.store.events(stream=f"handoff/{handoff_id}")
    (ended,) = [r for r in rows if r.type == "handoff.unvoted"]
    event = from_bytes(ended.data).event
    assert isinstance(event, HandoffUnvoted)
    assert (event.person_id, event.why) == (bob.id, "a role, a team or the project was lost since")
    assert room.decide(handoff_id)["decided"] is True
    room.check()


def test_an_approval_stays_when_the_turn_is_over_in_which_it_was_given(room: Room) -> None:
    bob, cat = room.another("bob"), room.another("cat")
    weeks = "{people: [bob, cat], starts: 2020-01-06T09:00, zone: UTC, every: 1w}"
    takes = "{approvals: 2, from: ['oncall:night', 'team:x'], within: 14d}"
    policy(
        room,
        f"teams: {{x: [nobody]}}\nrotations: {{night: {weeks}}}\n"
        f"gates: [{{id: g, when: 'true', require: {takes}}}]\n",
    )
    room.engine.knowing.set_teams(room.me, "ana", ["x"])
    unit = Unit(room.engine.kernel, room.me, "")
    roster = room.engine.policies.in_force(unit, "/repo").roster
    turn = room.engine.directory.on_call(unit, roster, "night", unit.now)
    on_call = next(p for p in (bob, cat) if p.id == turn.people[0].person_id)
    handoff_id = asked(room)
    room.decide(handoff_id, actor=on_call)
    room.clock.move(7 * 86_400)
    with pytest.raises(NotPermitted):
        room.decide(asked(room, "git push other"), actor=on_call)
    assert room.decide(handoff_id)["decided"] is True


def test_a_vote_on_something_else_than_is_shown_is_refused(room: Room) -> None:
    needing(room, "{approvals: 2}")
    with pytest.raises(StaleDecision):
        room.decide(asked(room), presented_digest="sha256:" + "0" * 64)


def test_votes_do_not_carry_over_to_a_changed_action(room: Room) -> None:
    """R3."""
    needing(room, "{approvals: 2}")
    ben, cy = room.another("ben"), room.another("cy")
    first = cast("str", room.propose("t1", "git push a")["handoff_id"])
    room.decide(first, actor=ben)
    second = cast("str", room.propose("t1", "git push b")["handoff_id"])
    assert room.handoff(first).status is Status.SUPERSEDED
    assert room.handoff(first).votes == ()
    room.decide(second, actor=cy)
    assert room.handoff(second).waiting


def test_only_those_of_the_audience_count_and_the_others_are_told_who(room: Room) -> None:
    policy(
        room,
        "teams: {dba: [ben]}\ngates: [{id: g, when: 'true', require: {from: team:dba}}]\n",
    )
    ben = room.another("ben")
    case = asked(room)
    for kind in (DecisionKind.APPROVE, DecisionKind.REJECT, EDIT):
        with pytest.raises(NotPermitted, match="does not count") as refused:
            room.decide(case, kind, edited="git push --dry-run")
        assert "1 approval of team:dba" in refused.value.hint
        assert refused.value.details["could"] == [ben.id]
    assert room.handoff(case).asked == "team:dba"
    assert room.handoff(case).asked_people == (ben.id,)
    room.decide(case, actor=ben)


def test_every_clause_is_met_by_its_own_people(room: Room) -> None:
    """The built-in policy's reviewer, and a database person: one person may be both."""
    policy(
        room,
        """teams: {dba: [ben, cy]}
gates:
  - {id: one, when: 'true', require: {from: team:dba}}
  - {id: two, when: 'true', require: {approvals: 2}}
""",
    )
    ben, dee = room.another("ben"), room.another("dee")
    case = asked(room)
    room.decide(case, actor=dee)
    takes = cast("dict[str, object]", room.engine.views.handoff(case)["takes"])
    missing = [c["missing"] for c in cast("list[dict[str, object]]", takes["clauses"])]
    assert sorted(cast("list[int]", missing)) == [1, 1]
    room.decide(case, actor=ben)
    assert room.handoff(case).decision is not None


def _run_of(room: Room, person: Actor) -> str:
    """A run of a task that this person delegated."""
    new = NewTask(Brief("Fix the build"), "/repo", "main", "0" * 40)
    task = room.engine.tasks.create(person, new)
    run = NewRun(cast("str", task["task_id"]), room.agent_id, "none", ("agent", "go"))
    return cast("str", room.engine.runs.create(person, run)["run_id"])


def test_who_asked_for_the_work_does_not_count_where_duties_are_separated(room: Room) -> None:
    needing(room, "{approvals: 1, separate: true}")
    ben = room.another("ben")
    case = asked(room, run_id=_run_of(room, room.me))
    assert room.handoff(case).requested_by == (room.me.id,)
    with pytest.raises(NotPermitted, match="you asked for this work"):
        room.decide(case)
    room.decide(case, actor=ben)


def test_who_asked_may_refuse_all_the_same(room: Room) -> None:
    needing(room, "{approvals: 2}")
    case = asked(room, run_id=_run_of(room, room.me))
    room.decide(case, DecisionKind.REJECT)
    assert room.handoff(case).decision is not None


def test_a_lone_person_decides_their_own_work_and_the_record_says_so(room: Room) -> None:
    case = asked(room, run_id=_run_of(room, room.me))
    room.decide(case)
    decision = cast("dict[str, object]", room.engine.views.handoff(case)["decision"])
    assert decision["by_requester"] is True
    assert decision["by_machine"] is False


def test_an_edit_is_put_to_the_others_and_its_editor_does_not_count(room: Room) -> None:
    needing(room, "{approvals: 2}")
    ben, cy, dee = (room.another(name) for name in ("ben", "cy", "dee"))
    case = asked(room)
    room.decide(case, actor=ben)
    shown = room.handoff(case).presented_digest
    room.decide(case, EDIT, actor=cy, edited="git push --dry-run")
    h = room.handoff(case)
    assert h.waiting
    assert h.votes == ()
    assert h.presented_digest != shown
    with pytest.raises(StaleDecision):
        room.decide(case, actor=ben, presented_digest=shown)
    with pytest.raises(NotPermitted, match="the edit is yours"):
        room.decide(case, actor=cy)
    room.decide(case, actor=ben)
    room.decide(case, actor=dee)
    h = room.handoff(case)
    assert h.decision is not None
    assert h.grant is not None
    assert h.decision.kind is EDIT
    assert h.grant.action_digest == Call("Bash", {"command": "git push --dry-run"}).digest
    assert room.propose("t2", "git push")["verdict"] == "deny"
    room.check()


def test_an_edit_that_takes_other_people_is_asked_anew_of_them(room: Room) -> None:
    policy(
        room,
        """teams: {dba: [ana, ben]}
gates: [{id: g, when: 'call.command.contains("--force")', require: {from: team:dba}}]
""",
    )
    ben, cy = room.another("ben"), room.another("cy")
    case = asked(room)
    done = room.decide(case, EDIT, edited="git push --force")
    assert (done["decided"], done["grant_id"]) == (False, "")
    assert room.handoff(case).edited_into == done["handoff_id"]
    for person in (room.me, cy):
        with pytest.raises(NotPermitted):
            room.decide(done["handoff_id"], actor=person)
    assert room.decide(done["handoff_id"], actor=ben)["decided"]
    other = asked(room, "git push other")
    assert room.decide(other, EDIT, edited="git push --dry-run")["grant_id"]


def test_a_stricter_edit_in_a_quorum_keeps_everybody_who_edited_apart(room: Room) -> None:
    policy(
        room,
        """gates:
  - {id: two, when: 'true', require: {approvals: 2}}
  - {id: three, when: 'call.command.contains("--force")', require: {approvals: 3}}
""",
    )
    ben, cy, dee, eve = (room.another(name) for name in ("ben", "cy", "dee", "eve"))
    case = asked(room)
    room.decide(case, EDIT, actor=ben, edited="git push --dry-run")
    new = room.decide(case, EDIT, actor=cy, edited="git push --force")["handoff_id"]
    assert room.handoff(case).votes == ()
    assert room.handoff(new).editor == cy.id
    for editor in (ben, cy):
        with pytest.raises(NotPermitted):
            room.decide(new, actor=editor)
    for person in (dee, eve, room.me):
        room.decide(new, actor=person)
    h = room.handoff(new)
    assert h.grant is not None
    assert room.engine.handoffs.action_of(h).arguments == {"command": "git push --force"}


def test_whoever_made_an_edit_stricter_may_refuse_it_and_nothing_else(room: Room) -> None:
    """Also where policy does not keep duties apart."""
    room.another("ben")
    new = room.decide(asked(room), EDIT, edited="git push --force")["handoff_id"]
    assert not room.handoff(new).requirement.clauses[0].separate
    for kind in (DecisionKind.APPROVE, EDIT):
        with pytest.raises(NotPermitted, match="the edit is yours"):
            room.decide(new, kind, edited="git push --dry-run")
    could = cast("dict[str, list[dict[str, object]]]", room.engine.views.handoff(str(new))["takes"])
    assert could["clauses"][0]["could"] == ["Ben"]
    room.decide(new, DecisionKind.REJECT)
    assert room.handoff(new).grant is None


def test_a_file_edited_in_a_quorum_runs_as_edited(room: Room) -> None:
    needing(room, "{approvals: 2}")
    ben, cy = room.another("ben"), room.another("cy")
    scope = Scope(Path("/repo"), Path("/repo"), (room.home,), ())
    fields = {"file_path": "/etc/profile", "content": "one\n"}
    call, facts = read_call("Write", fields, scope)
    case = room.propose("w", "", call=call, facts=facts)["handoff_id"]
    room.decide(case, EDIT, actor=ben, edited="two\n")
    shown = room.engine.views.handoff(str(case))
    assert (shown["edited_by"], shown["edited_text"]) == ("Ben", "two\n")
    room.decide(case)
    room.decide(case, actor=cy)
    decision = cast("dict[str, object]", room.engine.views.handoff(str(case))["decision"])
    assert decision["edited_text"] == "two\n"
    call, facts = read_call("Write", fields | {"content": "two\n"}, scope)
    assert room.propose("w2", "", call=call, facts=facts)["verdict"] == "allow"


def test_owners_become_a_clause_for_each_set_of_them() -> None:
    needed = Requirement((Clause(1, ("owners",), separate=True),))
    changed: list[tuple[str, ...]] = [("@ann", "@org/web"), ("@org/web", "@ann"), (), ("@ben",)]
    assert with_owners(needed, changed).clauses == (
        Clause(1, ("owner:@ann", "owner:@org/web"), separate=True),
        Clause(1, ("owner:@ben",), separate=True),
    )
    assert with_owners(needed, [(), ()]).clauses == (Clause(1, ("reviewers",), separate=True),)


def test_without_known_owners_any_reviewer_counts_and_the_package_says_so(room: Room) -> None:
    needing(room, "{from: owners}")
    case = asked(room)
    assert room.handoff(case).requirement.clauses[0].audience == ("reviewers",)
    package = cast("dict[str, list[str]]", room.engine.views.handoff(case)["package"])
    assert package["not_seen"] == ["No owner of the changed files is known: any reviewer counts."]


def test_every_changed_file_needs_one_of_its_owners(room: Room) -> None:
    needing(room, "{from: owners}")
    ben, cy = room.another("ben"), room.another("cy")
    owned = {"a": ("@ben", "@gone"), "b": ("@cy",), "c": ()}
    changes = tuple(ChangedFile(path, owners=owners) for path, owners in owned.items())
    facts = Facts(Effect.WRITE, "changes three files", changes=changes)
    case = cast("str", room.propose("w", "touch files", facts=facts)["handoff_id"])
    assert set(room.handoff(case).asked_people) == {ben.id, cy.id}
    with pytest.raises(NotPermitted):
        room.decide(case)
    room.decide(case, actor=cy)
    assert room.handoff(case).waiting
    room.decide(case, actor=ben)
    assert room.handoff(case).decision is not None


def test_owners_of_facts_that_know_none() -> None:
    assert owners_of(Facts(Effect.WRITE, "writes")) == ()


@pytest.mark.parametrize(
    ("given", "wanted", "enough"),
    [
        (Clause(), Clause(), True),
        (Clause(1, ("team:dba",)), Clause(), True),
        (Clause(), Clause(1, ("team:dba",)), False),
        (Clause(), Clause(2), False),
        (Clause(2), Clause(), True),
        (Clause(), Clause(separate=True), False),
        (Clause(1, ("team:a",)), Clause(1, ("team:a", "team:b")), True),
    ],
)
def test_what_an_edit_may_not_loosen(given: Clause, wanted: Clause, enough: bool) -> None:
    assert covers(Requirement((given,)), Requirement((wanted,))) is enough


def test_the_page_says_who_approved_and_who_still_can(room: Room) -> None:
    needing(room, "{approvals: 2}")
    ben = room.another("ben")
    case = asked(room, run_id=_run_of(room, room.me))
    room.decide(case, actor=ben)
    takes = cast("dict[str, object]", room.engine.views.handoff(case)["takes"])
    (clause,) = cast("list[dict[str, object]]", takes["clauses"])
    assert clause["approved_by"] == ["Ben"]
    assert clause["could"] == []  # Ana asked for the work
    assert clause["missing"] == 1
    assert takes["requested_by"] == ["Ana"]
    assert takes["in_words"] == "2 approvals of reviewers"
    assert PersonId(ben.id) in room.handoff(case).asked_people
