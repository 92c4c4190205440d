"""The unit of work: atomic, repeated when outrun, guarded in what it read, idempotent by key."""

from typing import cast

import pytest

from handfast.core.domain.agent import Agent
from handfast.core.domain.errors import Concurrency, InvalidTransition, NotFound, UsageError
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_org import AccessRefused, AgentRegistered, AgentSuspended
from handfast.core.domain.ids import AgentId
from handfast.core.domain.installation import Installation
from handfast.engine.kernel import ATTEMPTS, Result, Unit
from handfast.storage.api import Credential, Lease
from handfast.testing.clock import START
from tests.engine_room import Room, parallel

REFUSED = AccessRefused("test", "test")


def _note(room: Room) -> Result:
    def work(unit: Unit) -> Result:
        state = unit.record(Installation, "1", [REFUSED])
        return {"refusals": state.refusals}

    return room.engine.kernel.run(SYSTEM, work)


def test_outrun_commands_are_repeated_on_fresh_state(rooms: Room) -> None:
    counted = [cast("int", _note(rooms)["refusals"]) for _ in range(2)]
    counted += [cast("int", r["refusals"]) for r in parallel(lambda _: _note(rooms))]
    assert sorted(counted) == list(range(1, 11))


def test_a_command_that_is_always_outrun_gives_up_with_a_clear_error(room: Room) -> None:
    tries = 0

    def work(unit: Unit) -> Result:
        nonlocal tries
        tries += 1
        unit.record(Installation, "1", [REFUSED])
        if tries <= ATTEMPTS:
            _note(room)
        return {}

    with pytest.raises(Concurrency) as caught:
        room.engine.kernel.run(SYSTEM, work)
    assert caught.value.retryable
    assert tries == ATTEMPTS


def test_what_was_relied_on_is_read_again_when_it_moved(room: Room) -> None:
    seen: list[bool] = []

    def work(unit: Unit) -> Result:
        suspended = unit.get(Agent, room.agent_id).suspended
        unit.rely_on(Agent, room.agent_id)
        if not seen:
            room.engine.agents.suspend(SYSTEM, room.agent_id, "meanwhile")
        seen.append(suspended)
        unit.record(Installation, "1", [REFUSED])
        return {"suspended": suspended}

    assert room.engine.kernel.run(SYSTEM, work) == {"suspended": True}
    assert seen == [False, True]


def test_a_refused_command_writes_nothing_of_what_it_prepared(room: Room) -> None:
    size = room.engine.kernel.store.size()

    def work(unit: Unit) -> Result:
        unit.record(Installation, "1", [REFUSED])
        unit.put("text")
        unit.put_credential(Credential("x", "token", "s", "h"))
        unit.take_lease(Lease("x", "h", 1, START))
        raise InvalidTransition("no")

    with pytest.raises(InvalidTransition):
        room.engine.kernel.run(SYSTEM, work, key="k", command=1)
    store = room.engine.kernel.store
    assert store.size() == size
    assert store.credential("x") is None
    assert store.lease("x") is None
    assert store.answer("k") is None


def test_everything_a_command_prepared_commits_with_its_event(room: Room) -> None:
    body: list[str] = []

    def work(unit: Unit) -> Result:
        unit.record(Installation, "1", [REFUSED])
        body.append(unit.put("text \U0001f600").body_id)
        unit.post("topic", {"n": 1})
        unit.put_credential(Credential("x", "token", "s", "h"))
        unit.take_lease(Lease("x", "h", 1, START))
        return {"n": 1}

    assert room.engine.kernel.run(SYSTEM, work, key="k", command=1) == {"n": 1}
    store = room.engine.kernel.store
    assert room.engine.kernel.vault.open(body[-1]).text == "text \U0001f600"
    assert "topic" in [row.topic for row in store.outbox(100)]
    assert store.credential("x") is not None
    assert store.lease("x") is not None
    assert store.answer("k") is not None


def test_work_for_the_outbox_alone_is_kept(room: Room) -> None:
    def work(unit: Unit) -> Result:
        unit.post("alone", {})
        return {}

    room.engine.kernel.run(SYSTEM, work)
    assert "alone" in [row.topic for row in room.engine.kernel.store.outbox(100)]


def test_a_command_that_records_nothing_writes_nothing(room: Room) -> None:
    size = room.engine.kernel.store.size()
    assert room.engine.kernel.run(SYSTEM, lambda _: {"n": 1}) == {"n": 1}
    assert room.engine.kernel.store.size() == size


def test_a_key_answers_many_threads_alike(rooms: Room) -> None:
    numbers = iter(range(1000))

    def work(unit: Unit) -> Result:
        unit.record(Installation, "1", [REFUSED])
        return {"n": next(numbers)}

    answers = parallel(lambda _: rooms.engine.kernel.run(SYSTEM, work, key="k", command=["same"]))
    assert len({cast("int", a["n"]) for a in answers}) == 1
    assert rooms.engine.kernel.state(Installation, "1").refusals == 1
    with pytest.raises(InvalidTransition, match="used for another command"):
        rooms.engine.kernel.run(SYSTEM, work, key="k", command=["other"])


@pytest.mark.parametrize("key", ["a\0b", "\ud800"])
def test_an_impossible_key_is_refused_alike(rooms: Room, key: str) -> None:
    with pytest.raises(UsageError):
        rooms.engine.kernel.run(SYSTEM, lambda _: {}, key=key, command=1)


def test_states_that_are_not_there(room: Room) -> None:
    with pytest.raises(NotFound, match="`ag_none`"):
        room.engine.kernel.state(Agent, "ag_none")

    def work(unit: Unit) -> Result:
        assert unit.find(Agent, "ag_none") is None
        unit.get(Agent, "ag_none")
        return {}

    with pytest.raises(NotFound):
        room.engine.kernel.run(SYSTEM, work)


def test_an_impossible_history_is_refused_before_it_is_written(room: Room) -> None:
    size = room.engine.kernel.store.size()

    def work(unit: Unit) -> Result:
        unit.record(Agent, "ag_new", [AgentSuspended(AgentId("ag_new"))])
        return {}

    with pytest.raises(ValueError, match="first event"):
        room.engine.kernel.run(SYSTEM, work)
    assert room.engine.kernel.store.size() == size


def test_several_aggregates_commit_as_one(room: Room) -> None:
    def work(unit: Unit) -> Result:
        for n in range(3):
            agent_id = AgentId(f"ag_{n}")
            unit.record(Agent, agent_id, [AgentRegistered(agent_id, f"agent {n}", "none")])
        unit.get(Agent, "ag_none")
        return {}

    with pytest.raises(NotFound):
        room.engine.kernel.run(SYSTEM, work)
    assert room.engine.kernel.store.load("agent/ag_0") is None


def test_an_erased_body_goes_with_its_event(room: Room) -> None:
    asked = room.propose("t1", "git push")
    handoff = room.handoff(asked["handoff_id"])
    room.decide(handoff.handoff_id, DecisionKind.REJECT)
    room.engine.audit.erase(room.me, handoff.package.body_id, "asked for")
    assert room.engine.kernel.vault.open(handoff.package.body_id).erased
    assert room.types().count("body.erased") == 1
    with pytest.raises(NotFound):
        room.engine.audit.erase(room.me, "bo_none", "x")
