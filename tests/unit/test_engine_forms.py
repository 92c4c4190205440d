"""A call is found again by its form, however many others its run was asked about, and in a database of
before."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from handfast.core.domain.action import Call, Operand
from handfast.core.domain.handoff import Status
from handfast.engine.kernel import Result
from handfast.engine.staleness import form_of
from handfast.storage.api import Query, StateRow
from handfast.storage.sql.connect import open_database
from handfast.storage.sql.migrate import upgrade
from tests.engine_room import Furnished, Room
from tests.old_database import make, plain

SCRIPT = Call("Bash", {"command": "bash x.sh"}, operands=(Operand("x.sh", "sha256:1"),))
CHANGED = replace(SCRIPT, operands=(Operand("x.sh", "sha256:2"),))


@pytest.fixture
def room(tmp_path: Path, furnished: Furnished) -> Iterator[Room]:
    with furnished.copied(tmp_path) as made:
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


def test_handoffs_of_an_older_database_are_found_by_their_form(store_url: str) -> None:
    """The column is as the fold of this version makes it, and was by the whole digest before."""
    make(store_url)
    query = "SELECT stream, \"match\", doc FROM state WHERE kind = 'handoff' ORDER BY stream"
    mark = "?" if store_url.startswith("sqlite") else "%s"
    update = f'UPDATE state SET "match" = {mark} WHERE stream = {mark}'  # noqa: S608 - constants
    with plain(store_url) as c:
        folded = {row[0]: row[1] for row in c.execute(query).fetchall()}
        formed = {
            stream: match
            for stream, match, doc in c.execute(query).fetchall()
            if "form_digest" in json.loads(bytes(doc)) and match != "override-review"
        }
        assert len(formed) > 5
        for stream in formed:
            c.execute(update, ("run_1|sha256:of-the-whole-call", stream))
    upgrade(open_database(store_url))
    with plain(store_url) as c:
        assert {row[0]: row[1] for row in c.execute(query).fetchall()} == folded


def test_the_form_of_a_call_without_operands_is_the_call() -> None:
    plain = Call("Bash", {"command": "ls"})
    assert form_of(plain, plain.digest) == plain.digest
    assert form_of(SCRIPT, SCRIPT.digest) == form_of(CHANGED, CHANGED.digest) == replace(SCRIPT, operands=()).digest  # fmt: skip
