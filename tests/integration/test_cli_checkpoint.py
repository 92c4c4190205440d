"""Checkpoints in the terminal: listed, shown, opened, and approved in one pass with one PIN."""

import pytest

from handfast.app import open_engine
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.events import Actor
from handfast.engine.gating import Proposal
from tests.integration.test_cli_decide import PIN, RUNNER, World
from tests.integration.test_cli_decide import world as plain

SIGN = [("Login", "ana"), ("PIN", PIN)]
BUDGET = """version: 1
interruptions: {cost: 900, planned: []}
builtin: {off: [push]}
gates:
  - {id: tiny, when: 'call.command.contains("tiny")', risk: low, require: {approvals: 1}}
"""
__all__ = ["plain"]  # a fixture of the neighbouring file


@pytest.fixture(scope="module")
def world(plain: World) -> World:
    engine = open_engine(home=plain.home)
    try:
        person = engine.people.with_pin("ana", PIN)
        me = Actor("person", person.id, "browser")
        engine.policies.propose(me, "organisation", BUDGET)
    finally:
        engine.close()
    return plain


def ask(
    world: World, command: str, *, reversible: bool = True, hazard: str = "fs.delete-tracked"
) -> str:
    engine = open_engine(home=world.home)
    try:
        call = Call("Bash", {"command": command})
        facts = Facts(Effect.WRITE, f"runs {command}", (hazard,), reversible=reversible)
        asked = engine.actions.propose(RUNNER, Proposal(world.run_id, call.digest, call, facts))
    finally:
        engine.close()
    return str(asked["handoff_id"])


def opened(world: World, *cases: str) -> str:
    done = world.handfast.typed("checkpoint", "open", *cases, "--json", answers=SIGN)
    assert (done.code, done.err) == (0, "")
    return str(done.json["checkpoint_id"])


def test_what_waits_says_so_everywhere(world: World) -> None:
    case = ask(world, "rm waits")
    listed = world.handfast("checkpoint", "list", "--json").json
    assert case in [d["handoff_id"] for d in listed["deferred"]]
    assert "for a checkpoint, by " in world.handfast("inbox").out
    shown = world.handfast("handoff", "show", case).out
    assert "waits for a checkpoint: not urgent" in shown
    assert "Due " not in shown
    opened(world, case)
    assert world.status(case) == "routed"


def test_one_pin_approves_several_each_for_its_digest(world: World) -> None:
    plain, left, risky = (
        ask(world, "rm 1"),
        ask(world, "rm 2"),
        ask(world, "rm 3", reversible=False),
    )
    silent = ask(world, "rm 4", reversible=False)
    checkpoint = opened(world, plain, left, risky, silent)
    answers = [
        (f"Reason for {risky} (empty leaves it open)", "I read it"),
        (f"Reason for {silent} (empty leaves it open)", ""),
        *SIGN,
    ]
    done = world.handfast.typed(
        "checkpoint", "approve", checkpoint, "--leave", left, "--json", answers=answers
    )
    assert (done.code, done.err) == (0, "")
    assert [r["handoff_id"] for r in done.json["results"]] == [plain, risky]
    assert [r["decided"] for r in done.json["results"]] == [True, True]
    shown = world.handfast("checkpoint", "show", checkpoint, "--json").json
    digests = {i["handoff_id"]: i["presented_digest"] for i in shown["items"]}
    asked = done.terminal.index("PIN")
    assert all(digests[case] in done.terminal[:asked] for case in (plain, risky))
    assert [world.status(c) for c in (plain, left, risky, silent)] == [
        "decided",
        "routed",
        "decided",
        "routed",
    ]
    assert "approve by Ana" in world.handfast("checkpoint", "show", checkpoint).out


@pytest.mark.parametrize(
    ("words", "operation"),
    [(("open",), "open_checkpoint"), (("approve", "cp_1"), "decide_checkpoint")],
)
def test_without_a_terminal_nothing_is_done_and_the_try_is_recorded(
    world: World, words: tuple[str, ...], operation: str
) -> None:
    before = world.refusals()
    done = world.handfast("checkpoint", *words, stdin=f"ana\n{PIN}\n")
    assert done.code == 4
    assert world.refusals()[len(before) :] == [("operator", operation)]


def test_several_ids_are_approved_with_one_pin_and_what_is_not_small_is_refused(
    world: World,
) -> None:
    small = ask(world, "git push tiny", hazard="git.push")
    risky = ask(world, "rm 9", reversible=False)
    opened(world, small, risky)
    done = world.handfast.typed("handoff", "approve", small, risky, answers=SIGN)
    assert done.code == 0, done.err
    assert f"{small}: approve\n" in done.out
    assert f"{risky}: refused: not in bulk" in done.out
    assert "git push tiny" in done.terminal[: done.terminal.index("PIN")]
    assert (world.status(small), world.status(risky)) == ("decided", "routed")
    wrong = world.handfast("handoff", "approve", small, risky, "--edit", "ls")
    assert (wrong.code, "one at a time" in wrong.err) == (2, True)
    assert world.handfast("handoff", "approve").code == 2
