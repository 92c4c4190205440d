"""Reading every row of a query, however many pages they take."""

import pytest

from handfast.engine.paging import every
from handfast.storage.api import Query
from tests.engine_room import OPERATOR, Room


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 100])
def test_every_row_comes_once_in_its_order(room: Room, limit: int) -> None:
    added = [str(room.engine.agents.add(OPERATOR, f"a{n}", "none")["agent_id"]) for n in range(5)]
    rows = every(room.engine.kernel.store, Query("agent", limit=limit))
    found = [row.agent_id for row in rows if row.agent_id != room.agent_id]
    assert found == added


def test_a_team_is_stopped_however_many_agents_there_are(room: Room) -> None:
    """Its own is behind the first page."""
    for n in range(100):
        room.engine.agents.add(OPERATOR, f"other-{n}", "none")
    late = room.engine.agents.add(OPERATOR, "late", "none", team="payments")["agent_id"]
    assert [a.agent_id for a in room.engine.switch.of_team("payments")] == [late]
