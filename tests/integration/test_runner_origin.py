"""A repository by its address: what is fetched, what is pushed, and what an agent cannot change about it."""

from pathlib import Path

import pytest

from handfast.core.domain.errors import RejectedError, Unavailable, UsageError
from handfast.runner import origin as origins
from handfast.runner.git import Git
from handfast.runner.origin import Origin
from tests.repositories import commit, git, new_repository


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A bare repository that others push to, too; `made` is a clone of it."""
    repository = new_repository(tmp_path / "made")
    git(tmp_path, "clone", "-q", "--bare", str(repository), "upstream.git")
    git(repository, "remote", "add", "origin", str(tmp_path / "upstream.git"))
    return tmp_path / "upstream.git"


@pytest.fixture
def origin(tmp_path: Path, upstream: Path) -> Origin:
    made = Origin.of(f"file://{upstream}", tmp_path / "data")
    made.sync("run_1", "main")
    return made


def tip(repository: Path, ref: str = "refs/heads/main") -> str:
    return Git(repository).commit_id(ref) or ""


def work_on(origin: Origin, text: str, parent: str = "") -> str:
    """A commit in the work repository alone."""
    work = Git(origin.work)
    blob = work.run("hash-object", "-w", "--stdin", stdin=text.encode()).text
    tree = work.run("mktree", stdin=f"100644 blob {blob}\tnew\n".encode()).text
    return work.run("commit-tree", tree, "-p", parent or tip(origin.work), stdin=b"new\n").text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://git.example.org/a/b.git", True),
        ("ssh://git@example.org:2222/a", True),
        ("git@example.org:a/b.git", True),
        ("file:///srv/a.git", True),
        ("/srv/a", False),
        ("./a:b", False),
        ("ext::sh -c true", False),
        ("C:/repo", False),
    ],
)
def test_an_address_is_told_from_a_folder(text: str, address: bool) -> None:
    assert origins.is_address(text) is address


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(UsageError) as caught:
        origins.remote_branch("https://me:geheim@example.org/a.git", "")
    assert "geheim" not in caught.value.message
    assert origins.shown_address("https://me:geheim@example.org/a") == "https://example.org/a"


def test_the_target_is_where_the_origin_has_it(
    origin: Origin, upstream: Path, tmp_path: Path
) -> None:
    assert tip(origin.work) == tip(upstream)
    Git(origin.work).run("update-ref", "refs/heads/main", work_on(origin, "lost"))
    commit(tmp_path / "made", {"other": "x"})
    git(tmp_path / "made", "push", "-q", "origin", "main")
    origin.sync("run_1", "main")
    assert tip(origin.work) == tip(upstream)
    assert origins.remote_branch(origin.address, "") == ("main", tip(upstream))


def test_a_snapshot_reaches_another_runner(origin: Origin, upstream: Path, tmp_path: Path) -> None:
    kept, ref = work_on(origin, "kept"), "refs/handfast/snapshots/run_1/1"
    origin.push_snapshot(ref, kept)
    origin.push_snapshot(ref, kept)  # a repeat after a crash
    with pytest.raises(RejectedError):
        origin.push_snapshot(ref, work_on(origin, "of one that came too late"))
    other = Origin.of(origin.address, tmp_path / "elsewhere")
    other.sync("run_1", "main")
    assert tip(other.work, ref) == kept == tip(upstream, ref)


def test_a_merge_is_pushed_only_onto_what_was_seen(
    origin: Origin, upstream: Path, tmp_path: Path
) -> None:
    seen = tip(upstream)
    first, second = work_on(origin, "first"), work_on(origin, "second")
    Git(origin.work).run("update-ref", "refs/heads/main", first)
    origin.push_target("main", first, seen)
    origin.push_target("main", first, seen)  # the answer was lost, and it is said again
    assert tip(upstream) == first
    Git(origin.work).run("update-ref", "refs/heads/main", second)
    with pytest.raises(RejectedError) as caught:
        origin.push_target("main", second, seen)
    assert caught.value.code == "push_refused"
    assert tip(upstream) == first
    assert tip(origin.work) == seen, "what the origin did not take is not merged here either"


def test_an_origin_that_is_away_is_no_answer(origin: Origin, upstream: Path) -> None:
    seen = tip(upstream)
    upstream.rename(upstream.with_name("gone"))
    with pytest.raises(Unavailable):
        origin.sync("run_1", "main")
    new = work_on(origin, "new")
    Git(origin.work).run("update-ref", "refs/heads/main", new)
    with pytest.raises(Unavailable):
        origin.push_target("main", new, seen)
    assert tip(origin.work) == seen


def test_a_branch_that_is_not_there_is_a_wrong_order(origin: Origin) -> None:
    with pytest.raises(UsageError, match="no branch `nope`"):
        origin.sync("run_1", "nope")
    with pytest.raises(UsageError, match="no branch `nope`"):
        origins.remote_branch(origin.address, "nope")


def test_settings_an_agent_wrote_into_the_work_repository_are_not_followed(
    origin: Origin, upstream: Path, tmp_path: Path
) -> None:
    evil = new_repository(tmp_path / "evil")
    ran = tmp_path / "ran"
    for name, value in (
        (f"url.{evil}.insteadOf", origin.address),
        ("core.sshCommand", f"touch {ran}"),
        ("core.hooksPath", str(tmp_path / "hooks")),
        ("remote.origin.uploadpack", f"touch {ran}; git-upload-pack"),
        ("credential.helper", f"!touch {ran}"),
    ):
        git(origin.work, "config", name, value)
    hook = tmp_path / "hooks" / "reference-transaction"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    (origin.work / "hooks").mkdir(exist_ok=True)
    (origin.work / "hooks" / "reference-transaction").write_text(hook.read_text())
    (origin.work / "hooks" / "reference-transaction").chmod(0o755)
    origin.sync("run_1", "main")
    new = work_on(origin, "new")
    origin.push_target("main", new, tip(upstream))
    assert tip(upstream) == new
    assert not ran.exists()
