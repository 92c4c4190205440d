"""The in-process relay: at least once, later after a failure, nothing held up."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast.app import open_engine
from handfast.core.domain.events import SYSTEM
from handfast.engine.facade import Engine
from handfast.engine.kernel import Result, Unit
from handfast.engine.relay.inprocess import Relay


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(home=tmp_path / "home")
    yield opened
    opened.close()


def post(engine: Engine, topic: str, number: int) -> None:
    def work(unit: Unit) -> Result:
        unit.post(topic, {"number": number})
        unit.put("so that there is something to commit")
        return {}

    engine.kernel.run(SYSTEM, work)


def test_rows_go_to_the_sinks_of_their_topic_in_order_and_only_once(engine: Engine) -> None:
    seen: list[object] = []
    relay = Relay(engine.kernel.store, {"run.*": lambda p: seen.append(p["number"])})
    for number, topic in enumerate(["run.queued", "handoff.requested", "run.ended"]):
        post(engine, topic, number)
    assert relay.deliver() == 3
    assert seen == [0, 2]
    assert relay.deliver() == 0
    assert engine.kernel.store.outbox(10) == []


def test_a_failed_delivery_is_kept_and_holds_up_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    seen: list[object] = []
    broken = True

    def sink(payload: dict[str, object]) -> None:
        if broken and payload["number"] == 0:
            raise ConnectionError("no network")
        seen.append(payload["number"])

    relay = Relay(engine.kernel.store, {"run.queued": sink})
    post(engine, "run.queued", 0)
    post(engine, "run.queued", 1)
    assert relay.deliver() == 1
    assert seen == [1]
    assert "no network" in caplog.text
    assert [row.attempts for row in engine.kernel.store.outbox(10)] == [1]
    broken = False
    assert relay.deliver() == 0, "it is tried again later, not at once"
    now += 2.0
    assert relay.deliver() == 1
    assert seen == [1, 0]


def test_a_commit_wakes_it_and_stopping_is_quick(engine: Engine) -> None:
    arrived = threading.Event()
    relay = Relay(engine.kernel.store, {"run.queued": lambda _: arrived.set()})
    thread = threading.Thread(target=relay.run)
    thread.start()
    post(engine, "run.queued", 0)
    assert arrived.wait(10)
    relay.stop()
    thread.join(5)
    assert not thread.is_alive()
