"""What a reviewer of finished work must know, from the commits themselves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from handfast.core.domain.brief_scope import in_scope
from handfast.core.domain.change import ChangedFile
from handfast.observe.change import changed_files, escaping_links, has_odd_name, is_protected
from handfast.observe.git import Commit, commits


@dataclass(frozen=True, slots=True)
class ReviewFacts:
    """Counts leave binary files out. Paths in `outside_scope` match none of the brief's globs.

    `powerful` lists files that run or steer something by themselves: workflows, hooks, lock files, owners, agent
    settings. `escaping` lists links that lead out of the worktree, `odd_names` names with bytes that are not
    UTF-8, control characters or `..`.
    `mode_changes` lists files whose executable bit or type changed.
    """

    files: tuple[ChangedFile, ...]
    commits: tuple[Commit, ...]
    insertions: int
    deletions: int
    outside_scope: tuple[str, ...]
    symlinks: tuple[str, ...]
    submodules: tuple[str, ...]
    mode_changes: tuple[str, ...]
    binaries: tuple[str, ...]
    powerful: tuple[str, ...]
    escaping: tuple[str, ...]
    odd_names: tuple[str, ...]


def review_facts(worktree: Path, base: str, head: str, scope: Sequence[str] = ()) -> ReviewFacts:
    """Facts about `base`..`head`. An empty `scope` means the brief set no limit.

    A path in `scope` is a file, a folder, or a glob: `*` stays within one folder, `**` crosses folders.
    Raises AdapterError when a commit is unknown.
    """
    files = changed_files(worktree, base, head)
    return ReviewFacts(
        files=files,
        commits=commits(worktree, base, head),
        insertions=sum(file.added or 0 for file in files),
        deletions=sum(file.deleted or 0 for file in files),
        outside_scope=_outside(files, scope),
        symlinks=_paths(files, lambda file: file.symlink),
        submodules=_paths(files, lambda file: file.submodule),
        mode_changes=_paths(files, lambda file: file.mode_changed),
        binaries=_paths(files, lambda file: file.binary),
        powerful=_paths(files, lambda file: is_protected(file.path) or is_protected(file.old_path)),
        escaping=escaping_links(worktree, files, head),
        odd_names=_paths(files, lambda file: has_odd_name(file.path)),
    )


def _paths(
    files: tuple[ChangedFile, ...], wanted: Callable[[ChangedFile], bool]
) -> tuple[str, ...]:
    return tuple(change.path for change in files if wanted(change))


def _outside(files: tuple[ChangedFile, ...], scope: Sequence[str]) -> tuple[str, ...]:
    """Both ends of a rename count: moving a file out of another area changes that area."""
    if not scope:
        return ()
    touched = [path for change in files for path in (change.old_path, change.path) if path]
    return tuple(path for path in dict.fromkeys(touched) if not in_scope(path, scope))
