"""Decoded states are shared by the bytes they come from: never stale, never another state, bounded."""

import json
from pathlib import Path

import pytest

from handfast.app import open_engine
from handfast.core.domain.agent import Agent
from handfast.core.domain.events import SYSTEM, from_bytes
from handfast.core.domain.events_org import AccessRefused
from handfast.core.domain.installation import Installation
from handfast.engine.kernel import Result, Unit
from handfast.engine.memo import Memo
from handfast.engine.projections import BY_NAME, KINDS, dump, load
from tests.engine_room import RUNNER, Room
from tests.replay import history

LOGS = sorted(history.LOGS.glob("*.jsonl"))
KIND = KINDS[Installation]


def test_what_another_server_wrote_is_read_at_once(rooms: Room, store_url: str) -> None:
    """Also by a command that only reads the state, and so has no guard at its commit."""
    other = open_engine(url=store_url, home=rooms.home, clock=rooms.clock)
    try:
        for n in range(4):
            mine, theirs = (rooms.engine, other) if n % 2 else (other, rooms.engine)
            mine.kernel.state(Agent, rooms.agent_id)
            if n % 2 == 0:
                mine.agents.suspend(SYSTEM, rooms.agent_id, "test")
            else:
                mine.agents.reinstate(rooms.me, rooms.agent_id, "test")

            def look(unit: Unit) -> Result:
                return {"suspended": unit.get(Agent, rooms.agent_id).suspended}

            assert theirs.kernel.run(SYSTEM, look) == {"suspended": n % 2 == 0}
            assert theirs.kernel.state(Agent, rooms.agent_id).suspended is (n % 2 == 0)
    finally:
        other.close()


def test_a_state_just_written_is_not_decoded(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = room.engine.kernel

    def work(unit: Unit) -> Result:
        unit.record(Installation, "1", [AccessRefused("test", "test")])
        return {}

    kernel.run(SYSTEM, work)
    monkeypatch.setattr("handfast.engine.memo.load", None)
    kernel.run(SYSTEM, work)
    assert kernel.state(Installation, "1") is kernel.state(Installation, "1")


def test_a_command_that_was_refused_leaves_no_state_behind(room: Room) -> None:
    kernel = room.engine.kernel
    before = kernel.state(Installation, "1").refusals

    def work(unit: Unit) -> Result:
        unit.record(Installation, "1", [AccessRefused("test", "test")])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kernel.run(RUNNER, work)
    assert kernel.state(Installation, "1").refusals == before


def test_a_document_that_changed_is_decoded_again(room: Room) -> None:
    row = room.engine.kernel.store.load("installation/1")
    assert row is not None
    memo = Memo()
    first = memo.state(KIND, row.stream, row.doc)
    assert memo.state(KIND, row.stream, bytes(bytearray(row.doc))) is first
    changed = json.dumps(json.loads(row.doc) | {"refusals": 99}).encode()
    again = memo.state(KIND, row.stream, changed)
    assert isinstance(again, Installation)
    assert again.refusals == 99
    assert memo.state(KIND, row.stream, row.doc) == first


def test_it_holds_no_more_than_it_may(room: Room) -> None:
    row = room.engine.kernel.store.load("installation/1")
    assert row is not None
    memo = Memo(most_bytes=10 * len(row.doc))
    used = memo.state(KIND, "used", row.doc)
    for n in range(200):
        memo.state(KIND, f"stream/{n}", row.doc)
        assert memo.state(KIND, "used", row.doc) is used, "what is used stays"
        held = sum(len(doc) for part in (memo._new, memo._old) for doc, _ in part.values())
        assert held <= 22 * len(row.doc)


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.stem)
def test_states_are_what_their_documents_mean_and_no_fold_changes_them(log: Path) -> None:
    """So commands may share one, and one that was folded is as good as one that was decoded."""
    states: dict[str, object] = {}
    for data in log.read_bytes().splitlines():
        record = from_bytes(data)
        kind = BY_NAME[record.stream.partition("/")[0]]
        before = states.get(record.stream)
        written = dump(before) if before else b""
        after = kind.evolve(before, record.event, record.at)
        assert before is None or dump(before) == written
        assert load(kind, dump(after)) == after
        states[record.stream] = after
