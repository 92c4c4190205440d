"""The suite fails what it should: executors with a planted bug, each at the rule it breaks."""

from collections.abc import Iterator

import pytest

from handfast.testing.gates import Crash, GateConformance, Place
from handfast.testing.gates.place import Installation, installation
from tests.conformance.planted import (
    PLANTED,
    NeverRedeems,
    RunsAgainAfterACrash,
    UnboundOperands,
)
from tests.conformance.raw_api import RawApi

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("gates")) as made:
        yield made


@pytest.fixture
def place(server: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = server.place(tmp_path_factory.mktemp("place"))
    yield place
    place.publish()


def fails(executor: RawApi, place: Place, rule: str, why: str, *given: object) -> None:
    """The rule, played with this executor, does not pass, and says why."""
    executor.begin(place)
    try:
        with pytest.raises(AssertionError, match=why):
            getattr(GateConformance(), f"test_{rule}")(executor, place, *given)
    finally:
        executor.end()


@pytest.mark.parametrize("rule", PLANTED)
def test_a_planted_bug_fails_the_rule_it_breaks(place: Place, rule: str) -> None:
    planted, why = PLANTED[rule]
    fails(planted(), place, rule, why)


@pytest.mark.parametrize("at", [Crash.STARTED, Crash.RAN])
def test_running_again_after_a_crash_is_seen(place: Place, at: Crash) -> None:
    rule = "r04_after_a_crash_nothing_is_repeated_and_the_doubt_is_shown"
    fails(RunsAgainAfterACrash(), place, rule, "it ran: ", at)


def test_a_capability_that_is_not_there_must_be_refused_and_is_not_skipped(place: Place) -> None:
    rule = "r03_a_changed_operand_needs_a_new_approval"
    fails(UnboundOperands(), place, rule, "it asks for what it cannot bind")


def test_no_evidence_of_a_start_is_seen(place: Place) -> None:
    fails(NeverRedeems(), place, "r09_the_log_holds_the_evidence_of_what_ran", "the log holds")


def test_every_rule_has_a_test_that_names_it() -> None:
    named = {name[5:8] for name in dir(GateConformance) if name.startswith("test_r")}
    assert named == {f"r{n:02}" for n in range(1, 13)}
