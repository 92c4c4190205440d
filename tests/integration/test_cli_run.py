"""`handfast run` from the order to the merge, with a plain script as the agent."""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from handfast.app import open_engine
from handfast.engine.people import NewPerson
from tests.commands import DEADLINE_S, Command, serving
from tests.repositories import git, new_repository, state_of

PIN = "123456"
SIGN = [("Login", "ana"), ("PIN", PIN)]
AGENT = """\
#!/bin/sh
echo "working on it"
echo "made by the agent" > made.txt
git add made.txt && git commit -q -m 'Add made.txt'
"""


@dataclass(frozen=True)
class World:
    handfast: Command
    repo: Path

    def words(self, *more: object, agent: str = "agent.sh") -> list[object]:
        path = self.repo.parent / agent
        return ["run", "--repo", self.repo, "--brief", "brief.yaml", *more, "--", path]

    def review(self) -> str:
        """The id of the next review that waits."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            for item in self.handfast("inbox", "--json").json["items"]:
                if item["kind"] == "review":
                    return str(item["handoff_id"])
        pytest.fail("no review was asked for")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("run")
    handfast = Command(folder / "data", folder, {})
    engine = open_engine(home=handfast.home)
    engine.people.set_up(engine.people.invite(), NewPerson("Ana", "ana", "long-enough-1", PIN))
    engine.close()
    (folder / "brief.yaml").write_text("intent: There should be a file made.txt.\n")
    with serving(handfast):
        yield World(handfast, folder)


@pytest.fixture
def fresh(world: World, tmp_path: Path) -> World:
    """A repository and an agent of its own."""
    folder = world.handfast.folder / tmp_path.name
    folder.mkdir()
    (folder / "agent.sh").write_text(AGENT)
    (folder / "agent.sh").chmod(0o755)
    return World(world.handfast, new_repository(folder / "repo"))


def test_approved_work_is_merged_and_the_command_follows_it(fresh: World) -> None:
    process = fresh.handfast.start(*fresh.words())
    review = fresh.review()
    shown = fresh.handfast("handoff", "show", review)
    assert "made by the agent" in shown.out
    assert fresh.handfast.typed("handoff", "approve", review, answers=SIGN).code == 0
    out, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, err) == (0, "")
    assert review in out
    assert "approve by Ana" in out
    assert "ended: merged" in out
    assert git(fresh.repo, "show", "main:made.txt") == "made by the agent"
    runs = fresh.handfast("run", "list", "--json").json["items"]
    assert runs[0]["outcome"] == "merged"
    assert fresh.handfast("run", "replay", runs[0]["run_id"], "--verify").code == 0
    task = fresh.handfast("task", "show", runs[0]["task_id"], "--json").json
    assert task["outcome"] == "merged"
    assert task["brief"]["intent"] == "There should be a file made.txt."


def test_rejected_work_leaves_the_repository_as_it_was(fresh: World) -> None:
    before = state_of(fresh.repo)
    process = fresh.handfast.start(*fresh.words("--json"))
    review = fresh.review()
    answers = [("Reason", "not wanted"), *SIGN]
    assert fresh.handfast.typed("handoff", "reject", review, answers=answers).code == 0
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 3
    assert '"outcome": "rejected"' in out
    assert state_of(fresh.repo) == before


def test_an_agent_that_never_started_is_its_own_outcome(fresh: World) -> None:
    done = fresh.handfast(*fresh.words(agent="absent.sh"))
    assert done.code == 7
    assert "ended: never started" in done.out
    assert "absent.sh" in done.out + done.err


def test_what_holds_the_agent_is_asked_for_and_said(fresh: World) -> None:
    bad = fresh.handfast(*fresh.words("--allow-host", "example.org"))
    assert (bad.code, "`example.org` is no host with a port" in bad.err) == (2, True)
    words = fresh.words("--contained", "off", "--allow-host", "Example.org:443", "--detach")
    run_id = fresh.handfast(*words).out.strip()
    review = fresh.review()
    shown = fresh.handfast("run", "show", run_id)
    assert "not contained: switched off for this run" in shown.out
    assert '"hosts": ["example.org:443"]' in fresh.handfast("run", "show", run_id, "--json").out
    answers = [("Reason", "enough"), *SIGN]
    assert fresh.handfast.typed("handoff", "reject", review, answers=answers).code == 0


def test_a_detached_run_prints_its_id(fresh: World) -> None:
    done = fresh.handfast(*fresh.words("--detach", agent="absent.sh"))
    assert done.code == 0
    assert done.out.startswith("run_")
    assert fresh.handfast("run", "show", done.out.strip()).code == 0


def test_ctrl_c_only_stops_looking(fresh: World) -> None:
    process = fresh.handfast.start(*fresh.words())
    review = fresh.review()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert "The run goes on" in err
    assert fresh.handfast("handoff", "show", review, "--json").json["waiting"] is True
    answers = [("Reason", "enough"), *SIGN]
    assert fresh.handfast.typed("handoff", "reject", review, answers=answers).code == 0
