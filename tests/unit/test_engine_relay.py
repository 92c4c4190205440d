"""What the relay reckons with: times between attempts, times of schedules, and who is dead."""

from datetime import timedelta

import pytest

from handfast.core.domain.errors import UsageError
from handfast.engine.relay.place import relay_file
from handfast.engine.relay.routing import Flow, Routes, Schedule, Segment, Sink, backoff_s
from handfast.engine.relay.takeover import Pending, Watch

HOUR, DAY = timedelta(hours=1).seconds, 86_400


def test_the_time_between_attempts_doubles_within_bounds_and_differs() -> None:
    for failures, full in ((1, 1.0), (2, 2.0), (5, 16.0), (9, 256.0), (10, 300.0), (10_000, 300.0)):
        found = {backoff_s(failures, 1, 300) for _ in range(50)}
        assert full / 2 <= min(found) <= max(found) <= full
        assert len(found) > 1, "what failed together must not come back together"


@pytest.mark.parametrize(
    ("every_s", "crontab"),
    [
        (1, "*/1 * * * * *"),
        (15, "*/15 * * * * *"),
        (60, "0 */1 * * * *"),
        (1800, "0 */30 * * * *"),
        (HOUR, "0 0 * * * *"),
        (6 * HOUR, "0 0 */6 * * *"),
        (DAY, "0 0 0 * * *"),
    ],
)
def test_a_schedule_says_how_often_in_seconds(every_s: int, crontab: str) -> None:
    assert Schedule("x", lambda: None, every_s=every_s).crontab == crontab


@pytest.mark.parametrize("every_s", [-60, 7, 61, 7 * 60, 5 * HOUR, 2 * DAY])
def test_what_no_crontab_can_say_is_refused(every_s: int) -> None:
    with pytest.raises(UsageError):
        _ = Schedule("x", lambda: None, every_s=every_s).crontab


def test_a_schedule_has_one_of_both() -> None:
    assert Schedule("x", lambda: None, cron="17 3 * * *").crontab == "17 3 * * *"
    for wrong in (Schedule("x", lambda: None), Schedule("x", lambda: None, 60, "* * * * *")):
        with pytest.raises(UsageError):
            _ = wrong.crontab


def test_receivers_are_named_by_topic_or_by_its_noun() -> None:
    one, nouns = Sink("one", "run.ended", print), Sink("nouns", "run.*", print)
    routes = Routes([one, nouns], [Segment("pipe", print)], flows={"run.ended": Flow(2)})
    assert routes.sinks_of("run.ended") == [one, nouns]
    assert routes.sinks_of("run.queued") == [nouns]
    assert routes.nobody("handoff.requested")
    assert not routes.nobody("segment.of.a.newer.server")
    assert routes.segment_of("segment.pipe") is not None
    assert routes.segment_of("run.pipe") is None
    assert routes.flow("run.ended").bounded
    assert not routes.flow("run.queued").bounded


def test_a_relay_is_dead_when_its_heartbeats_stand_still_for_the_whole_lease() -> None:
    now = 100.0
    watch = Watch("me", 5, lambda: now)
    of = {name: Pending(f"work of {name}", name, "") for name in ("me", "alive", "dead", "unknown")}
    beats = {"alive": 1, "dead": 7}

    def orphans() -> set[str]:
        return {each.worker for each in watch.orphans(of.values(), beats)}

    assert orphans() == set(), "one that is seen first gets all of the lease"
    for _ in range(4):
        now += 1
        beats["alive"] += 1
        assert orphans() == set()
    now += 1
    assert orphans() == {"dead", "unknown"}
    beats["dead"] += 1
    assert orphans() == {"unknown"}, "it was only slow"
    now += 60
    assert orphans() == {"alive", "dead", "unknown"}
    assert "me" not in orphans()
    of.clear()
    assert orphans() == set()
    assert watch.silent() == ["alive", "dead"], "who has no work is forgotten, too"


def test_the_engines_file_lies_beside_the_database() -> None:
    assert str(relay_file("sqlite:////srv/x/handfast.db")) == "/srv/x/handfast.relay.db"
    assert str(relay_file("/srv/x/mine.sqlite")) == "/srv/x/mine.relay.db"
