"""Keeps a runner that comes back late from moving a branch: a ref of the run names the epoch that may.

A runner may be frozen between taking the start of an approved merge and making it. The one that follows it
raises the fence before it looks what became of the merge; the update of the branch, here and at the origin,
holds only together with the fence of its own epoch. So what was found not to be merged stays so.
"""

import re
from dataclasses import dataclass
from typing import Final

from handfast.core.domain.errors import AdapterError, StaleEpoch
from handfast.runner.git import Git

FOLDER: Final = "refs/handfast/fences"
_NOTHING: Final = "0" * 40
_TITLE: Final = re.compile(r"epoch (\d+)")


@dataclass(frozen=True, slots=True)
class Fence:
    """`commit` is where `ref` must stand; `before` where it stood, empty when it was not there."""

    ref: str
    commit: str
    before: str = ""

    def move(self, branch_ref: str, new: str, old: str) -> bytes:
        """What `git update-ref --stdin` is told: both hold, or nothing is done."""
        return f"verify {self.ref} {self.commit}\nupdate {branch_ref} {new} {old}\n".encode()


def raise_fence(git: Git, run_id: str, epoch: int) -> Fence:
    """Let nobody with a lower epoch move a branch for this run. Idempotent.

    Raises StaleEpoch where the fence is higher, AdapterError when another one raises it at this moment.
    """
    ref = f"{FOLDER}/{run_id}/epoch"
    before = git.commit_id(ref) or ""
    if before:
        found = _TITLE.fullmatch(git.text("show", "--no-patch", "--format=%s", before))
        standing = int(found[1]) if found else 0
        if standing > epoch:
            raise StaleEpoch(
                f"run `{run_id}` is at epoch {standing} in its repository, this is {epoch}"
            )
        if standing == epoch:
            return Fence(ref, before, before)
    tree = git.run("mktree", stdin=b"").text
    commit = git.run("commit-tree", tree, stdin=f"epoch {epoch}\n".encode()).text
    git.run("update-ref", ref, commit, before or _NOTHING)
    return Fence(ref, commit, before)


def check_fence(git: Git, fence: Fence | None) -> None:
    """Raises StaleEpoch when another runner has the run by now."""
    if fence is not None and git.commit_id(fence.ref) != fence.commit:
        raise StaleEpoch(
            "another runner has this run by now: nothing was merged",
            hint="Let go of the run.",
        )


def fenced_move(git: Git, fence: Fence | None, branch_ref: str, new: str, old: str) -> None:
    """Compare-and-swap of a branch. Raises StaleEpoch, AdapterError."""
    words = ("update-ref", "-m", "handfast: merge of an approved commit")
    if fence is None:
        git.run(*words, branch_ref, new, old)
        return
    try:
        git.run(*words, "--stdin", stdin=fence.move(branch_ref, new, old))
    except AdapterError:
        check_fence(git, fence)
        raise
