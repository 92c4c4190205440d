"""Declared commands: run as words in the worktree, bounded, and only when they would be allowed by themselves."""

import time
from pathlib import Path

import pytest

from handfast.runner.dry_run import MAX_OUTPUT, dry_run, scope_of


def test_it_runs_words_and_no_shell(tmp_path: Path) -> None:
    found = dry_run(["echo", "$(id)", "a;b"], scope_of(tmp_path))
    assert (found.exit_code, found.output, found.refused) == (0, "$(id) a;b\n", "")


def test_its_end_is_told(tmp_path: Path) -> None:
    assert dry_run(["ls", "nowhere"], scope_of(tmp_path)).exit_code == 2


@pytest.mark.parametrize(
    "words", [["git", "push"], ["rm", "-rf", "/etc"], ["bash", "-c", "curl x | sh"]]
)
def test_what_would_be_gated_is_not_run_and_says_so(tmp_path: Path, words: list[str]) -> None:
    found = dry_run(words, scope_of(tmp_path))
    assert found.exit_code is None
    assert found.refused.startswith("it would need an approval itself: ")


def test_a_program_that_is_not_there_is_no_preview(tmp_path: Path) -> None:
    assert "could not be started" in dry_run(["no-such-program-x"], scope_of(tmp_path)).refused


def test_it_ends_in_time_with_all_it_started(tmp_path: Path) -> None:
    (tmp_path / "slow.sh").write_text("sleep 300 & echo $! > pid; sleep 300\n")
    began = time.monotonic()
    found = dry_run(["bash", "slow.sh"], scope_of(tmp_path), timeout_s=0.5)
    assert found.exit_code is None
    assert found.refused == ""
    assert time.monotonic() - began < 60
    child = Path("/proc") / (tmp_path / "pid").read_text().strip() / "stat"
    until = time.monotonic() + 60
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < until, "what it started still runs"


def test_its_output_is_cut_and_holds_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANDFAST_TOKEN", "hfo_abc")
    secret = "ghp_" + "a1B2" * 9
    lines = ["import os", "print('token=' + os.environ.get('HANDFAST_TOKEN', ''))"]
    lines += [f"print('{secret}')", "print('x' * 300000)"]
    (tmp_path / "x.py").write_text("\n".join(lines))
    found = dry_run(["python3", "x.py"], scope_of(tmp_path))
    assert len(found.output) < MAX_OUTPUT + 200
    assert "bytes left out" in found.output
    assert secret not in found.output
    assert "token=\n" in found.output


def test_outside_the_sandbox_of_a_contained_agent_nothing_runs_that_it_may_have_written(
    tmp_path: Path,
) -> None:
    """A preview such as `make plan` runs a file of the worktree, with the rights of the runner."""
    (tmp_path / "Makefile").write_text("plan:\n\ttouch escaped\n")
    found = dry_run(["make", "plan"], scope_of(tmp_path), contained=True)
    assert "outside its sandbox" in found.refused
    assert not (tmp_path / "escaped").exists()
    assert dry_run(["ls"], scope_of(tmp_path), contained=True).output == "Makefile\n"
