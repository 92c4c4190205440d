"""Digests of the mutable things a call depends on, so that an approval dies when they change."""

import hashlib
from dataclasses import replace
from pathlib import Path

from handfast.core.domain.action import MISSING, Call, Operand
from handfast.observe import git
from handfast.observe.scope import Scope

GIT, TREE, IMAGE = "git:", "tree:", "image:"
ALL_REFS = "git:--all"


def file_operand(path: str, scope: Scope) -> Operand:
    """`path` relative to the worktree, or absolute. A folder or a file that cannot be read is `missing`."""
    state = hashlib.sha256()
    try:
        with (Path(scope.worktree) / path).open("rb") as file:
            while chunk := file.read(1 << 20):
                state.update(chunk)
    except OSError:
        return Operand(path, MISSING)
    return Operand(path, "sha256:" + state.hexdigest())


def ref_operand(path: str, scope: Scope) -> Operand:
    """`git:<ref>`: a digest over the commit id the ref stands for; `git:--all` over every branch and tag."""
    if path == ALL_REFS:
        return Operand(path, _sha256(git.refs_state(scope.worktree)))
    commit = git.resolve(scope.cwd, path.removeprefix(GIT))
    return Operand(path, _sha256(commit.encode()) if commit else MISSING)


def tree_operand(path: str, scope: Scope) -> Operand | None:
    """`tree:.`: commit, uncommitted changes and untracked files. None when too large to hash."""
    if not git.is_repository(scope.worktree):
        return Operand(path, MISSING)
    state = git.tree_state(scope.worktree)
    return Operand(path, "sha256:" + state) if state else None


def rehash(call: Call, scope: Scope) -> Call:
    """The same call with its operands read again. Compare its digest with the approved one before running.

    Raises AdapterError when git cannot be asked: treat that as changed.
    """
    return replace(call, operands=tuple(_again(operand.path, scope) for operand in call.operands))


def _again(path: str, scope: Scope) -> Operand:
    if path.startswith(GIT):
        return ref_operand(path, scope)
    if path.startswith(IMAGE):
        return Operand(path, MISSING)  # no registry is asked: a tag has no digest here
    if path.startswith(TREE):
        return tree_operand(path, scope) or Operand(path, MISSING)
    return file_operand(path, scope)


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
