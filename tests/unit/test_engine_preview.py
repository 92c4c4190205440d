"""Preview and undo: what is known of an action before it runs, and who says so."""

from dataclasses import replace
from typing import cast

import pytest

from handfast.core.domain.errors import InvalidTransition, NotPermitted, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind, EffectOutcome, Executor
from handfast.core.domain.publication import ORGANISATION
from handfast.core.domain.run import Run
from handfast.engine.grants import EffectReport, Redemption
from handfast.engine.kernel import Result
from handfast.engine.preview import CALLER, Previewed
from handfast.engine.undoing import Probed
from tests.engine_room import OPERATOR, RUNNER, Room


def will(room: Room, handoff_id: object) -> Result:
    package = cast("Result", room.engine.views.handoff(cast("str", handoff_id))["package"])
    return cast("Result", package["what_will_happen"])


def test_what_a_caller_declares_is_shown_as_the_callers_word(room: Room) -> None:
    asked = room.propose("t1", "git push", preview="would push 2 commits", undo="git push -d tag")
    shown = will(room, asked["handoff_id"])
    assert (shown["preview"], shown["preview_about"]) == ("would push 2 commits", CALLER)
    assert (shown["undo"], shown["undo_about"]) == ("git push -d tag", CALLER)


def test_a_preview_holds_no_secret_and_is_bounded(room: Room) -> None:
    secret = "ghp_" + "a1B2" * 9
    text = f"token {secret}\n" + "x" * 150_000 + "\u202e"
    shown = cast(
        "str", will(room, room.propose("t1", "git push", preview=text)["handoff_id"])["preview"]
    )
    assert secret not in shown
    assert "\u202e" not in shown
    assert len(shown) <= 60_100


def test_without_a_preview_nothing_is_said_of_one(room: Room) -> None:
    shown = will(room, room.propose("t1", "git push")["handoff_id"])
    assert (shown["preview"], shown["preview_about"], shown["undo"]) == ("", "", "")


KINDS = """\
version: 1
actions:
  - id: push
    when: call.command.startsWith("git push")
    preview: [git, push, --dry-run]
    undo: [git, push, origin, "+old:main"]
    reconcile: [git, ls-remote, origin]
    reversible: true
"""
DRY = ("git", "push", "--dry-run")
PROBE = ("git", "ls-remote", "origin")


def with_kinds(room: Room) -> None:
    room.engine.policies.propose(room.me, ORGANISATION, KINDS)


def test_a_declared_preview_is_asked_for_before_anybody_is(room: Room) -> None:
    """And nothing is recorded of the first question."""
    with_kinds(room)
    size = room.engine.kernel.store.size()
    first = room.propose("t1", "git push", previews=True)
    assert (first["verdict"], first["preview"], first["step_id"]) == ("preview", list(DRY), "")
    assert room.engine.kernel.store.size() == size
    made = Previewed(DRY, 0, 2_100, "would push \u202e 2 commits")
    asked = room.propose("t1", "git push", previews=True, previewed=made)
    assert asked["verdict"] == "wait"
    shown = will(room, asked["handoff_id"])
    assert "would push" in str(shown["preview"])
    assert "\u202e" not in str(shown["preview"])
    assert shown["preview_about"] == (
        "`git push --dry-run`: exit 0, 2.1 s, run by Handfast before asking"
    )
    assert shown["undo"] == "git push origin +old:main"
    assert shown["undo_about"] == "declared by the policy, `push`"
    assert shown["reversible"] is True


def test_a_preview_that_was_not_made_or_is_of_another_command_says_so(room: Room) -> None:
    with_kinds(room)
    other = room.propose("t1", "git push", previewed=Previewed(("echo", "fine"), 0, 1, "all well"))
    assert will(room, other["handoff_id"])["preview"] == ""
    refused = Previewed(DRY, refused="it would need an approval itself")
    asked = room.propose("t2", "git push 2", previewed=refused)
    assert "was not run: it would need" in str(will(room, asked["handoff_id"])["preview_about"])


def test_an_agent_cannot_pass_its_words_off_as_our_preview(room: Room) -> None:
    with_kinds(room)
    asked = room.propose("t1", "git push", preview="harmless", undo="nothing to do")
    shown = will(room, asked["handoff_id"])
    assert "harmless" not in str(shown["preview"])
    assert shown["undo"] == "git push origin +old:main"


def test_an_equal_call_that_waits_is_not_previewed_again(room: Room) -> None:
    with_kinds(room)
    asked = room.propose("t1", "git push")
    assert room.propose("t2", "git push", previews=True)["handoff_id"] == asked["handoff_id"]


def test_a_repository_may_not_loosen_by_a_contract(room: Room) -> None:
    with pytest.raises(UsageError, match="only tighten"):
        room.engine.policies.propose(room.me, "/repo", KINDS)
    with pytest.raises(UsageError, match="only tighten"):
        room.engine.policies.propose(room.me, "/repo", "version: 1\ncarry_over: [trivial-rebase]\n")


def test_a_folders_policy_declares_previews_for_a_session_without_a_repository(room: Room) -> None:
    text = KINDS.replace("reversible: true", "reversible: false")
    only = "\n".join(line for line in text.splitlines() if "reconcile" not in line) + "\n"
    room.engine.policies.propose(room.me, room.engine.kernel.state(Run, room.run_id).root, only)
    assert room.propose("t1", "git push", previews=True)["verdict"] == "preview"


def ran(room: Room) -> str:
    with_kinds(room)
    asked = cast("str", room.propose("t1", "git push")["handoff_id"])
    room.decide(asked)
    room.propose("t1", "git push")
    return asked


def test_an_undo_is_an_action_of_its_own_that_a_person_approves_and_runs(room: Room) -> None:
    asked = ran(room)
    room.result("t1")
    undo = cast("str", room.engine.undoing.undo(OPERATOR, asked)["handoff_id"])
    state = room.handoff(undo)
    assert (state.waiting, state.about, state.executor) == (True, asked, Executor.MEDIATED)
    assert will(room, undo)["text"] == "git push origin +old:main"
    assert "grant.minted" not in room.types(f"handoff/{undo}")
    room.decide(undo)
    grant = room.handoff(undo).grant
    assert grant is not None
    redeem = Redemption(undo, grant.grant_id, grant.action_digest, Executor.MEDIATED)
    with pytest.raises(NotPermitted):
        room.engine.grants.redeem(Actor("agent", room.agent_id, "token"), redeem)
    assert room.engine.grants.redeem(OPERATOR, redeem)["start_id"]


def test_who_only_looks_asks_for_no_undo(room: Room) -> None:
    asked = ran(room)
    room.result("t1")
    for login, role in (("vic", "viewer"), ("aud", "auditor")):
        person = room.another(login, (role,))
        for auth in ("browser", "token"):
            with pytest.raises(NotPermitted, match="undo"):
                room.engine.undoing.undo(Actor("person", person.id, auth), asked)
    ops = room.another("ops", ("operator",))
    assert room.engine.undoing.undo(ops, asked)["status"] == "routed"


def test_an_agents_equal_call_does_not_use_the_undo(room: Room) -> None:
    asked = ran(room)
    room.result("t1")
    undo = cast("str", room.engine.undoing.undo(OPERATOR, asked)["handoff_id"])
    room.decide(undo)
    call = room.engine.handoffs.call_in(room.handoff(undo).action.body_id)  # type: ignore[union-attr]
    again = room.propose("t9", "", call=call, executor=Executor.MEDIATED)
    assert again["verdict"] == "wait"
    assert again["handoff_id"] != undo


def test_what_did_not_run_or_declares_no_undo_is_not_undone(room: Room) -> None:
    asked = cast("str", room.propose("t1", "git push")["handoff_id"])
    with pytest.raises(InvalidTransition, match="nothing ran"):
        room.engine.undoing.undo(OPERATOR, asked)
    room.decide(asked)
    room.propose("t1", "git push")
    room.result("t1")
    with pytest.raises(InvalidTransition, match="no undo is declared"):
        room.engine.undoing.undo(OPERATOR, asked)


def in_doubt(room: Room) -> str:
    ran(room)
    (doubt,) = cast("list[str]", room.engine.runs.settle(RUNNER, room.run_id, None)["doubts"])
    return doubt


@pytest.mark.parametrize(("code", "answer"), [(0, "it_ran"), (1, "it_did_not_run")])
def test_a_declared_probe_settles_a_doubt_as_a_machine(room: Room, code: int, answer: str) -> None:
    doubt = in_doubt(room)
    found = room.engine.undoing.reconciled(RUNNER, Probed(doubt, PROBE, code, 12, "refs"))
    assert found["answer"] == answer
    decision = cast("Result", room.engine.views.handoff(doubt)["decision"])
    assert (decision["by"], decision["auth"], decision["answer"]) == ("probe", "probe", answer)
    assert f"exit {code}" in str(decision["reason"])
    assert room.propose("t5", "git push")["verdict"] == ("deny" if code == 0 else "wait")


@pytest.mark.parametrize(
    "probed",
    [
        Probed("", PROBE, 2),
        Probed("", PROBE, None),
        Probed("", PROBE, 0, refused="it would need an approval itself"),
    ],
)
def test_a_probe_without_an_answer_leaves_the_doubt_to_people(room: Room, probed: Probed) -> None:
    doubt = in_doubt(room)
    found = room.engine.undoing.reconciled(RUNNER, replace(probed, handoff_id=doubt))
    assert found["answer"] == ""
    assert room.handoff(doubt).waiting
    assert room.types(f"handoff/{doubt}")[-1] == "handoff.commented"


def test_only_the_declared_probe_counts(room: Room) -> None:
    doubt = in_doubt(room)
    with pytest.raises(InvalidTransition, match="another command"):
        room.engine.undoing.reconciled(RUNNER, Probed(doubt, ("true",), 0))
    assert room.handoff(doubt).waiting


def test_the_undo_of_the_original_is_not_that_of_an_edit(room: Room) -> None:
    with_kinds(room)
    asked = cast("str", room.propose("t1", "git push")["handoff_id"])
    room.decide(asked, DecisionKind.APPROVE_WITH_EDITS, edited="git push origin fix")
    grant = room.handoff(asked).grant
    assert grant is not None
    redeem = Redemption(asked, grant.grant_id, grant.action_digest, Executor.MEDIATED)
    start = cast("str", room.engine.grants.redeem(OPERATOR, redeem)["start_id"])
    done = EffectReport(asked, start, EffectOutcome.VERIFIED)
    room.engine.grants.effect(OPERATOR, done)
    with pytest.raises(InvalidTransition, match="approved with edits"):
        room.engine.undoing.undo(OPERATOR, asked)
