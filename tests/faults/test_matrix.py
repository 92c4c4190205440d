"""Every fault point is played, and each kind of fault on each database: then everything is proved."""

from collections.abc import Callable

import pytest

from handfast.core.domain.faults import POINTS
from tests.faults.installation import Installation
from tests.faults.matrix import CASES, ELSEWHERE, Played, chosen, on
from tests.faults.stories import play

pytestmark = pytest.mark.faults

# Short enough to be waited for; a lease longer than the time a frozen runner stands still.
SETTINGS = {
    "hooked": {},
    "executed": {"SETTLE_WITHIN_S": "1"},
    "run": {"LEASE_S": "2"},
}


def test_every_fault_point_is_played() -> None:
    played = {case.point for case in CASES} | set(ELSEWHERE)
    assert POINTS - played == set(), "add a case, or say in ELSEWHERE which test plays it"
    assert played - POINTS == set(), "there is no such point"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "cell"),
    [on(cell.database, cell, name=str(cell)) for cell in chosen()],
    indirect=["kind"],
)
def test_a_fault(install: Callable[..., Installation], cell: Played) -> None:
    place = install(**SETTINGS[cell.case.story])
    play(place, cell.case, cell.kind)
