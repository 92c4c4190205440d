"""People: the one-time link, signing in and out, PINs, lock-out."""

from typing import cast

import pytest

from handfast.app import open_engine
from handfast.core.domain.errors import (
    InvalidTransition,
    LimitExceeded,
    NotPermitted,
    RejectedError,
    UsageError,
)
from handfast.core.domain.installation import Installation
from handfast.engine.facade import Engine
from handfast.engine.people import NewPerson
from handfast.engine.tries import IN_ALL, TRIES
from handfast.testing.clock import FrozenClock
from tests.engine_room import PASSWORD, PIN, Room, parallel

ANA = NewPerson("Ana", "ana", PASSWORD, PIN)


@pytest.fixture
def empty(tmp_path: object, quick_hashes: None) -> Engine:
    """Nobody is set up yet."""
    from pathlib import Path

    assert isinstance(tmp_path, Path)
    return open_engine(home=tmp_path / "home", clock=FrozenClock())


def _clock(engine: Engine) -> FrozenClock:
    return cast("FrozenClock", engine.kernel.clock)


def test_a_link_sets_up_one_person_once(empty: Engine) -> None:
    link = empty.people.invite()
    empty.people.check_invitation(link)
    person_id = empty.people.set_up(link, ANA)["person_id"]
    assert empty.people.with_pin("ana", PIN).id == person_id
    for again in (ANA, NewPerson("Bo", "bo", PASSWORD, PIN)):
        with pytest.raises(NotPermitted, match="not valid any more"):
            empty.people.set_up(link, again)
    with pytest.raises(InvalidTransition):
        empty.people.invite()
    empty.close()


def test_many_who_use_the_link_at_once_are_one_person(empty: Engine) -> None:
    link = empty.people.invite()

    def work(n: int) -> object:
        try:
            return empty.people.set_up(link, NewPerson(f"P{n}", f"p{n}", PASSWORD, PIN))[
                "person_id"
            ]
        except RejectedError:
            return None

    made = [p for p in parallel(work) if p is not None]
    assert len(set(made)) == 1
    people = [e for e in empty.kernel.store.scan() if e.type == "person.added"]
    assert len(people) == 1
    empty.close()


def test_a_link_ends_after_a_day_or_with_the_next_one(empty: Engine) -> None:
    first = empty.people.invite()
    second = empty.people.invite()
    with pytest.raises(NotPermitted):
        empty.people.set_up(first, ANA)
    _clock(empty).move(24 * 3600)
    with pytest.raises(NotPermitted):
        empty.people.set_up(second, ANA)
    for wrong in ("", "x", second + "x"):
        with pytest.raises(NotPermitted):
            empty.people.check_invitation(wrong)
    empty.close()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\x1b[31m"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"login": "a b"}, "login"),
        ({"login": ""}, "login"),
        ({"login": "\u00e4"}, "login"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 1001}, "password"),
        ({"pin": "12345"}, "pin"),
        ({"pin": "12345a"}, "pin"),
        ({"pin": "\u0661\u0662\u0663\u0664\u0665\u0666"}, "pin"),
    ],
)
def test_a_person_that_cannot_be_is_refused_by_field(
    empty: Engine, change: dict[str, str], field: str
) -> None:
    given = {"name": "Ana", "login": "ana", "password": PASSWORD, "pin": PIN} | change
    link = empty.people.invite()
    with pytest.raises(UsageError, match=f"`{field}`"):
        empty.people.set_up(link, NewPerson(**given))
    empty.people.check_invitation(link)
    empty.close()


def test_sessions_begin_end_and_run_out(room: Room) -> None:
    people = room.engine.people
    opened = people.sign_in("ANA", PASSWORD)
    assert people.of_session(opened.secret) == opened.person_id == room.me.id
    assert people.of_session(opened.secret + "x") == ""
    assert people.of_session("") == ""
    people.sign_out(opened.secret)
    people.sign_out(opened.secret)
    assert people.of_session(opened.secret) == ""
    assert room.types().count("person.signed_out") == 1
    other = people.sign_in("ana", PASSWORD)
    room.clock.move(12 * 3600)
    assert people.of_session(other.secret) == ""


def test_secrets_are_nowhere_in_the_log_or_in_the_files(room: Room) -> None:
    opened = room.engine.people.sign_in("ana", PASSWORD)
    told = b"".join(row.data for row in room.engine.kernel.store.scan())
    files = b"".join(p.read_bytes() for p in room.home.glob("handfast.db*"))
    for secret in (PASSWORD, PIN, opened.secret, "Ana"):
        assert secret.encode() not in told
        if secret != "Ana":
            assert secret.encode() not in files


@pytest.mark.parametrize("login", ["ana", "nobody"])
def test_wrong_pins_lock_whether_or_not_there_is_such_a_person(room: Room, login: str) -> None:
    for _ in range(TRIES):
        with pytest.raises(NotPermitted) as caught:
            room.engine.people.with_pin(login, "000000")
        assert caught.value.code == "wrong_secret"
    with pytest.raises(LimitExceeded):
        room.engine.people.with_pin(login, PIN)
    with pytest.raises(NotPermitted):  # the password is counted by itself
        room.engine.people.sign_in(login, "not the password")
    assert room.engine.kernel.state(Installation, "1").refusals == TRIES + 1
    room.clock.move(15 * 60)
    if login == "ana":
        assert room.engine.people.with_pin("ana", PIN).auth == "pin"


def test_a_stranger_who_guesses_locks_nobody_else(room: Room) -> None:
    people = room.engine.people
    for _ in range(TRIES):
        with pytest.raises(NotPermitted):
            people.sign_in("ana", "not the password", "192.0.2.1")
    with pytest.raises(LimitExceeded):
        people.sign_in("ana", PASSWORD, "192.0.2.1")
    assert people.sign_in("ana", PASSWORD, "192.0.2.2").person_id == room.me.id
    assert people.with_pin("ana", PIN).id == room.me.id
    people.verify(room.me.id, "password", PASSWORD)
    with pytest.raises(LimitExceeded):  # the right one from elsewhere frees the stranger of nothing
        people.sign_in("ana", PASSWORD, "192.0.2.1")


def test_guesses_from_many_places_have_a_ceiling(room: Room) -> None:
    people = room.engine.people
    assert people.sign_in("ana", PASSWORD, "home").person_id
    for n in range(IN_ALL):
        with pytest.raises(NotPermitted):
            people.sign_in("ana", "not the password", f"place {n // TRIES}")
    with pytest.raises(LimitExceeded, match="an hour"):
        people.sign_in("ana", PASSWORD, "home")
    assert people.with_pin("ana", PIN).id == room.me.id
    room.clock.move(3600)
    assert people.sign_in("ana", PASSWORD, "home").person_id


def test_a_right_pin_forgets_the_wrong_ones(room: Room) -> None:
    for _ in range(3):
        for _ in range(TRIES - 1):
            with pytest.raises(NotPermitted):
                room.engine.people.with_pin("ana", "000000")
        room.engine.people.with_pin("ana", PIN)


def test_guessing_at_once_is_not_more_guesses(room: Room) -> None:
    def work(n: int) -> str:
        try:
            room.engine.people.with_pin("ana", f"{n:06}")
        except NotPermitted:
            return "looked at"
        except LimitExceeded:
            return "locked"
        return "in"

    assert sorted(parallel(work, 12)) == ["locked"] * (12 - TRIES) + ["looked at"] * TRIES


def test_invented_logins_do_not_fill_the_memory(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    from handfast.engine import tries

    assert tries.REMEMBERED <= 100_000
    monkeypatch.setattr(tries, "REMEMBERED", 10)
    for n in range(30):
        with pytest.raises(NotPermitted):
            room.engine.people.with_pin(f"invented{n}", "000000")
    assert len(room.engine.people.tries) <= 10


@pytest.mark.parametrize("text", ["\0", "\ud800", "x" * 100_000, ""])
def test_any_text_is_a_wrong_secret_and_nothing_worse(room: Room, text: str) -> None:
    people = room.engine.people
    assert people.of_session(text) == ""
    for login, secret in ((text, PIN), ("ana", text)):
        with pytest.raises(NotPermitted):
            people.with_pin(login, secret)


def test_an_erased_person_is_a_former_member(room: Room) -> None:
    from handfast.core.domain.person import Person

    assert room.engine.people.name(room.me.id) == "Ana"
    body = room.engine.kernel.state(Person, room.me.id).name.body_id
    room.engine.audit.erase(room.me, body, "left")
    assert room.engine.people.name(room.me.id) == "a former member"
    assert room.engine.people.name("pe_none") == "pe_none"
