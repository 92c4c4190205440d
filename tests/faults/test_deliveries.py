"""The network delivers twice, late, and in another order: proposals, decisions, redemptions, results."""

from collections.abc import Callable, Iterator

import pytest

from tests.faults.installation import Installation
from tests.faults.proxies import Repeater
from tests.faults.stories import Mediated, executed, go_on

pytestmark = [pytest.mark.faults, pytest.mark.slow]
EFFECTIVE = (
    "handoff.requested",
    "handoff.decided",
    "grant.minted",
    "grant.redeemed",
    "effect.recorded",
)


@pytest.fixture
def place(install: Callable[..., Installation]) -> Installation:
    made = install()
    made.serve()
    return made


@pytest.fixture
def repeater(place: Installation) -> Iterator[Repeater]:
    """Each command is delivered twice at once, after a while of its own."""
    made = Repeater(place.url, seed=5, doubled=1.0)
    yield made
    made.close()


class Through(Installation):
    """The same installation, its API reached through the repeater."""

    @property
    def url(self) -> str:
        return self.runner_sees


def told(place: Installation) -> dict[str, int]:
    return {kind: len(place.events(kind)) for kind in EFFECTIVE}


def test_what_a_runner_sends(place: Installation, repeater: Repeater) -> None:
    place.runner_sees = repeater.url
    place.run_runner()
    agent = place.agent("s1")
    go_on(place, agent)
    place.until(lambda: place.events("effect.recorded"), "the effect")
    assert (agent.words, agent.lines) == (["allow"], 1)
    once = told(place)
    assert once == dict.fromkeys(EFFECTIVE, 1)
    assert repeater.repeated >= 3
    assert not [status for status in repeater.replay() if status >= 500]
    assert told(place) == once
    place.prove()


def test_what_agents_and_people_send(place: Installation, repeater: Repeater) -> None:
    through = Through(**{**vars(place), "runner_sees": repeater.url})
    agent = Mediated(through)
    executed(agent)
    once = told(place)
    assert once == dict.fromkeys(EFFECTIVE, 1)
    for _ in range(2):
        assert not [status for status in repeater.replay() if status >= 500]
    assert told(place) == once
    assert agent.lines == 1
    place.prove()
