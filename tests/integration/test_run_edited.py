"""Finished work that a reviewer edits in its review: one commit on top of the approved one, and nothing else."""

import json
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from handfast.core.audit.bundle import verify_bundle
from handfast.core.audit.note import parse_verifier_key
from handfast.core.domain.canonical import sha256
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.bundle_file import ZipBundle
from handfast.engine.handoffs import Decision
from handfast.engine.keys import ed25519_verify
from handfast.engine.notebook import DiskNotebook
from handfast.engine.passkey_proof import SignedDecisions
from handfast.engine.people import NewPerson
from handfast.runner.supervisor import finished
from handfast.runner.supervisor.review_texts import review_texts
from tests.integration.test_run_plain import head_of, nothing_left
from tests.repositories import commit, git, new_repository
from tests.run_bench import Json, RunBench, edit_review, plain_environment

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


def second(bench: RunBench, first: Json) -> Json:
    """Another review of the same run."""

    def look() -> Json | None:
        found = bench.waiting(str(first["run_id"]), "review")
        return found if found["handoff_id"] != first["handoff_id"] else None

    return dict(bench.until("another review", look))


def another(bench: RunBench, login: str) -> Actor:
    """One more person who decides."""
    people = bench.engine.people
    secret = people.invite_another(bench.person, ("reviewer",))
    people.set_up(secret, NewPerson(login.title(), login, "correct horse battery", "493817"))
    return people.with_pin(login, "493817")


def policy(bench: RunBench, text: str) -> None:
    done = bench.engine.policies.propose(bench.person, ORGANISATION, f"version: 1\n{text}")
    assert done["status"] == "in_force"


def test_an_edit_that_is_not_of_what_is_in_the_commit_is_refused_and_said_so(
    bench: RunBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying(*given: object) -> bytes:
        told = json.loads(review_texts(*given))  # type: ignore[arg-type]
        told["files"][0]["new"] = "not what is there\n"
        return json.dumps(told).encode()

    run_id = bench.order(*writes({"a.txt": b"one\n"}))
    with monkeypatch.context() as patched:
        patched.setattr(finished, "review_texts", lying)
        first = bench.waiting(run_id, "review")
    before = git(bench.repository, "rev-parse", "main")
    edit_review(bench, first, {"a.txt": "two\n"})
    again = second(bench, first)
    effect = bench.handoff(first["handoff_id"])["effect"]
    assert effect["outcome"] == "none"
    assert "`a.txt` is not what the reviewer saw" in effect["note"]
    details = again["package"]["what_will_happen"]["details"]
    assert any(
        "edit was refused" in line and "not what the reviewer saw" in line for line in details
    )
    assert git(bench.repository, "rev-parse", "main") == before
    edit_review(bench, again, {"a.txt": "two\n"})
    assert bench.ended(run_id)["outcome"] == "merged"
    assert (bench.repository / "a.txt").read_text() == "two\n"


def test_a_target_that_moved_is_merged_as_for_a_plain_approval(bench: RunBench) -> None:
    run_id = bench.order(*writes({"a.txt": b"one\n"}))
    review = bench.waiting(run_id, "review")
    moved = commit(bench.repository, {"other.txt": "x\n"}, "somebody else")
    edit_review(bench, review, {"a.txt": "two\n"})
    assert bench.ended(run_id)["outcome"] == "merged"
    parents = git(bench.repository, "log", "-1", "--format=%P", "main").split()
    assert parents[0] == moved
    assert (
        git(bench.repository, "log", "-1", "--format=%P %an", parents[1])
        == f"{head_of(review)} Ann"
    )
    assert (bench.repository / "a.txt").read_text() == "two\n"
    assert (bench.repository / "other.txt").read_text() == "x\n"


@pytest.mark.parametrize(("carry_over", "carried"), [("[trivial-rebase]", True), ("[]", False)])
def test_where_the_target_is_bound_the_edit_is_carried_over_with_its_proof_or_asked_again(
    bench: RunBench, carry_over: str, carried: bool
) -> None:
    policy(bench, f"carry_over: {carry_over}\n")
    run_id = bench.order(*writes({"a.txt": b"one\n"}))
    review = bench.waiting(run_id, "review")
    moved = commit(bench.repository, {"other.txt": "x\n"}, "somebody else")
    edit_review(bench, review, {"a.txt": "two\n"})
    if not carried:
        second(bench, review)
        assert bench.handoff(review["handoff_id"])["outcome"] == "stale"
        assert git(bench.repository, "rev-parse", "main") == moved
        return
    assert bench.ended(run_id)["outcome"] == "merged"
    done = bench.handoff(review["handoff_id"])
    assert "handoff.carried_over" in [line["type"] for line in done["timeline"]]
    assert done["effect"]["executed_digest"] == done["grant"]["action_digest"]
    assert (bench.repository / "a.txt").read_text() == "two\n"


def test_an_edit_of_a_repository_by_its_address_is_pushed_there(
    bench: RunBench, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(bench.repository), "upstream.git")
    upstream = tmp_path / "upstream.git"
    order = writes({"a.txt": b"one\n"})
    run_id = bench.order(*order, repository=f"file://{upstream}")
    review = bench.waiting(run_id, "review")
    edit_review(bench, review, {"a.txt": "two\n"})
    assert bench.ended(run_id)["outcome"] == "merged"
    assert git(upstream, "log", "-1", "--format=%P %an", "main") == f"{head_of(review)} Ann"
    assert git(upstream, "cat-file", "blob", "main:a.txt") == "two"


def test_an_edit_that_takes_more_is_reviewed_by_another_and_then_merged(bench: RunBench) -> None:
    policy(
        bench,
        "teams: {dba: [bo]}\ngates:\n  - id: large\n    when: change.files.exists(f, f.added > 2)\n"
        "    require: {from: 'team:dba'}\n",
    )
    bo = another(bench, "bo")
    run_id = bench.order(*writes({"a.txt": b"one\n"}))
    first = bench.waiting(run_id, "review")
    opened = edit_review(bench, first, {"a.txt": "1\n2\n3\n"})
    assert opened["decided"] is False
    new = second(bench, first)
    assert new["handoff_id"] == opened["handoff_id"]
    seen = Decision(str(new["handoff_id"]), DecisionKind.APPROVE, str(new["presented_digest"]))
    bench.engine.handoffs.decide(bo, seen)
    assert bench.ended(run_id)["outcome"] == "merged"
    assert (bench.repository / "a.txt").read_text() == "1\n2\n3\n"
    assert git(bench.repository, "log", "-1", "--format=%an", "main") == "Ann"


def test_the_agents_next_turn_is_told_exactly_what_a_reviewer_changed(bench: RunBench) -> None:
    policy(
        bench,
        "gates:\n  - id: pair\n    when: call.tool == 'git.merge'\n    require: {approvals: 2}\n",
    )
    bo = another(bench, "bo")
    another(bench, "cy")
    agent = (
        'if [ -n "$HANDFAST_RESUME" ]; then cat "$HANDFAST_FEEDBACK_FILE" > told.txt;'
        " else printf 'one\\ntwo' > a.txt; fi"
    )
    run_id = bench.order("bash", "-c", agent)
    first = bench.waiting(run_id, "review")
    edit_review(bench, first, {"a.txt": "one\nTWO\n"})
    now = bench.handoff(first["handoff_id"])
    asked = DecisionKind.REQUEST_CHANGES
    said = Decision(now["handoff_id"], asked, now["presented_digest"], reason="do it like that")
    bench.engine.handoffs.decide(bo, said)
    again = second(bench, first)
    told = blob(bench, f"{head_of(again)}:told.txt").decode()
    assert told.startswith("do it like that\n\nAnn edited your work in its review")
    assert "was not merged and is not in your worktree" in told
    lines = ["--- a/a.txt", "+++ b/a.txt", "@@ -1,2 +1,2 @@", " one", "-two"]
    lines += ["\\ No newline at end of file", "+TWO"]
    assert "\n".join(f"    {line}" for line in lines) in told


def test_the_trail_shows_the_edit_and_an_export_with_it_verifies(
    bench: RunBench, tmp_path: Path
) -> None:
    run_id = bench.order(*writes({"a.txt": b"one\n"}))
    review = bench.waiting(run_id, "review")
    edit_review(bench, review, {"a.txt": "two\n"})
    assert bench.ended(run_id)["outcome"] == "merged"
    line = next(
        x["text"]
        for x in bench.handoff(review["handoff_id"])["timeline"]
        if x["type"] == "handoff.decided"
    )
    digests = sha256(b"one\n"), sha256(b"two\n")
    assert f"a.txt from {digests[0]} to {digests[1]}" in line
    path = tmp_path / "log.zip"
    bench.engine.audit.export(bench.person, path, bodies=True)
    key = parse_verifier_key(str(bench.engine.audit.verifier))
    with ZipBundle(path) as bundle:
        report = verify_bundle(bundle, [key], [], ed25519_verify, DiskNotebook, SignedDecisions())
    assert report.ok, report.lines()
    digest = bench.handoff(review["handoff_id"])["decision"]["edited_digest"]
    types = [row.type for row in bench.engine.kernel.store.scan() if digest.encode() in row.data]
    assert types == ["handoff.decided", "grant.minted", "grant.redeemed", "effect.recorded"]
