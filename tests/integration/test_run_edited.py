"""Finished work that a reviewer edits in its review: one commit on top of the approved one, and nothing else."""

import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from handfast.core.domain.canonical import sha256
from tests.integration.test_run_plain import head_of, nothing_left
from tests.repositories import git, new_repository
from tests.run_bench import RunBench, edit_review, plain_environment

SRC = Path(__file__).parents[2] / "src"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[RunBench]:
    repository = new_repository(tmp_path / "repo")
    environment = {**plain_environment(), "PYTHONPATH": str(SRC)}
    with RunBench(tmp_path, repository, environment).serving() as bench:
        yield bench


def blob(bench: RunBench, name: str) -> bytes:
    return subprocess.run(
        ["git", "cat-file", "blob", name], cwd=bench.repository, capture_output=True, check=True
    ).stdout


def writes(files: Mapping[str, bytes]) -> list[str]:
    """An agent that writes these bytes."""
    program = (
        "import pathlib\n"
        f"for name, data in {dict(files)!r}.items():\n"
        "    path = pathlib.Path(name); path.parent.mkdir(parents=True, exist_ok=True)\n"
        "    path.write_bytes(data)\n"
    )
    return ["bash", "-c", f"python3 -c {shlex.quote(program)}"]


def test_an_edit_is_one_commit_of_the_reviewer_on_top_and_that_is_merged(bench: RunBench) -> None:
    files = {"a.txt": b"one\ntwo\n", "dos.txt": b"a\r\nb\r\n", "run.sh": b"#!/bin/sh\necho no end"}
    run_id = bench.order(*writes(files))
    review = bench.waiting(run_id, "review")
    assert "approve_with_edits" in review["offered"]
    work = review["package"]["review"]
    assert {f["path"]: (f["mode"], f["digest"]) for f in work["editable"]} == {
        path: ("100755" if path == "run.sh" else "100644", sha256(data))
        for path, data in files.items()
    }
    done = edit_review(
        bench, review, {"dos.txt": "a\r\nB\r\n", "run.sh": "#!/bin/sh\necho é"}, "small things"
    )
    assert done["decided"] is True
    assert bench.ended(run_id)["outcome"] == "merged"

    head, tip = head_of(review), git(bench.repository, "rev-parse", "main")
    assert git(bench.repository, "log", "-1", "--format=%P", tip) == head
    assert git(bench.repository, "log", "-1", "--format=%an", tip) == "Ann"
    assert "Edit of a reviewer in 2 files" in git(bench.repository, "log", "-1", "--format=%B", tip)
    raw = git(bench.repository, "diff-tree", "-r", head, tip).splitlines()
    assert [[*line.split()[0:2], line.split("\t")[1]] for line in raw] == [
        [":100644", "100644", "dos.txt"],
        [":100755", "100755", "run.sh"],
    ]
    assert blob(bench, f"{tip}:dos.txt") == b"a\r\nB\r\n"
    assert blob(bench, f"{tip}:run.sh") == "#!/bin/sh\necho é".encode()
    assert (bench.repository / "run.sh").stat().st_mode & 0o100
    assert nothing_left(bench)

    after = bench.handoff(review["handoff_id"])
    call = after["decision"]["edited_call"]
    assert call["arguments"]["tree"] == git(bench.repository, "rev-parse", f"{head}^{{tree}}")
    assert call["arguments"]["commit"] == head
    assert call["arguments"]["edits"][0] == {
        "path": "dos.txt",
        "mode": "100644",
        "before": sha256(b"a\r\nb\r\n"),
        "after": sha256(b"a\r\nB\r\n"),
    }
    digest = after["decision"]["edited_digest"]
    assert digest != review["action_digest"]
    assert after["grant"]["action_digest"] == after["effect"]["executed_digest"] == digest
    assert f"with the edit of Ann as commit {tip}" in after["effect"]["note"]
