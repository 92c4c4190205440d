"""What a reviewer of finished work must know, from the commits themselves."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from handfast.observe.git import Commit, FileChange, changes, commits

_SYMLINK, _SUBMODULE = "120000", "160000"
# Files that run or steer something when the change is merged, whatever the task was about.
_POWERFUL = re.compile(
    r"(^|/)(\.github/(workflows|actions)/|\.gitlab-ci|\.circleci/|\.ci/|Jenkinsfile|azure-pipelines|\.husky/"
    r"|\.pre-commit-config|\.claude/|\.codex/|\.cursor/|\.mcp\.json|\.gitattributes$|\.gitmodules$|CODEOWNERS$)"
)


@dataclass(frozen=True, slots=True)
class ReviewFacts:
    """Counts leave binary files out. Paths in `outside_scope` match none of the brief's globs.

    `powerful` lists files that run or steer something by themselves: workflows, hooks, agent settings.
    `mode_changes` lists files whose executable bit or type changed.
    """

    files: tuple[FileChange, ...]
    commits: tuple[Commit, ...]
    insertions: int
    deletions: int
    outside_scope: tuple[str, ...]
    symlinks: tuple[str, ...]
    submodules: tuple[str, ...]
    mode_changes: tuple[str, ...]
    binaries: tuple[str, ...]
    powerful: tuple[str, ...]


def review_facts(worktree: Path, base: str, head: str, scope: Sequence[str] = ()) -> ReviewFacts:
    """Facts about `base`..`head`. An empty `scope` means the brief set no limit.

    A path in `scope` is a file, a folder, or a glob: `*` stays within one folder, `**` crosses folders.
    Raises AdapterError when a commit is unknown.
    """
    files = changes(worktree, base, head)
    return ReviewFacts(
        files=files,
        commits=commits(worktree, base, head),
        insertions=sum(change.insertions or 0 for change in files),
        deletions=sum(change.deletions or 0 for change in files),
        outside_scope=_outside(files, scope),
        symlinks=_paths(files, lambda change: change.new_mode == _SYMLINK),
        submodules=_paths(files, lambda change: _SUBMODULE in {change.old_mode, change.new_mode}),
        mode_changes=_paths(files, _mode_changed),
        binaries=_paths(files, lambda change: change.insertions is None),
        powerful=_paths(files, lambda change: bool(_POWERFUL.search(change.path))),
    )


def _paths(files: tuple[FileChange, ...], wanted: Callable[[FileChange], bool]) -> tuple[str, ...]:
    return tuple(change.path for change in files if wanted(change))


def _mode_changed(change: FileChange) -> bool:
    absent = "000000"
    return absent not in {change.old_mode, change.new_mode} and change.old_mode != change.new_mode


def _outside(files: tuple[FileChange, ...], scope: Sequence[str]) -> tuple[str, ...]:
    """Both ends of a rename count: moving a file out of another area changes that area."""
    if not scope:
        return ()
    touched = [path for change in files for path in (change.old_path, change.path) if path]
    return tuple(path for path in dict.fromkeys(touched) if not in_scope(path, scope))


def in_scope(path: str, scope: Sequence[str]) -> bool:
    return any(_compiled(glob).match(path) for glob in scope)


@lru_cache(maxsize=512)
def _compiled(glob: str) -> re.Pattern[str]:
    cleaned = glob.removeprefix("./").rstrip("/")
    if cleaned in {"", "."}:
        return re.compile("")
    pattern = ""
    for token in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", cleaned):
        pattern += {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(
            token
        ) or re.escape(token)
    return re.compile(f"{pattern}(?:/.*)?\\Z", re.DOTALL)
