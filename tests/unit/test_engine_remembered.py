"""States taken from memory: never an answer that what is stored does not bear out.

A second engine on the same database stands for another server: it changes what the first remembers.
"""

from collections.abc import Iterator
from contextlib import closing

import pytest

from handfast.app import open_engine
from handfast.core.domain.agent import Agent
from handfast.core.domain.errors import InvalidTransition, StorageError
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.events_org import AccessRefused
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.engine.facade import Engine
from handfast.engine.kernel import Result, Unit
from handfast.storage.api import StateRow, WriteSet
from tests.engine_room import Room

REFUSED = AccessRefused("test", "test")


@pytest.fixture
def elsewhere(room: Room) -> Iterator[Engine]:
    with closing(open_engine(home=room.home, clock=room.clock)) as engine:
        yield engine


def _suspended(room: Room, seen: list[bool], *, write: bool, refuse: bool = False) -> Result:
    def work(unit: Unit) -> Result:
        seen.append(unit.get(Agent, room.agent_id).suspended)
        if write:
            unit.record(Installation, INSTALLATION_ID, [REFUSED])
        if refuse and not seen[-1]:
            raise InvalidTransition("only a suspended one")
        return {"suspended": seen[-1]}

    return room.engine.kernel.run(SYSTEM, work)


@pytest.mark.parametrize(("write", "refuse"), [(True, False), (False, False), (False, True)])
def test_what_another_server_changed_is_noticed(
    room: Room, elsewhere: Engine, write: bool, refuse: bool
) -> None:
    assert _suspended(room, [], write=True) == {"suspended": False}
    elsewhere.agents.suspend(SYSTEM, room.agent_id, "meanwhile")
    seen: list[bool] = []
    assert _suspended(room, seen, write=write, refuse=refuse) == {"suspended": True}
    assert seen == [False, True], "the first look was not from memory"


def test_a_refusal_rests_on_what_is_stored(room: Room) -> None:
    assert _suspended(room, [], write=True) == {"suspended": False}
    seen: list[bool] = []
    with pytest.raises(InvalidTransition):
        _suspended(room, seen, write=False, refuse=True)
    assert seen == [False, False]


def test_unchanged_states_are_read_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        _suspended(room, [], write=True)
    read: list[str] = []
    load = room.engine.kernel.store.load

    def noted(stream: str) -> StateRow | None:
        read.append(stream)
        return load(stream)

    monkeypatch.setattr(room.engine.kernel.store, "load", noted)
    seen: list[bool] = []
    _suspended(room, seen, write=True)
    assert (read, seen) == ([], [False])


def test_a_database_that_failed_is_read_again(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    _suspended(room, [], write=True)
    store = room.engine.kernel.store
    commit = store.commit
    failed: list[WriteSet] = []

    def once(write: WriteSet) -> object:
        if not failed:
            failed.append(write)
            raise StorageError("gone")
        return commit(write)

    monkeypatch.setattr(store, "commit", once)
    with pytest.raises(StorageError):
        _suspended(room, [], write=True)
    assert room.engine.kernel.remembered.get(f"agent/{room.agent_id}") is None
    assert _suspended(room, [], write=True) == {"suspended": False}
