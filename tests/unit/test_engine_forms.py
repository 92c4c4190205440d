"""A call is found again by its form, however many others its run was asked about, and in a database of
before."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from handfast.app import open_engine
from handfast.core.domain.action import Call, Operand
from handfast.core.domain.handoff import Status
from handfast.engine.kernel import Result
from handfast.engine.staleness import form_of
from handfast.storage.api import Query, StateRow
from tests.engine_room import Room, opened

SCRIPT = Call("Bash", {"command": "bash x.sh"}, operands=(Operand("x.sh", "sha256:1"),))
CHANGED = replace(SCRIPT, operands=(Operand("x.sh", "sha256:2"),))


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with opened(tmp_path) as made:
        yield made


def asked(room: Room, key: str, call: Call) -> Result:
    return room.propose(key, "", call=call)


def test_what_was_asked_does_not_grow_with_the_runs_handoffs(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(30):
        assert room.propose(f"k{n}", f"git push {n}")["verdict"] == "wait"
    read: list[StateRow] = []
    find = room.engine.kernel.store.find

    def counted(query: Query) -> list[StateRow]:
        rows = find(query)
        read.extend(row for row in rows if row.kind == "handoff")
        return rows

    monkeypatch.setattr(room.engine.kernel.store, "find", counted)
    assert room.propose("new", "git push new")["verdict"] == "wait"
    assert read == []
    assert room.propose("again", "git push 3")["verdict"] == "wait"
    assert len(read) == 1


def test_of_many_forms_the_equal_one_decides_and_the_newest_is_shown_beside(room: Room) -> None:
    first = asked(room, "a", SCRIPT)
    second = asked(room, "b", CHANGED)
    assert room.handoff(first["handoff_id"]).status is Status.SUPERSEDED
    assert asked(room, "c", CHANGED)["handoff_id"] == second["handoff_id"]
    room.decide(second["handoff_id"])
    third = asked(room, "d", SCRIPT)
    assert third["verdict"] == "wait"
    package = room.engine.views.handoff(str(third["handoff_id"]))["package"]
    assert package["changed"]["handoff_id"] == second["handoff_id"]  # type: ignore[index]  # JSON


def test_handoffs_of_an_older_database_are_found_by_their_form(
    tmp_path: Path, store_url: str
) -> None:
    with opened(tmp_path, store_url) as room:
        first = asked(room, "a", SCRIPT)
        plain = room.propose("p", "git push")
    database = sa.create_engine(store_url.replace("postgresql://", "postgresql+psycopg://"))
    with database.begin() as c:
        for found, digest in (
            (first, SCRIPT.digest),
            (plain, Call("Bash", {"command": "git push"}).digest),
        ):
            c.execute(
                sa.text('UPDATE state SET "match" = :m WHERE stream = :s'),
                {"m": f"{room.run_id}|{digest}", "s": f"handoff/{found['handoff_id']}"},
            )
        c.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    database.dispose()
    engine = open_engine(store_url, tmp_path, room.clock)
    try:
        room = replace(room, engine=engine)
        again = room.propose("p2", "git push")
        assert again["handoff_id"] == plain["handoff_id"]
        second = asked(room, "b", CHANGED)
        assert room.handoff(first["handoff_id"]).status is Status.SUPERSEDED
        assert second["verdict"] == "wait"
        room.check()
    finally:
        engine.close()


def test_the_form_of_a_call_without_operands_is_the_call() -> None:
    plain = Call("Bash", {"command": "ls"})
    assert form_of(plain, plain.digest) == plain.digest
    assert form_of(SCRIPT, SCRIPT.digest) == form_of(CHANGED, CHANGED.digest) == replace(SCRIPT, operands=()).digest  # fmt: skip
