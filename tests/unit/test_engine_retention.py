"""What is kept and for how long: erasure on request, legal holds, retention by kind of body."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from starlette.requests import Request

from handfast.core.audit.bundle import verify_bundle
from handfast.core.audit.note import parse_verifier_key
from handfast.core.audit.report import Report
from handfast.core.domain.body_kinds import body_ids
from handfast.core.domain.errors import InvalidTransition, NotPermitted, UsageError
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_work import RunOutcome
from handfast.core.domain.run import Run
from handfast.engine.actions import StepResult
from handfast.engine.bundle_file import ZipBundle
from handfast.engine.keys import ed25519_verify
from handfast.engine.retention import Retain, Retention
from handfast.engine.runs import Pause
from handfast.server.pages.cases import show_case
from handfast.server.pages.reader import Reader
from handfast.server.pages.runs import show_run
from handfast.server.presence import Presence
from tests.engine_room import OPERATOR, RUNNER, Room

DAY_S = 86_400


def _run(room: Room) -> tuple[str, str]:
    """A run of a task with three steps, one of them handed over, and a session. Gives task and run."""
    run_id = room.queued_run()
    leased = room.engine.runs.lease(RUNNER, "runner-1", "host")
    assert leased is not None
    assert leased.run_id == run_id
    for key in ("a", "b"):
        room.propose(key, f"make {key}", (), run_id=run_id)
        room.engine.actions.record_result(RUNNER, StepResult(run_id, key, 0, output=f"made {key}"))
    asked = room.propose("push", "git push", run_id=run_id)["handoff_id"]
    pause = Pause("refs/x/1", "c" * 40, b'{"session": "the session"}', (cast("str", asked),))
    room.engine.runs.paused(RUNNER, run_id, leased.epoch, pause)
    return leased.task_id, run_id


def _end(room: Room, run_id: str) -> None:
    for h in room.engine.views.handoffs(run_id=run_id).items:
        room.decide(h["handoff_id"], DecisionKind.REJECT)
    room.engine.runs.ended(OPERATOR, run_id, None, RunOutcome.FAILED)


def _bodies(room: Room, *streams: str) -> set[str]:
    """Ids of the bodies that these streams name, or all streams."""
    store = room.engine.kernel.store
    return {
        body_id
        for row in store.scan()
        if not streams or row.stream in streams
        for body_id in body_ids(json.loads(row.data)["data"])
    }


def _there(room: Room, *streams: str) -> set[str]:
    return set(room.engine.kernel.store.keeping.sizes(sorted(_bodies(room, *streams))))


def _verified(room: Room) -> Report:
    path = room.home / "out.hfbundle"
    room.engine.audit.export(OPERATOR, path, bodies=True)
    key = parse_verifier_key(room.engine.audit.verifier)
    with ZipBundle(path) as bundle:
        return verify_bundle(bundle, [key], [room.engine.audit.head()], ed25519_verify)


# -- on request


def test_a_task_is_erased_by_kind_and_the_log_still_proves_itself(rooms: Room) -> None:
    task_id, run_id = _run(rooms)
    _end(rooms, run_id)
    of_task = {f"task/{task_id}", f"run/{run_id}"}
    others = _there(rooms) - _there(rooms, *of_task)
    before = {k["kind"]: k["bodies"] for k in rooms.engine.erasure.standing(task_id)["kinds"]}  # type: ignore[attr-defined]
    assert before["sessions"] == 1
    assert min(before.values()) >= 1
    done = rooms.engine.erasure.erase(rooms.me, task_id, "a request of 3 March", ["sessions"])
    assert (done["bodies"], done["scrubbed"]) == (1, True)
    rest = rooms.engine.erasure.erase(rooms.me, task_id, "all of it")
    assert rest["bodies"] == sum(before.values()) - 1
    assert _there(rooms, *of_task) == set()
    assert others - _there(rooms)  # its handoffs' bodies
    assert rooms.engine.erasure.erase(rooms.me, task_id, "again")["bodies"] == 0
    report = _verified(rooms)
    assert report.ok, report.lines()
    assert [(e.by, e.why, e.bodies) for e in report.erasures] == [
        (f"person {rooms.me.id}", "a request of 3 March", 1),
        (f"person {rooms.me.id}", "all of it", rest["bodies"]),
    ]
    said = "\n".join(report.lines())
    assert f"1 body, by person {rooms.me.id} in the entry at position" in said
    assert "a request of 3 March" in said


def test_what_was_erased_is_shown_as_erased(room: Room) -> None:
    task_id, run_id = _run(room)
    handoff_id = cast("str", room.engine.views.handoffs(run_id=run_id).items[0]["handoff_id"])
    _end(room, run_id)
    room.engine.erasure.erase(room.me, task_id, "asked for")
    views = room.engine.views
    assert views.handoff(handoff_id)["ask"] == "(erased)"
    assert views.task(task_id)["brief"]["intent"] == "(erased)"  # type: ignore[index]
    steps = cast("list[dict[str, object]]", views.steps(run_id)["items"])
    assert {s["summary"] for s in steps} == {"(erased)"}
    assert views.run(run_id)["command"] is None
    assert views.timeline(f"handoff/{handoff_id}")
    reader = Reader(room.engine, room.me.id, "secret")
    app = SimpleNamespace(state=SimpleNamespace(presence=Presence()))
    request = Request({"type": "http", "app": app})
    for shown in (show_case(request, reader, handoff_id), show_run(reader, run_id)):
        assert shown.status_code == 200
        assert b"(erased)" in shown.body


@pytest.mark.parametrize("left", ["handoff", "run"])
def test_nothing_is_erased_that_somebody_still_needs(room: Room, left: str) -> None:
    task_id, run_id = _run(room)
    if left == "run":
        for h in room.engine.views.handoffs(run_id=run_id).items:
            room.decide(h["handoff_id"], DecisionKind.REJECT)
    there = _there(room)
    with pytest.raises(InvalidTransition, match=f"{left} `") as caught:
        room.engine.erasure.erase(room.me, task_id, "now")
    assert caught.value.code == "still_open"
    assert _there(room) == there
    assert "bodies.erased" not in room.types()


def test_a_legal_hold_is_stronger_than_any_erasure(room: Room) -> None:
    task_id, run_id = _run(room)
    _end(room, run_id)
    there = _there(room)
    room.engine.erasure.hold(room.me, task_id, "case 12/2026")
    room.engine.erasure.hold(room.me, task_id, "again")
    assert room.types().count("task.held") == 1
    assert room.engine.erasure.standing(task_id)["hold"]["reason"] == "case 12/2026"  # type: ignore[index]
    with pytest.raises(InvalidTransition) as caught:
        room.engine.erasure.erase(room.me, task_id, "now")
    assert caught.value.code == "legal_hold"
    brief = next(iter(_bodies(room, f"run/{run_id}")))
    with pytest.raises(InvalidTransition, match=task_id):
        room.engine.audit.erase(room.me, brief, "one only")
    room.clock.move(400 * DAY_S)
    assert Retention(room.engine.kernel, Retain(1, 1, 1)).run() == 0
    assert there <= _there(room)
    room.engine.erasure.release(room.me, task_id, "closed")
    assert room.engine.erasure.standing(task_id)["hold"] is None
    assert room.engine.erasure.erase(room.me, task_id, "now")["bodies"]


def test_it_takes_an_operator_or_admin_and_a_reason(room: Room) -> None:
    task_id, run_id = _run(room)
    _end(room, run_id)
    reviewer = room.another("rita")
    erasure = room.engine.erasure
    for actor in (reviewer, OPERATOR, RUNNER):
        with pytest.raises(NotPermitted):
            erasure.erase(actor, task_id, "x")
        with pytest.raises(NotPermitted):
            erasure.hold(actor, task_id, "x")
        with pytest.raises(NotPermitted):
            room.engine.audit.erase(actor, next(iter(_there(room))), "x")
    for reason in ("", "  ", "x" * 201):
        with pytest.raises(UsageError, match="reason"):
            erasure.erase(room.me, task_id, reason)
    with pytest.raises(UsageError, match="kinds"):
        erasure.erase(room.me, task_id, "x", ["everything"])
    operator = room.another("olga", ("operator",))
    assert erasure.erase(operator, task_id, "x")["bodies"]


def test_the_bytes_are_gone_from_the_files_of_the_database(room: Room) -> None:
    """The sealed content and the salt of every body, in the database and in its write-ahead log."""
    task_id, run_id = _run(room)
    _end(room, run_id)
    store = room.engine.kernel.store
    sealed = store.bodies(sorted(_there(room, f"run/{run_id}", f"task/{task_id}")))
    secrets = [part for body in sealed.values() for part in (body.ciphertext, body.salt)]
    assert len(secrets) >= 16

    def found() -> int:
        files = b"".join(p.read_bytes() for p in sorted(Path(room.home).glob("handfast.db*")))
        return sum(secret in files for secret in secrets)

    assert found() == len(secrets)
    room.engine.erasure.erase(room.me, task_id, "asked for")
    assert found() == 0


# -- retention


def _retention(room: Room, **days: int) -> Retention:
    return Retention(room.engine.kernel, Retain(**days))


def test_each_kind_is_kept_for_its_own_time(rooms: Room) -> None:
    _, run_id = _run(rooms)
    handoff_id = cast("str", rooms.engine.views.handoffs(run_id=run_id).items[0]["handoff_id"])
    _end(rooms, run_id)
    retention = _retention(rooms, steps_days=10, packages_days=20, sessions_days=5)
    run, handoff = f"run/{run_id}", f"handoff/{handoff_id}"
    session = rooms.engine.kernel.state(Run, run_id).session
    assert session is not None
    assert retention.run() == 0
    rooms.clock.move(6 * DAY_S)
    assert retention.run() == 1
    assert session.body_id not in _there(rooms)
    rooms.clock.move(5 * DAY_S)
    shown = _bodies(rooms, handoff)
    assert retention.run() > 4
    # What the handoff shows is kept with it, the call itself too, which is a body of the step as well.
    assert shown <= _there(rooms)
    left = _there(rooms, run) - shown
    command = rooms.engine.kernel.state(Run, run_id).command
    assert command is not None
    assert left == {command.body_id}
    rooms.clock.move(10 * DAY_S)
    assert retention.run() > 1
    reasons = _there(rooms, handoff)
    assert len(reasons) == 1  # what the person said
    assert retention.run() == 0
    erased = [
        json.loads(r.data) for r in rooms.engine.kernel.store.scan() if r.type == "bodies.erased"
    ]
    assert [(e["data"]["kind"], e["data"]["reason"]) for e in erased] == [
        ("sessions", "sessions are kept for 5 days"),
        ("steps", "steps are kept for 10 days"),
        ("packages", "packages are kept for 20 days"),
    ]
    assert {e["actor"]["type"] for e in erased} == {"system"}
    report = _verified(rooms)
    assert report.ok, report.lines()
    assert report.erasures[0].why == "sessions are kept for 5 days"


def test_what_an_open_handoff_shows_is_kept_until_it_is_over(room: Room) -> None:
    _, run_id = _run(room)
    _, other = _run(room)
    _end(room, other)
    retention = _retention(room, steps_days=1, packages_days=1, sessions_days=1)
    there = _there(room, f"run/{run_id}")
    room.clock.move(1.1 * DAY_S)  # nobody has swept: the question still waits
    assert retention.run() > 0
    assert _there(room, f"run/{run_id}") == there
    assert len(_there(room, f"run/{other}")) == 1  # its command line
    _end(room, run_id)
    assert retention.run() > 0
    assert len(_there(room, f"run/{run_id}")) == 1


def test_an_ordered_run_that_waits_to_go_on_keeps_its_session(room: Room) -> None:
    _, run_id = _run(room)
    for h in room.engine.views.handoffs(run_id=run_id).items:
        room.decide(h["handoff_id"], DecisionKind.REJECT)
    assert room.engine.kernel.state(Run, run_id).status.value == "ready"
    there = _there(room, f"run/{run_id}")
    room.clock.move(90 * DAY_S)
    assert _retention(room, steps_days=1, sessions_days=1).run() == 0
    assert _there(room, f"run/{run_id}") == there


def test_a_session_that_never_ends_loses_what_is_old_and_keeps_what_is_new(room: Room) -> None:
    retention = _retention(room, steps_days=10)
    erased = []
    for key in ("first", "second", "third"):
        room.propose(key, f"make {key}", ())
        retention.run()
        room.clock.move(6 * DAY_S)
        retention.run()
        steps = cast("list[dict[str, object]]", room.engine.views.steps(room.run_id)["items"])
        erased.append([s["summary"] == "(erased)" for s in steps])
    assert erased == [[False], [True, False], [True, True, False]]
    room.clock.move(30 * DAY_S)
    assert retention.run() > 0
    assert retention.run() == 0


def test_a_long_stream_is_erased_in_batches_and_goes_on_where_it_stopped(room: Room) -> None:
    """One batch a round, as when the process is killed after it."""
    for n in range(280):  # below what a run may do before it is handed over
        room.propose(f"k{n}", f"make {n}", ())
        if n % 2:
            room.engine.actions.record_result(
                RUNNER, StepResult(room.run_id, f"k{n}", 0, output="x")
            )
    room.clock.move(2 * DAY_S)
    retention = _retention(room, steps_days=1)
    total = len(_there(room, f"run/{room.run_id}"))
    assert total > 600
    counts = []
    while erased := retention.run(batches=1):
        counts.append(erased)
    assert sum(counts) == total
    assert max(counts) <= 500
    assert room.types().count("bodies.erased") == len(counts)
    assert _there(room, f"run/{room.run_id}") == set()


def test_one_server_at_a_time_does_it(room: Room) -> None:
    room.propose("k", "make", ())
    room.clock.move(2 * DAY_S)
    first, second = _retention(room, steps_days=1), _retention(room, steps_days=1)
    assert first.run(batches=1) > 0
    room.propose("later", "make later", ())
    room.clock.move(100)
    assert second.run() == 0  # the first one's lease
    room.clock.move(2 * DAY_S)
    assert second.run() > 0
    assert first.run() == 0


def test_without_a_setting_nothing_is_even_looked_at(room: Room) -> None:
    room.propose("k", "make", ())
    room.clock.move(4_000 * DAY_S)
    assert not room.engine.retention.on
    assert room.engine.retention.run() == 0
    assert room.engine.kernel.store.keeping.followed() == 0
    assert room.engine.kernel.store.lease("retention") is None


def test_settings_of_retention() -> None:
    read = Retain.from_environment
    assert read({}) == Retain()
    assert read({"HANDFAST_RETAIN_STEPS_DAYS": "30"}) == Retain(steps_days=30)
    assert not read({"HANDFAST_RETAIN_PACKAGES_DAYS": "0"}).any
    for wrong in ("-1", "x", "1.5", "", "\u0663", "99999"):
        with pytest.raises(UsageError, match="HANDFAST_RETAIN_SESSIONS_DAYS"):
            read({"HANDFAST_RETAIN_SESSIONS_DAYS": wrong})


def test_a_hold_that_comes_while_a_batch_is_made_stops_it(room: Room) -> None:
    task_id, run_id = _run(room)
    _end(room, run_id)
    room.clock.move(3 * DAY_S)
    retention = _retention(room, steps_days=1)
    sizes = room.engine.kernel.store.keeping.sizes

    def held_meanwhile(ids: list[str]) -> dict[str, int]:
        room.engine.erasure.hold(room.me, task_id, "just now")
        return sizes(ids)

    keeping = room.engine.kernel.store.keeping
    there = _there(room)
    keeping.sizes = held_meanwhile  # type: ignore[method-assign, assignment]
    try:
        assert retention.run() == 0
    finally:
        keeping.sizes = sizes  # type: ignore[method-assign]
    assert there <= _there(room)
    room.engine.erasure.release(room.me, task_id, "over")
    assert retention.run() > 0
