"""A person takes a run over and hands it back, with a real runner, git and processes."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from handfast.client import Client, takeover_calls
from handfast.core.domain.errors import InvalidTransition, NotPermitted
from handfast.core.domain.events import SYSTEM, Actor
from handfast.engine.access import PrincipalKind
from handfast.engine.people import NewPerson
from tests.repositories import git, new_repository
from tests.run_bench import Json, RunBench, plain_environment

SRC = Path(__file__).parents[2] / "src"
# Works until it is stopped; started again it keeps what it was told, and finishes.
AGENT = """
if [ -n "$HANDFAST_RESUME" ]; then
  cp "$HANDFAST_HANDED_BACK_FILE" "{root}/told"; echo done > done.txt; exit 0
fi
echo committed > agent.txt; git add agent.txt; git commit -q -m 'agent: first half'
echo loose > loose.txt
sleep 300 & touch "{root}/working"; wait
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[RunBench]:
    repository = new_repository(tmp_path / "repo")
    environment = {**plain_environment(), "PYTHONPATH": str(SRC)}
    with RunBench(tmp_path, repository, environment).serving() as bench:
        yield bench


def working(bench: RunBench, agent: str = AGENT) -> str:
    run_id = bench.order("bash", "-c", agent.replace("{root}", str(bench.root)))
    bench.until("the agent works", (bench.root / "working").exists)
    bench.until("its start is on record", lambda: bench.run(run_id).get("process"))
    return run_id


def in_hands(bench: RunBench, run_id: str) -> Json:
    """The take-over in force, once the worktree is the person's."""

    def look() -> Json | None:
        found = bench.run(run_id)["takeovers"]
        return dict(found[-1]) if found and found[-1]["handed_over_at"] else None

    return dict(bench.until("the worktree is handed over", look))


def another(bench: RunBench, login: str = "bob", roles: tuple[str, ...] = ("reviewer",)) -> Actor:
    secret = bench.engine.people.invite_another(bench.person, roles)
    new = NewPerson(name=login.title(), login=login, password="correct horse battery", pin="314159")
    bench.engine.people.set_up(secret, new)
    return bench.engine.people.with_pin(login, "314159")


def test_the_person_gets_the_worktree_and_the_agent_exactly_what_changed(bench: RunBench) -> None:
    run_id = working(bench)
    process = bench.run(run_id)["process"]
    bench.engine.takeovers.take(bench.person, run_id, "I see what is wrong")
    got = in_hands(bench, run_id)
    assert not Path(f"/proc/{process['pid']}").exists()
    run = bench.run(run_id)
    assert (run["status"], run["held_by_name"]) == ("taken_over", "Ann")
    assert got["found"]["uncommitted"] == ["A loose.txt"]
    assert [c["subject"] for c in got["found"]["commits"]] == ["agent: first half"]
    assert any("sleep 300" in p["command"] for p in got["found"]["processes"])

    tree = Path(run["worktree"])
    (tree / "agent.txt").write_text("better\n")
    git(tree, "commit", "-q", "-am", "ann: fix")
    (tree / "loose.txt").write_text("loose ends\n")
    bench.engine.takeovers.hand_back(bench.person, run_id, "Mind the second half.")
    review = bench.waiting(run_id, "review")

    told = (bench.root / "told").read_text()
    assert "A person, Ann, took this run over" in told
    assert "> Mind the second half." in told
    assert "M agent.txt +1 -1" in told
    assert "M loose.txt +1 -1" in told
    assert "ann: fix" in told
    assert "    -committed\n    +better" in told
    assert "first half" not in told, "the agent's own commit is not told to it"
    assert "-loose\n" in told, "against the moment of taking over, not against the last commit"
    done = bench.run(run_id)["takeovers"][-1]
    assert (done["told"], done["changed"], done["work"]["cut"]) == (True, 2, False)
    assert done["work_digest"].startswith("hmac-sha256:")
    assert git(bench.repository, "rev-parse", done["to_commit"]) == done["to_commit"]

    details = review["package"]["what_will_happen"]["details"]
    assert any("Ann wrote a part of this" in d and "agent.txt" in d for d in details), details
    (part,) = review["package"]["review"]["parts"]
    assert part["person_id"] == bench.person.id
    assert part["files"] == ["agent.txt", "loose.txt"]
    assert len(part["commits"]) == 1
    assert set(review["package"]["review"]["files"]) == {"agent.txt", "loose.txt", "done.txt"}


def test_a_second_person_is_refused_with_who_holds_it(bench: RunBench) -> None:
    bob = another(bench)
    run_id = working(bench)
    bench.engine.takeovers.take(bench.person, run_id)
    bench.engine.takeovers.take(bench.person, run_id)
    with pytest.raises(InvalidTransition, match="in the hands of Ann since") as refused:
        bench.engine.takeovers.take(bob, run_id)
    assert refused.value.details["held_by_name"] == "Ann"
    in_hands(bench, run_id)
    with pytest.raises(NotPermitted) as not_his:
        bench.engine.takeovers.hand_back(bob, run_id)
    assert not_his.value.code == "not_the_holder"
    admin = another(bench, "carol", ("admin",))
    bench.engine.takeovers.hand_back(admin, run_id, "Ann is ill")
    bench.waiting(run_id, "review")
    assert "Ann is ill" in (bench.root / "told").read_text()


def test_an_agent_or_a_token_takes_nothing_over(bench: RunBench) -> None:
    run_id = working(bench)
    for kind in (PrincipalKind.RUNNER, PrincipalKind.OPERATOR):
        token = bench.engine.access.ensure_file_token(bench.home, kind)
        with Client(bench.server.url, token) as client, pytest.raises(NotPermitted):
            client.send(takeover_calls.take_over(run_id, "mine", {}))
    for actor in (Actor("agent", bench.run(run_id)["agent_id"], "token"), SYSTEM):
        with pytest.raises(NotPermitted):
            bench.engine.takeovers.take(actor, run_id)
    assert bench.run(run_id)["status"] == "running"


def test_what_was_asked_and_approved_is_void(bench: RunBench) -> None:
    """The agent waits at the gate when its run is taken over: the call never runs, before or after."""
    agent = bench.root / "agent.py"
    agent.write_text(
        "import os\nfrom handfast.cli.demo_agent import Session\n"
        "s = Session()\n"
        "if os.environ.get('HANDFAST_RESUME'): open('done.txt', 'w').write('x')\n"
        "else: s.run('git rm -q README')\n"
    )
    run_id = bench.order(sys.executable, str(agent))
    asked = bench.waiting(run_id, "approval", paused=False)
    bench.engine.takeovers.take(bench.person, run_id)
    assert bench.handoff(asked["handoff_id"])["status"] == "withdrawn"
    in_hands(bench, run_id)
    assert (Path(bench.run(run_id)["worktree"]) / "README").exists()
    with pytest.raises(InvalidTransition):
        bench.decide(asked, "approve")
    bench.engine.takeovers.hand_back(bench.person, run_id)
    review = bench.waiting(run_id, "review")
    assert review["package"]["review"]["files"] == ["done.txt"]
    assert review["package"]["review"]["parts"] == []


def test_a_case_is_taken_over_with_its_run(bench: RunBench) -> None:
    """The decision on a review that was asked for hands the whole run to whoever made it."""
    run_id = bench.order("bash", "-c", "echo half > half.txt")
    review = bench.waiting(run_id, "review")
    assert "take_over" in review["offered"]
    bench.decide(review, "take_over", reason="I finish it")
    got = in_hands(bench, run_id)
    assert got["handoff_id"] == review["handoff_id"]
    tree = Path(bench.run(run_id)["worktree"])
    assert (tree / "half.txt").read_text() == "half\n"
    (tree / "half.txt").write_text("whole\n")
    bench.engine.takeovers.hand_back(bench.person, run_id, "finished", "review")
    second = bench.until(
        "another review",
        lambda: (h := bench.waiting(run_id, "review"))["handoff_id"] != review["handoff_id"] and h,
    )
    assert second["package"]["review"]["parts"][0]["files"] == ["half.txt"]
    author = git(bench.repository, "log", "-1", "--format=%an", f"handfast/{second['task_id']}")
    assert author == "Ann"
    bench.decide(second, "approve")
    assert bench.ended(run_id)["outcome"] == "merged"
    assert (bench.repository / "half.txt").read_text() == "whole\n"


def test_a_run_that_is_ended_by_the_person_keeps_their_work(bench: RunBench) -> None:
    run_id = working(bench)
    bench.engine.takeovers.take(bench.person, run_id)
    in_hands(bench, run_id)
    tree = Path(bench.run(run_id)["worktree"])
    (tree / "mine.txt").write_text("mine\n")
    bench.engine.takeovers.hand_back(bench.person, run_id, "not worth it", "end")
    run = bench.ended(run_id)
    assert run["outcome"] == "withdrawn"
    kept = run["takeovers"][-1]["to_commit"]
    assert git(bench.repository, "show", f"{kept}:mine.txt") == "mine"


def test_a_queued_run_can_be_taken_before_its_agent_ever_starts(bench: RunBench) -> None:
    bench.supervisor.stop()
    run_id = bench.order("bash", "-c", f"touch {bench.root}/started; echo x > x.txt")
    done = bench.engine.takeovers.take(bench.person, run_id)
    assert done["ready"] is False
    with pytest.raises(InvalidTransition) as early:
        bench.engine.takeovers.hand_back(bench.person, run_id)
    assert early.value.code == "not_handed_over"
    with bench.supervising():
        in_hands(bench, run_id)
        assert not (bench.root / "started").exists()
        bench.engine.takeovers.hand_back(bench.person, run_id)
        bench.waiting(run_id, "review")
        assert (bench.root / "started").exists()


def test_a_stopped_agent_can_be_taken_over(bench: RunBench) -> None:
    """The kill switch keeps agents from acting, not people."""
    run_id = working(bench)
    bench.engine.switch.kill(bench.person, "all", "odd")
    bench.engine.takeovers.take(bench.person, run_id)
    in_hands(bench, run_id)
    bench.engine.takeovers.hand_back(bench.person, run_id)
    assert bench.run(run_id)["status"] == "ready"
    for stage in ("review", "all"):
        bench.engine.switch.release(bench.person, "all", stage, "go on")
    bench.waiting(run_id, "review")


def test_time_limits_stand_still_in_a_persons_hands(bench: RunBench) -> None:
    run_id = working(bench)
    bench.engine.takeovers.take(bench.person, run_id)
    in_hands(bench, run_id)
    from handfast.core.domain.run import Run

    state = bench.engine.kernel.state(Run, run_id)
    assert state.usage.active_since is None
    before = state.usage.worked_ms(bench.engine.kernel.clock.now())
    later = bench.engine.kernel.clock.now().replace(year=2099)
    assert state.usage.worked_ms(later) == before


def test_the_terminal_shows_all_of_it_and_opens_a_shell_there(bench: RunBench) -> None:
    from tests.commands import Command

    token = bench.engine.access.ensure_file_token(bench.home, PrincipalKind.OPERATOR)
    shell = bench.root / "shell"
    shell.write_text("#!/bin/sh\npwd; echo mine > mine.txt\n")
    shell.chmod(0o755)
    more = {"HANDFAST_URL": bench.server.url, "HANDFAST_TOKEN": token, "SHELL": str(shell)}
    handfast = Command(bench.home, bench.root, more)
    run_id = working(bench)
    pin = [("Login", "ann"), ("PIN", "271828")]
    took = handfast.typed("run", "take-over", run_id, "--shell", answers=pin)
    assert took.code == 0, took.err
    tree = bench.run(run_id)["worktree"]
    for said in ("in the hands of Ann", tree, "A loose.txt", "sleep 300", "run hand-back"):
        assert said in took.out, took.out
    assert f"in {tree}" in took.err
    assert (Path(tree) / "mine.txt").read_text() == "mine\n"
    assert "in the hands of" in handfast("run", "show", run_id).out

    back = handfast.typed("run", "hand-back", run_id, "--note", "look", answers=pin)
    assert back.code == 0, back.err
    assert "On record: 1 file changed by you." in back.out
    assert "A mine.txt" in back.out
    bench.waiting(run_id, "review")
