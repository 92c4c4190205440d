"""A changed policy judged over what was recorded: what changes, which handoffs it saves or adds, nothing written."""

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.limit_facts import Reported
from handfast.engine.gating import Proposal
from handfast.engine.simulation import Simulation, simulate
from handfast.policyfile.load import load
from tests.engine_room import RUNNER, Room

CHANGED = """\
version: 1
builtin: {off: [push]}
gates:
  - id: billing
    when: call.paths.exists(p, p.startsWith("billing/"))
    require: {}
  - id: third-call
    when: run.tool_calls >= 5 && call.tool == "Late"
    deny: too late
"""


def run(room: Room, text: str = CHANGED, **more: int) -> Simulation:
    book, seen = load(text), []
    size = room.engine.kernel.store.size()
    done = simulate(
        room.engine.kernel, lambda _: [], lambda _: [book], lambda a, b: seen.append((a, b)), **more
    )
    assert seen[-1] == (size, size)
    assert room.engine.kernel.store.size() == size
    return done


def edit(room: Room, key: str, path: str) -> None:
    facts = Facts(Effect.WRITE, f"edits {path}", paths=(path,), reversible=True)
    call = Call("Edit", {"file_path": path})
    room.engine.actions.propose(RUNNER, Proposal(room.run_id, key, call, facts))


def test_what_would_change_is_counted_and_listed(room: Room) -> None:
    approved = room.propose("1", "git push one")["handoff_id"]
    rejected = room.propose("2", "git push two")["handoff_id"]
    room.decide(approved)
    room.decide(rejected, DecisionKind.REJECT)
    for key in ("3", "4"):
        edit(room, key, "billing/a.py")
    edit(room, "5", "docs/a.md")
    facts = Facts(Effect.EXEC, "late")
    room.engine.actions.propose(RUNNER, Proposal(room.run_id, "6", Call("Late", {"n": 1}), facts))
    done = run(room)
    assert done.judged == 6
    assert done.changes == {"gate → allow": 2, "allow → gate": 2, "allow → deny": 1}
    assert done.saved == {approved, rejected}
    assert done.saved_decisions == {"approve": 1, "reject": 1}
    assert len(done.added) == 1, "an equal call asked twice is one handoff"
    assert done.rules == {"billing": 2, "third-call": 1}
    assert [(a["was"], a["now"], a["rules"]) for a in done.listed] == [
        ("gate", "allow", ["push"]),
        ("gate", "allow", ["push"]),
        ("allow", "gate", ["billing"]),
        ("allow", "gate", ["billing"]),
        ("allow", "deny", ["third-call"]),
    ]


def test_the_list_is_bounded_and_a_start_can_be_named(room: Room) -> None:
    for i in range(5):
        edit(room, f"k{i}", f"billing/{i}.py")
    assert len(run(room, most=2).listed) == 2
    assert run(room, after=room.engine.kernel.store.size()).judged == 0


def test_the_same_policy_changes_nothing(room: Room) -> None:
    room.propose("1", "git push")
    assert run(room, "version: 1\ngates: []\n").changes == {}


def test_erased_actions_are_counted_not_guessed(room: Room) -> None:
    room.propose("1", "git push")
    from handfast.core.domain.events import from_bytes
    from handfast.core.domain.events_work import StepJudged

    for row in room.engine.kernel.store.events(types=["step.judged"]):
        event = from_bytes(row.data).event
        assert isinstance(event, StepJudged)
        assert event.call is not None
        room.engine.kernel.store.erase_body(event.call.body_id)
    done = run(room)
    assert (done.judged, done.unreadable) == (0, 1)


def test_what_conditions_saw_is_recorded_with_the_step(room: Room) -> None:
    edit(room, "1", "billing/a.py")
    room.propose("2", "pytest", ())
    done = run(room, CHANGED.replace("call.paths", "change.files.map(f, f.path)"))
    assert done.changes == {"allow → gate": 1}


def test_what_a_run_had_cost_when_the_call_was_made_counts(room: Room) -> None:
    dear = "version: 1\ngates:\n  - {id: dear, when: run.cost_usd > 2.0, require: {}}\n"
    room.propose("1", "make", ())
    room.engine.limits.report(RUNNER, room.run_id, Reported(cost_usd="3.00"))
    room.propose("2", "make again", ())
    done = run(room, dear)
    assert done.changes == {"allow → gate": 1}
    assert done.listed[0]["summary"] == "runs make again"
