"""A state that is read is the one that is stored, whoever wrote it; and states may be shared."""

from pathlib import Path

import pytest

from handfast.app import open_engine
from handfast.core.domain.agent import Agent
from handfast.core.domain.events import SYSTEM, from_bytes
from handfast.engine.kernel import Result, Unit
from handfast.engine.projections import BY_NAME, dump, load
from tests.engine_room import Room
from tests.replay import history

LOGS = sorted(history.LOGS.glob("*.jsonl"))


def test_what_another_server_wrote_is_read_at_once(rooms: Room, ready_url: str) -> None:
    """Also by a command that only reads the state, and so has no guard at its commit."""
    other = open_engine(url=ready_url, home=rooms.home, clock=rooms.clock)
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
