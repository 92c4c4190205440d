"""Every fault point is played, and each kind of fault on each database: then everything is proved."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

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


TOP = Path(__file__).parents[2]


def test_every_fault_point_is_played() -> None:
    played = {case.point for case in CASES} | set(ELSEWHERE)
    assert POINTS - played == set(), "add a case, or say in ELSEWHERE which test plays it"
    assert played - POINTS == set(), "there is no such point"
    untrue = [f"{point}: {test}" for point, test in ELSEWHERE.items() if point not in killed(test)]
    assert untrue == [], "this test is not there, or does not kill a process at the point"
    here = [str(path.relative_to(TOP)) for path in Path(__file__).parent.glob("test_*.py")]
    swept = {
        point for path in here for name in functions_of(path) for point in killed(f"{path}::{name}")
    }
    assert {case.point for case in CASES} - swept == set(), "no test of the suite kills there"


def killed(test: str) -> set[str]:
    """The points that a test (`file::name`) kills a process at: they stand in its own lines, or in those of
    the module's names that it uses."""
    path, _, name = test.partition("::")
    found = functions_of(path).get(name)
    if found is None:
        return set()
    words = set(texts(found, assigned(path)))
    kills = {f"{word}:kill" for word in words} if ":kill" in words else set()
    return {word.partition(":")[0] for word in words | kills if ":kill" in word} & POINTS


def functions_of(path: str) -> dict[str, ast.FunctionDef]:
    body = ast.parse((TOP / path).read_text()).body if (TOP / path).is_file() else []
    return {
        node.name: node
        for node in body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def assigned(path: str) -> dict[str, ast.expr]:
    return {
        target.id: node.value
        for node in ast.parse((TOP / path).read_text()).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def texts(node: ast.AST, names: dict[str, ast.expr]) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value
        elif isinstance(each, ast.Name) and each.id in names:
            yield from texts(names[each.id], {k: v for k, v in names.items() if k != each.id})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "cell"),
    [on(cell.database, cell, name=str(cell)) for cell in chosen()],
    indirect=["kind"],
)
def test_a_fault(install: Callable[..., Installation], cell: Played) -> None:
    place = install(**SETTINGS[cell.case.story])
    play(place, cell.case, cell.kind)
