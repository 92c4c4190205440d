"""The relay in a server's process: what arrives, how fast, what happens when it does not."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from handfast.core.domain.errors import InvalidTransition, NotFound
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.inert import inert
from handfast.engine.kernel import Result
from handfast.engine.relay.place import relay_file
from handfast.engine.relay.relay import Relay
from handfast.engine.relay.routing import Delivery, Flow, Routes, Schedule, Segment, Sink, Steps
from tests.relay_room import Receiver, RelayRoom, relay_room, until

SHOWN = inert("no\u202e route")


@pytest.fixture
def rooms(tmp_path: Path, ready_url: str) -> Iterator[RelayRoom]:
    """On each kind of database."""
    with relay_room(tmp_path / "home", ready_url) as made:
        yield made


@pytest.fixture
def room(tmp_path: Path) -> Iterator[RelayRoom]:
    with relay_room(tmp_path / "home", f"sqlite:///{tmp_path / 'home' / 'handfast.db'}") as made:
        yield made


def test_what_is_posted_goes_to_its_receivers_once_with_its_outbox_id(rooms: RelayRoom) -> None:
    one, other = Receiver(), Receiver()
    routes = Routes([one.sink("run.queued"), other.sink("run.*", "other")])
    with rooms.running(routes):
        for number, topic in enumerate(["run.queued", "run.ended", "nobody.listens"]):
            rooms.post(topic, number=number)
        ids = [row.id for row in rooms.engine.kernel.store.outbox(10)]
        until(rooms.delivered, "all is delivered")
    assert one.numbers == [0]
    assert sorted(map(str, other.numbers)) == ["0", "1"]
    assert {d.id for d in other.got} <= set(ids) or not ids
    assert {d.attempt for d in other.got} == {1}
    assert rooms.engine.kernel.store.beats() == {}, "it said goodbye"


def test_a_failed_delivery_is_tried_again_by_itself_and_only_where_it_failed(
    room: RelayRoom, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = Receiver(), Receiver(broken=True)
    with room.running(Routes([good.sink(name="good"), bad.sink(name="bad")])):
        room.post(number=1)
        room.post("t.y", number=2)
        until(lambda: room.rows("waiting") == 1 and bad.at, "it failed, and the other one is gone")
        (row,) = until(
            lambda: [r for r in room.engine.kernel.store.outbox(5) if r.attempts], "it is counted"
        )
        assert (row.done, row.error) == (("good",), f"bad: ConnectionError: {SHOWN}")
        wait = row.not_before - room.clock.now()
        assert timedelta(seconds=0.5) <= wait <= timedelta(seconds=1)
        bad.broken = False
        room.clock.move(1)
        until(room.delivered, "it is delivered")
    assert [d.attempt for d in bad.got] == [2]
    assert len(good.at) == 1, "who has it is not asked again"


def pages(room: RelayRoom) -> list[Result]:
    """The handoffs that wait because of deliveries."""
    return [dict(h) for h in room.engine.views.handoffs().items if h["kind"] == "escalation"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFAST_RELAY_ATTEMPTS", "2")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFAST_RELAY_CONCURRENCY", "2")
    monkeypatch.setenv("HANDFAST_RELAY_TIMEOUT_S", "1")


def test_what_never_arrives_is_given_up_with_one_page_and_comes_back_when_it_is_approved(
    impatient: None, rooms: RelayRoom
) -> None:
    bad = Receiver(broken=True)
    routes = Routes([bad.sink()])
    with rooms.running(routes):
        for number in range(3):
            rooms.post(number=number)

        def given_up() -> bool:
            rooms.clock.move(600)
            time.sleep(0.1)
            return rooms.rows("dead") == 3

        until(given_up, "all are given up")
        types = rooms.types("topic/t.x")
        assert types == ["delivery.dead_lettered"] * 3
        (page,) = pages(rooms)
        assert page["kind"] == "escalation"
        assert "t.x" in str(page["ask"])
        listed = rooms.engine.deliveries.dead()
        assert [d["attempts"] for d in listed] == [2, 2, 2]
        assert SHOWN in str(listed[0]["error"])
        bad.broken = False
        rooms.decide(page["handoff_id"], DecisionKind.APPROVE)
        until(rooms.delivered, "they arrive after all")
    assert sorted(map(str, bad.numbers)) == ["0", "1", "2"]
    assert rooms.types("topic/t.x")[3:] == ["delivery.retried"] * 3
    rooms.check()


def test_a_page_that_cannot_be_announced_makes_no_further_page(
    impatient: None, room: RelayRoom
) -> None:
    bad = Receiver(broken=True)
    with room.running(Routes([bad.sink("handoff.requested")])):
        room.post("handoff.requested", handoff_id="ho_1", number=0)

        def both() -> bool:
            room.clock.move(600)
            time.sleep(0.1)
            return room.rows("dead") == 2

        until(both, "the first, and the announcement of its page")
    events = room.types("topic/handoff.requested")
    assert events == ["delivery.dead_lettered"] * 2
    assert len(pages(room)) == 1


def test_a_dead_delivery_is_retried_by_command_and_by_nothing_else(
    impatient: None, room: RelayRoom
) -> None:
    bad = Receiver(broken=True)
    routes = Routes([bad.sink()])
    room.post(number=0)
    with room.running(routes):

        def given_up() -> bool:
            room.clock.move(600)
            time.sleep(0.1)
            return room.rows("dead") == 1

        until(given_up, "it is given up")
        (listed,) = room.engine.deliveries.dead()
        number = int(str(listed["delivery_id"]))
        with pytest.raises(NotFound):
            room.engine.deliveries.retry(room.me, number + 1000)
        room.post("t.y")
        bad.broken = False
        done = room.engine.deliveries.retry(room.me, number)
        assert (done["topic"], done["attempts"]) == ("t.x", 2)
        until(lambda: bad.got, "it arrives")
    assert [(d.id, d.attempt) for d in bad.got] == [(number, 1)], "attempts are counted anew"
    room.post(number=1)
    waiting = room.engine.kernel.store.outbox(1)[0]
    with pytest.raises(InvalidTransition):
        room.engine.deliveries.retry(room.me, waiting.id)


def test_bounds_of_a_topic_hold(rooms: RelayRoom) -> None:
    few, slow = Receiver(hold_s=0.1), Receiver()
    flows = {
        "t.few": Flow(concurrency=2),
        "t.slow": Flow(starts=3, within_s=1.5),
    }
    with rooms.running(Routes([few.sink("t.few"), slow.sink("t.slow", "slow")], flows=flows)):
        began = time.monotonic()
        for number in range(6):
            rooms.post("t.few", number=number)
            rooms.post("t.slow", number=number)
        until(rooms.delivered, "all is delivered")
    assert few.most <= 2
    assert len(few.at) == len(slow.at) == 6
    # From before the first start: what is started reaches the receiver late on a busy machine.
    assert slow.at[3] - began >= 1.5


def test_the_own_bound_holds_and_what_is_urgent_goes_first(small: None, room: RelayRoom) -> None:
    order: list[str] = []
    inside, most, lock = 0, 0, threading.Lock()

    def work(d: Delivery) -> None:
        nonlocal inside, most
        with lock:
            order.append(d.topic)
            inside += 1
            most = max(most, inside)
        time.sleep(0.05)
        with lock:
            inside -= 1

    for _ in range(4):
        room.post("t.late")
    for _ in range(4):
        room.post("t.urgent")
    sinks = [Sink("late", "t.late", work), Sink("urgent", "t.urgent", work)]
    with room.running(Routes(sinks, flows={"t.urgent": Flow(priority=1)})):
        until(room.delivered, "all is delivered")
    assert sorted(order[:4]) == ["t.urgent"] * 4
    assert most <= 3


def test_a_receiver_that_hangs_is_a_failed_attempt(small: None, room: RelayRoom) -> None:
    never = threading.Event()
    with room.running(Routes([Sink("hangs", "t.x", lambda _: never.wait(60))])):
        room.post()
        (row,) = until(
            lambda: [r for r in room.engine.kernel.store.outbox(1) if r.attempts], "it is counted"
        )
        never.set()
    assert "no answer within 1 s" in row.error


def test_segments_run_step_by_step_and_begin_anew_when_they_raised(room: RelayRoom) -> None:
    ran: list[str] = []
    broken = True

    def segment(d: Delivery, step: Steps) -> None:
        found = step("read", lambda: read(d))
        step("write", lambda: write(found))

    def read(d: Delivery) -> dict[str, object]:
        ran.append("read")
        return {"n": d.payload["number"]}

    def write(found: dict[str, object]) -> None:
        ran.append(f"write {found['n']}")
        if broken:
            raise ConnectionError("later")

    with room.running(Routes(segments=[Segment("pipe", segment)])):
        room.post("segment.pipe", number=7)
        room.post("segment.unknown")
        until(lambda: all(r.attempts for r in room.engine.kernel.store.outbox(5)), "both failed")
        broken = False
        errors = [r.error for r in room.engine.kernel.store.outbox(5)]
        room.clock.move(2)
        until(lambda: len(room.engine.kernel.store.outbox(5)) == 1, "the known one is done")
    assert ran == ["read", "write 7", "read", "write 7"]
    assert errors[0] == "ConnectionError: later"
    assert "no segment of the name `segment.unknown`" in errors[1]


def test_a_schedule_runs_at_its_times_and_one_that_fails_runs_again(rooms: RelayRoom) -> None:
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(time.time())
        if len(ticks) == 1:
            raise ConnectionError("not now")

    began = time.time()
    with rooms.running(Routes(schedules=[Schedule("tick", tick, every_s=1)])):
        until(lambda: len(ticks) >= 3, "it ran three times")
    # Late they may come together, because they wait in a queue; none comes before its second.
    assert ticks[2] - began >= 2.0
    with rooms.running(Routes()):
        seen = len(ticks)
        time.sleep(1.2)
    assert len(ticks) == seen, "a schedule that is gone runs no more"


def test_what_the_engine_forgot_is_handed_over_again(room: RelayRoom) -> None:
    """Its tables are lost, with a restored backup for example: the outbox is the truth."""
    first = Receiver()
    with room.running(Routes([first.sink()])):
        room.post(number=1)
        until(room.delivered, "it is delivered")
    room.post(number=2)
    room.engine.kernel.store.outbox_handed(room.engine.kernel.store.outbox(1))
    place = relay_file(room.engine.database)
    for file in place.parent.glob(f"{place.name}*"):
        file.unlink()
    with room.running(Routes([first.sink()])):
        until(lambda: room.rows("waiting"), "nobody has it")
        room.clock.move(2)
        until(room.delivered, "it is delivered")
    assert first.numbers == [1, 2]


def test_what_is_delivered_twice_or_out_of_order_does_no_harm(room: RelayRoom) -> None:
    """The announcer looks at the handoff as it is now; a page's retry finds nothing left to do."""
    from handfast.server.announce import announcer

    said: list[str] = []
    sink = announcer(room.engine, "http://x", said.append)
    handoff = str(room.propose("t1", "git push")["handoff_id"])
    requested = Delivery(1, "handoff.requested", {"handoff_id": handoff}, 1)
    sink.work(requested)
    assert len(said) == 1
    room.decide(handoff)
    sink.work(requested)
    assert len(said) == 1, "it waits no more"
    assert room.engine.deliveries.answered(handoff) == 0
    assert room.engine.deliveries.answered("ho_unknown") == 0


def test_a_process_has_one_relay(room: RelayRoom, caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver()
    with room.running(Routes([receiver.sink()])):
        second = Relay(room.engine.kernel, room.engine.deliveries, room.engine.database, Routes())
        second.start()
        second.begin()
        until(lambda: "runs a relay already" in caplog.text, "it says so")
        second.stop()
        room.post(number=1)
        until(room.delivered, "the first one goes on")
    assert receiver.numbers == [1]


def test_the_engines_file_is_in_wal_and_holds_neither_payload_nor_pickle(room: RelayRoom) -> None:
    receiver = Receiver()
    with room.running(Routes([receiver.sink()])):
        room.post(number=1, secret="not-to-be-copied")
        until(room.delivered, "it is delivered")
    with closing(sqlite3.connect(relay_file(room.engine.database))) as c:
        assert c.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        dump = "\n".join(c.iterdump())
    assert "not-to-be-copied" not in dump
    assert "py_pickle" not in dump
    assert "handfast_json" in dump


@pytest.mark.postgres
def test_a_role_that_may_not_make_databases_is_enough(pg_database: str, tmp_path: Path) -> None:
    name = psycopg.conninfo.conninfo_to_dict(pg_database)["dbname"]
    role = f"plain_{name}"
    with psycopg.connect(pg_database, autocommit=True) as c:
        c.execute(sql.SQL("CREATE ROLE {} LOGIN NOCREATEDB").format(sql.Identifier(role)))
        c.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(
                sql.Identifier(str(name)), sql.Identifier(role)
            )
        )
    url = pg_database.replace("postgres@", f"{role}@")
    receiver = Receiver()
    with relay_room(tmp_path / "home", url) as room, room.running(Routes([receiver.sink()])):
        room.post(number=1)
        until(room.delivered, "it is delivered")
    assert receiver.numbers == [1]
    with psycopg.connect(pg_database, autocommit=True) as c:
        owned = "SELECT count(*) FROM pg_tables WHERE schemaname = 'handfast_relay'"
        assert c.execute(owned).fetchone() != (0,)
        c.execute(sql.SQL("REASSIGN OWNED BY {} TO postgres").format(sql.Identifier(role)))
        c.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.mark.postgres
def test_a_database_that_drops_every_connection_loses_no_delivery(
    pg_database: str, tmp_path: Path
) -> None:
    receiver = Receiver(hold_s=0.5)
    cut = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with (
        relay_room(tmp_path / "home", pg_database) as room,
        room.running(Routes([receiver.sink()])),
    ):
        room.post(number=1)
        until(lambda: receiver.at, "it is under way")
        with psycopg.connect(pg_database, autocommit=True) as c:
            assert c.execute(cut).fetchone() != (0,)
        room.post(number=2)
        until(room.delivered, "both are delivered")
    assert set(map(str, receiver.numbers)) == {"1", "2"}
