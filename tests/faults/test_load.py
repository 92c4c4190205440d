"""Many at once, and then something breaks: what was answered is in the log, and everything comes to rest."""

from collections.abc import Callable

import pytest

from tests.faults.installation import Installation
from tests.faults.load import Load, rest

pytestmark = [pytest.mark.faults, pytest.mark.slow]


def test_agents_and_deciders_while_server_and_runner_are_killed(
    install: Callable[..., Installation],
) -> None:
    place = install(SETTLE_WITHIN_S="3")
    place.start()
    load = Load(place, seed=11)
    load.start(hooked=3, executing=3, calls=2)
    try:
        for name, wanted in (("server", 2), ("runner", 5), ("server", 8)):
            place.until(
                lambda wanted=wanted: load.counts["handoff.decided"] >= wanted or load.over,  # type: ignore[misc]  # bound now
                "some decisions",
            )
            place.kill(name)
            place.again(name)
        assert rest(load, within_s=180) == [], place.story()
    finally:
        load.stop()
    assert load.counts["handoff.decided"] >= 8
