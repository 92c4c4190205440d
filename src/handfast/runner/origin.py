"""A repository that a run names by its address: fetched here, worked on here, pushed back by us alone.

Two repositories of a runner's own stand for it. The *mirror* speaks to the network and is never shown to an
agent, whose worktree could otherwise change where a fetch goes or which program it starts. The *work*
repository is what worktrees are linked to; it is filled from the mirror on the same disk, and what is pushed
is read from its objects.

At every start of a lease the target branch is put to where the origin has it: the origin says what is merged.
Snapshots are pushed under the same hidden refs, so that any runner that reaches the origin can go on.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from handfast.core.domain.errors import AdapterError, RejectedError, Unavailable, UsageError
from handfast.core.domain.faults import fault_point
from handfast.core.domain.inert import inert
from handfast.runner.fence import Fence
from handfast.runner.git import Git

FOLDER: Final = "repositories"
_ADDRESS: Final = re.compile(
    r"(https?|ssh|git|file)://[^\s\x00-\x1f]+|[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^\s\x00-\x1f]+"
)
_TIMEOUT_S: Final = 120.0


def is_address(repository: str) -> bool:
    """Whether it is fetched from somewhere, rather than being a folder here."""
    return _ADDRESS.fullmatch(repository) is not None


def shown_address(address: str) -> str:
    """Without what stands before the host: it may hold a password."""
    return inert(re.sub(r"://[^/@\s]*@", "://", address), 300, multiline=False)


def check_address(address: str) -> None:
    """Raises UsageError for an address with a password: it would stand in the log."""
    if re.match(r"[a-z]+://[^/@\s]*:[^/@\s]*@", address):
        raise UsageError(
            "the repository's address holds a password",
            code="repository_password",
            hint="Leave it out, and give each runner's git a credential helper.",
            details={"field": "repository"},
        )


def remote_branch(address: str, branch: str) -> tuple[str, str]:
    """The branch, the origin's own when none is named, and its commit. Raises UsageError, Unavailable."""
    check_address(address)
    asked = f"refs/heads/{branch}" if branch else "HEAD"
    git = Git(Path("/"), network=True)
    try:
        told = git.run(
            "ls-remote", "--symref", "--", address, asked, timeout_s=_TIMEOUT_S
        ).stdout.decode("utf-8", "replace")
    except AdapterError as error:
        raise _unreachable(address, error) from error
    name = branch
    for line in told.splitlines():
        if line.startswith("ref: refs/heads/"):
            name = line.removeprefix("ref: refs/heads/").partition("\t")[0]
    found = re.search(rf"^([0-9a-f]{{40,64}})\t{re.escape(asked)}$", told, re.MULTILINE)
    if not found or not name:
        raise UsageError(
            f"`{shown_address(address)}` has no branch `{branch or 'HEAD'}`",
            code="target_branch_unknown",
            hint="Name a branch that exists: --target.",
            details={"field": "target_branch"},
        )
    return name, found[1]


@dataclass(frozen=True, slots=True)
class Origin:
    """Everything may be called again after a crash. Raises Unavailable when the origin does not answer."""

    address: str
    folder: Path

    @classmethod
    def of(cls, address: str, home: Path) -> "Origin":
        name = sha256(address.encode()).hexdigest()[:16]
        return cls(address, home / FOLDER / name)

    @property
    def mirror(self) -> Path:
        return self.folder / "mirror.git"

    @property
    def work(self) -> Path:
        return self.folder / "work.git"

    def sync(self, run_id: str, target: str) -> None:
        """Bring the origin's branches and this run's snapshots here, and the target to where it is there.

        Raises UsageError (`target_branch_unknown`).
        """
        with self._alone():
            mirror = self._made(self.mirror)
            hidden = [
                f"+refs/handfast/{kind}/{run_id}/*:refs/handfast/{kind}/{run_id}/*"
                for kind in ("snapshots", "fences")
            ]
            self._fetch(
                replace(mirror, network=True), self.address, "+refs/heads/*:refs/heads/*", *hidden
            )
            tip = mirror.commit_id(f"refs/heads/{target}")
            if tip is None:
                raise UsageError(
                    f"`{shown_address(self.address)}` has no branch `{target}`",
                    code="target_branch_unknown",
                    hint="Name a branch that exists: --target.",
                )
            work = self._made(self.work)
            near = replace(work, protocols="file")
            self._fetch(near, str(self.mirror), "+refs/heads/*:refs/remotes/origin/*", *hidden)
            if work.commit_id(tip) != tip:
                raise AdapterError(f"`{self.work}` was not filled from `{self.mirror}`")
            work.run("update-ref", "-m", "handfast: as at the origin", f"refs/heads/{target}", tip)

    def push_snapshot(self, ref: str, commit: str) -> None:
        """Keep a snapshot where other runners find it. Raises RejectedError when the origin refuses it."""
        fault_point("snapshot.before_push")
        self._push([f"{commit}:{ref}"], [f"--force-with-lease={ref}:"])
        fault_point("snapshot.after_push")

    def push_fence(self, fence: Fence) -> None:
        """Raise the fence at the origin, too. Raises RejectedError when it stands elsewhere by now."""
        lease = f"--force-with-lease={fence.ref}:{fence.before}"
        self._push([f"{fence.commit}:{fence.ref}"], [lease])

    def push_target(self, branch: str, new: str, old: str, fence: Fence | None = None) -> None:
        """Move the origin's branch from `old` to `new`, which is merged here already; only while the fence
        stands.

        Raises RejectedError (`push_refused`) when it is not at `old` any more, or the origin does not want it;
        Unavailable when nobody says what became of it. Here the branch is as it was, then.
        """
        ref = f"refs/heads/{branch}"
        try:
            fault_point("merge.before_push")
            updates, leases = [f"{new}:{ref}"], [f"--force-with-lease={ref}:{old}"]
            if fence is not None:
                updates.append(f"{fence.commit}:{fence.ref}")
                leases.append(f"--force-with-lease={fence.ref}:{fence.commit}")
            self._push(updates, leases)
            fault_point("merge.after_push")
        except (RejectedError, Unavailable):
            work = Git(self.work)
            if work.commit_id(ref) == new:
                work.run("update-ref", "-m", "handfast: the origin did not take it", ref, old)
            raise

    def _push(self, updates: Sequence[str], leases: Sequence[str]) -> None:
        """All of it or nothing."""
        objects = self.work / "objects"
        git = replace(Git(self.mirror, self.mirror), network=True, borrowed=objects)
        with self._alone():
            try:
                done = git.run(
                    "push", "--porcelain", "--no-verify", "--no-signed", "--recurse-submodules=no",
                    "--atomic", *leases, "--", self.address, *updates,
                    accept=(0, 1), timeout_s=_TIMEOUT_S,
                )  # fmt: skip
            except AdapterError as error:
                raise _unreachable(self.address, error) from error
        if done.code == 0:
            return
        told = done.stdout.decode("utf-8", "replace")
        if not re.search(r"^!", told, re.MULTILINE):
            raise _unreachable(self.address, AdapterError(done.stderr or "no message"))
        raise RejectedError(
            f"`{shown_address(self.address)}` refused the push: {inert(told, 500, multiline=False)}",
            code="push_refused",
            hint="Look at the rights of the runner's account and at rules for that branch.",
        )

    def _fetch(self, git: Git, source: str, *refspecs: str) -> None:
        try:
            git.run(
                "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules",
                "--no-auto-maintenance", "--upload-pack=git-upload-pack", "--", source, *refspecs,
                timeout_s=_TIMEOUT_S,
            )  # fmt: skip
        except AdapterError as error:
            raise _unreachable(self.address, error) from error

    def _made(self, path: Path) -> Git:
        if not (path / "HEAD").is_file():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            Git(path.parent).run("init", "--quiet", "--bare", "--template=", str(path))
        return Git(path, path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time, threads of this runner too."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _unreachable(address: str, error: AdapterError) -> Unavailable:
    return Unavailable(
        f"the repository `{shown_address(address)}` does not answer: {error.message}",
        code="origin_unreachable",
        hint="Check the address, and that this account's git may read and push without being asked.",
    )
