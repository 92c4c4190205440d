"""The clock that deadlines rest on: never earlier, never standing still, right again by itself."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from handfast.engine import clock
from handfast.engine.clock import SystemClock

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Machine:
    """A machine's clock that can be set, and time that passes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.passed_s = NOON, 0.0
        machine = self

        class Set(datetime):
            @classmethod
            def now(cls, _: object = None) -> datetime:  # type: ignore[override]
                return machine.wall

        monkeypatch.setattr(clock, "datetime", Set)
        monkeypatch.setattr(time, "monotonic", lambda: machine.passed_s)

    def wait(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.passed_s += seconds


def test_set_back_it_goes_on_slower_until_the_machine_has_caught_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch)
    made = SystemClock()
    assert made.now() == NOON
    machine.wall -= timedelta(hours=1)
    assert made.now() == NOON
    machine.wait(600)
    assert made.now() == NOON + timedelta(seconds=300)
    machine.wait(2 * 3600 - 600)
    assert made.now() == NOON + timedelta(hours=1) == machine.wall
    machine.wait(10)
    assert made.now() == machine.wall


def test_set_forward_it_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    made = SystemClock()
    machine.wall += timedelta(days=3)
    assert made.now() == NOON + timedelta(days=3)
