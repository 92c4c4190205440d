"""Relays killed, frozen and told to end: every delivery arrives, an attempt counts once, whoever is late."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast.engine.relay import durable
from handfast.engine.relay.relay import POLL_S
from handfast.engine.settings import Settings
from tests.faults.relay_process import Relays, opened
from tests.stillness import freeze

pytestmark = pytest.mark.faults
FAULTS = (
    "relay.before_handover",
    "relay.after_handover",
    "relay.before_deliver",
    "relay.after_deliver",
    "relay.before_mark",
)


@pytest.fixture
def relays(store_url: str, tmp_path: Path) -> Iterator[Relays]:
    made = opened(store_url, tmp_path)
    yield made
    made.close()


def test_killed_at_every_point_each_delivery_has_its_effect(relays: Relays) -> None:
    for number in range(12):
        relays.post("t.once", number=number)
    for fault in FAULTS:
        relays.start(fault, f"{fault}:kill", relay_lease_s=2)
    for fault in FAULTS:
        assert relays.ended(fault) == -signal.SIGKILL
    ids = [row.id for row in relays.engine.kernel.store.outbox(20)]
    assert len(ids) == 12, "none of them came as far as marking one"
    relays.start("whole", relay_lease_s=2)
    relays.until(relays.empty, "all is delivered")
    assert sorted(relays.root.glob("effect-*")) == sorted(
        relays.root / f"effect-{row_id}" for row_id in ids
    )
    assert {note["id"] for note in relays.noted("begin")} == set(ids)
    assert {note["attempt"] for note in relays.noted("begin")} == {1}
    assert relays.engine.deliveries.dead() == []


def test_with_default_settings_a_dead_relays_work_is_taken_over_within_ten_seconds(
    relays: Relays,
) -> None:
    for name in ("one", "two"):
        relays.start(name)
    relays.ready("one", "two")
    relays.post("t.effect", takes_s=600)
    (first,) = relays.until(lambda: relays.noted("begin"), "one of them began")
    relays.signal(first["by"], signal.SIGKILL)
    survivor = "two" if first["by"] == "one" else "one"
    (begun,) = relays.until(lambda: relays.noted("begin", survivor), "the other one began")
    assert begun["id"] == first["id"]
    assert begun["attempt"] == 1, "it is the same attempt"
    # What it waits for by itself: its sight of the last heartbeat, the lease, its next look, the queue.
    assert POLL_S + Settings().relay_lease_s + POLL_S + durable._OWN_QUEUE_S <= 10


@pytest.mark.parametrize("late", ["fails", "succeeds"])
def test_what_a_thawed_relay_says_late_is_discarded(relays: Relays, late: str) -> None:
    fails_on = "frozen" if late == "fails" else "whole"
    relays.post("t.effect", takes_s=1, fails_on=fails_on, holds="frozen")
    relays.start("frozen", relay_lease_s=2, relay_backoff_s=60)
    relays.until(lambda: relays.noted("begin", "frozen"), "it began")
    freeze(relays.processes["frozen"].pid)
    relays.start("whole", relay_lease_s=2, relay_backoff_s=60)
    relays.until(lambda: relays.noted("begin", "whole"), "the other one took it over")
    (relays.root / "go").touch()
    relays.signal("frozen", signal.SIGCONT)
    relays.until(lambda: "a late result was discarded" in relays.log("frozen"), "the fence held")
    if late == "fails":
        relays.until(relays.empty, "it is delivered")
        assert "failed, again in" not in relays.log("frozen")
        return
    row = relays.until(
        lambda: [r for r in relays.engine.kernel.store.outbox(1) if r.attempts], "it failed"
    )[0]
    assert (row.attempts, row.state) == (1, "waiting")
    assert relays.noted("end", "frozen")


def test_sigterm_lets_what_runs_end_and_leaves_the_rest_durable(relays: Relays) -> None:
    relays.post("t.effect", takes_s=1)
    relays.post("t.effect", takes_s=600)
    relays.start("first", relay_drain_s=4)
    relays.until(lambda: len(relays.noted("begin")) == 2, "both began")
    relays.signal("first", signal.SIGTERM)
    relays.until((relays.root / "first.stopping").exists, "it was told")
    relays.post("t.once")
    assert relays.ended("first") == 0, relays.log("first")
    (ended,) = relays.noted("end")
    left = relays.engine.kernel.store.outbox(10)
    assert [row.topic for row in left] == ["t.effect", "t.once"], "no new one was begun"
    assert ended["id"] != left[0].id
    assert "1 deliveries are left under way" in relays.log("first")
    relays.start("second", relay_lease_s=1)
    relays.until(lambda: relays.noted("begin", "second"), "the other goes on")
    assert [note["attempt"] for note in relays.noted("begin", "second")][:1] == [1]


def test_a_killed_segment_goes_on_after_its_last_step(relays: Relays) -> None:
    relays.post("segment.two")
    relays.start("first", "relay.before_deliver:kill:2")
    assert relays.ended("first") == -signal.SIGKILL
    relays.start("second", relay_lease_s=1)
    relays.until(relays.empty, "it is done")
    assert [(n["what"], n["by"]) for n in relays.journal] == [
        ("first", "first"),
        ("second", "second"),
    ]
