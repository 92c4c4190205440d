"""What a reviewer gets of a run, end to end: incomplete work goes back, claims have their calls, and a form that
was sent back is compared with the next one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repositories import commit, new_repository
from tests.run_bench import Json, RunBench, plain_environment

SRC, TESTS = Path(__file__).parents[2] / "src", Path(__file__).parents[1]
TEST = """import unittest


class It(unittest.TestCase):
    def test_it(self) -> None:
        pass
"""
# Says that tests pass; runs them only when it is told to.
LAZY = """#!{python}
import json, os, subprocess, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from stub_claude import post, result

words = sys.argv[1:]
settings = json.loads(Path(words[words.index("--settings") + 1]).read_text())
resumed = "--resume" in words
session = words[words.index("--resume" if resumed else "--session-id") + 1]
slug = "".join(c if c.isalnum() else "-" for c in str(Path.cwd()))
history = Path(os.environ["HOME"]) / ".claude" / "projects" / slug / (session + ".jsonl")
history.parent.mkdir(parents=True, exist_ok=True)
with history.open("a") as lines:
    lines.write("{{}}\\n")
with open({told!r}, "a") as told:
    told.write(json.dumps(words) + "\\n")
command = "make test" if "not handed over" in " ".join(words) else "echo more >> a.txt"
call = {{"tool_name": "Bash", "tool_use_id": "t%d" % os.getpid(), "tool_input": {{"command": command}}}}
assert post(settings, "PreToolUse", session, call)["hookSpecificOutput"]["permissionDecision"] == "allow"
ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
post(settings, "PostToolUse", session, {{**call, "tool_response": {{"stdout": ran.stdout}}}})
sys.exit(result("end_turn", "I added a line. All tests pass."))
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[RunBench]:
    repository = new_repository(tmp_path / "repo")
    recipe = f"test:\n\t@{sys.executable} -B -m unittest -q test_it 2>&1\n"
    commit(repository, {"Makefile": recipe, "test_it.py": TEST}, "tests")
    environment = {**plain_environment(), "PYTHONPATH": str(SRC), "HOME": str(tmp_path)}
    with RunBench(tmp_path, repository, environment).serving() as made:
        yield made


def lazy(bench: RunBench) -> list[str]:
    path = bench.root / "claude"
    told = str(bench.root / "told")
    path.write_text(LAZY.format(python=sys.executable, tests=str(TESTS), told=told))
    path.chmod(0o755)
    return [str(path), "-p", "go"]


def evidence(review: Json) -> list[tuple[str, str]]:
    return [(e["said_by"], e["status"]) for e in review["package"]["evidence"]]


def test_incomplete_work_goes_back_once_and_comes_with_its_evidence(bench: RunBench) -> None:
    run_id = bench.order(
        *lazy(bench), harness="claude-code", acceptance=["`make test` passes", "it is pretty"]
    )
    review = bench.waiting(run_id, "review")
    told = (bench.root / "told").read_text().splitlines()
    assert len(told) == 2
    assert "Your work was not handed over" in told[1]
    assert "`make test` is not recorded" in told[1]
    assert "=== Brief sha256:" in told[0]
    assert evidence(review) == [
        ("brief", "recorded"),
        ("brief", "unverified"),
        ("agent", "recorded"),
    ]
    assert review["package"]["incomplete"] == []
    found = bench.engine.views.handoffs("all", run_id=run_id).items
    assert sorted(str(h["status"]) for h in found) == ["incomplete", "routed"]
    bench.decide(review, "request_changes", reason="one line more")
    second = next_review(bench, run_id, review)
    since = second["package"]["since"]
    assert since["head_commit"] == review["package"]["review"]["head_commit"]
    assert "+more" in since["diff"]
    assert since["reason"] == "one line more"
    assert [a["why"] for a in second["package"]["attempts"]] == ["one line more"]


def next_review(bench: RunBench, run_id: str, than: Json) -> Json:
    def look() -> Json | None:
        found = bench.waiting(run_id, "review")
        return found if found["handoff_id"] != than["handoff_id"] else None

    return dict(bench.until("another review", look))


def test_a_file_written_behind_the_hook_outdates_the_claim(bench: RunBench) -> None:
    command = lazy(bench)
    script = Path(command[0])
    text = script.read_text().replace(
        "sys.exit(result", "Path('a.txt').write_text('changed later')\nsys.exit(result"
    )
    script.write_text(text.replace('"not handed over" in " ".join(words)', "True"))
    run_id = bench.order(*command, harness="claude-code")
    review = bench.waiting(run_id, "review")
    assert evidence(review) == [("agent", "outdated")]
    (found,) = review["package"]["evidence"]
    assert "a file was written at" in found["result"]
