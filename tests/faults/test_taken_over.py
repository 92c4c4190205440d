"""kill -9 of the runner around a person's hands: nothing of theirs is lost, and no agent starts by itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.checker import Json
from tests.faults.installation import Installation
from tests.faults.matrix import spread
from tests.faults.stories import Run
from tests.repositories import git

pytestmark = [pytest.mark.faults, pytest.mark.slow]

# The first start works on; the next one was told, and finishes.
SCRIPT = """
if [ -n "$HANDFAST_RESUME" ]; then cat "$HANDFAST_HANDED_BACK_FILE" > {root}/told; echo work > work.txt; exit; fi
echo half > half.txt
touch {root}/working
sleep 300
"""


class Taken:
    """A run that a person takes over as soon as its agent works."""

    def __init__(self, place: Installation) -> None:
        self.place = place
        self.run = Run(place, SCRIPT.format(root=place.root))
        place.until((place.root / "working").exists, "the agent's work")
        place.until(lambda: self.run.state["process"], "its start on record")

    def say(self, what: str, **fields: object) -> Json:
        path = f"/v1/runs/{self.run.run_id}/{what}"
        send = lambda: self.place.call("POST", path, dict(fields), token="session")  # noqa: E731
        answer = self.place.sure(send)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    def in_hands(self) -> Path:
        """The worktree, once it is the person's."""
        self.place.until(
            lambda: self.run.state["takeovers"][-1]["handed_over_at"], "the worktree handed over"
        )
        return Path(self.run.state["worktree"])

    def work(self, tree: Path) -> None:
        (tree / "half.txt").write_text("whole\n")
        git(tree, "add", "half.txt")
        git(tree, "commit", "-q", "-m", "by hand")
        (tree / "loose.txt").write_text("not committed\n")

    def finished(self) -> None:
        """It resumed once, knew all of it, and its work was merged with theirs."""
        self.run.merged()
        told = (self.place.root / "told").read_text()
        assert "by hand" in told
        assert "+not committed" in told
        assert "    -half\n    +whole" in told
        assert self.run.lines("starts") == ["start", "start"]
        assert git(self.place.repo, "show", "main:half.txt") == "whole"
        assert len(self.place.events("run.persons_work_recorded")) == 1
        self.place.prove()


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_while_the_person_works(install: Callable[..., Installation]) -> None:
    place = install(LEASE_S="2")
    place.start()
    taken = Taken(place)
    taken.say("take-over", reason="mine")
    tree = taken.in_hands()
    taken.work(tree)
    place.kill("runner")
    place.run_runner()
    # It works: another run comes to its review while this one is left alone.
    Run(place, "echo other > other.txt", name="other")
    place.until(lambda: place.waiting("review"), "another run's review")
    assert [e["run_id"] for e in place.events("run.leased")].count(taken.run.run_id) == 1
    assert (tree / "loose.txt").read_text() == "not committed\n"
    assert taken.run.state["status"] == "taken_over"
    taken.say("hand-back", note="go on")
    taken.finished()


@pytest.mark.parametrize(
    ("kind", "fault"),
    spread(
        [
            "takeover.before_handed_over:kill",
            "takeover.before_recorded:kill",
            "takeover.after_recorded:kill",
        ]
    ),
    indirect=["kind"],
)
def test_around_the_hands(install: Callable[..., Installation], fault: str) -> None:
    place = install(LEASE_S="2")
    place.start(runner=fault)
    taken = Taken(place)
    taken.say("take-over")
    tree = taken.in_hands()
    assert taken.run.lines("starts") == ["start"], "nothing starts by itself"
    taken.work(tree)
    taken.say("hand-back", note="go on")
    taken.finished()
    assert place.restarts == [fault]
