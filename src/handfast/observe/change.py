"""What a change is, from git itself: files, modes, links, protected paths, added lines.

Never from what an agent says about it. One list of `ChangedFile` serves the review of finished work and
the facts of a call.
"""

import os
import posixpath
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

from handfast.core.domain.change import ChangedFile
from handfast.core.domain.errors import AdapterError
from handfast.observe import git
from handfast.observe.owners import owners_at

_SYMLINK, _SUBMODULE = "120000", "160000"
_MAX_LINKS = 50
# Files that run, steer or decide something when the change is merged, whatever the task was about.
_PROTECTED = re.compile(
    r"(^|/)(\.github/|\.gitlab-ci|\.gitlab/|\.circleci/|\.ci/|\.buildkite/|\.travis\.yml$|Jenkinsfile|azure-pipelines"
    r"|bitbucket-pipelines|\.drone\.|\.woodpecker|\.husky/|\.githooks/|\.pre-commit-config|lefthook\.|\.lefthook"
    r"|\.claude/|\.codex/|\.cursor/|\.gemini/|\.mcp\.json$|\.claude\.json$|CLAUDE\.md$|AGENTS\.md$|GEMINI\.md$"
    r"|\.gitattributes$|\.gitmodules$|CODEOWNERS$|renovate\.json|\.renovaterc"
    r"|package-lock\.json$|npm-shrinkwrap\.json$|yarn\.lock$|pnpm-lock\.yaml$|bun\.lockb?$|poetry\.lock$|uv\.lock$|pdm\.lock$"
    r"|Pipfile\.lock$|requirements[^/]*\.lock$|Cargo\.lock$|go\.sum$|Gemfile\.lock$|composer\.lock$|mix\.lock$"
    r"|flake\.lock$|packages\.lock\.json$|gradle\.lockfile$|Podfile\.lock$|Package\.resolved$|\.terraform\.lock\.hcl$)"
)


def is_protected(path: str) -> bool:
    """CI configuration, hooks, lock files, CODEOWNERS, agent settings."""
    return bool(_PROTECTED.search(path))


def has_odd_name(path: str) -> bool:
    """Bytes that are not UTF-8, control characters, `..`, or a `.git` of its own in the middle."""
    parts = path.split("/")
    return bool(re.search(r"[\x00-\x1f\x7f\udc80-\udcff]", path)) or any(
        part in {"..", ".", ""} or part.lower() == ".git" for part in parts
    )


def changed_files(
    worktree: Path, base: str, head: str | None = None, *, owned_at: str = ""
) -> tuple[ChangedFile, ...]:
    """What differs between commit `base` and `head`, or the files on disk when `head` is None.

    On disk, files git does not track are listed too (`?`). Owners are those of commit `owned_at`, `base` when
    empty. A name that is not UTF-8 holds its bytes as `os.fsdecode` gives them. Raises AdapterError when a commit
    is unknown.
    """
    ends = [base] if head is None else [base, head]
    out = git.run(
        worktree,
        "diff",
        *git.DIFF,
        "-z",
        "--raw",
        "--numstat",
        "--no-abbrev",
        "-M",
        "--end-of-options",
        *ends,
        "--",
    )
    files = _parse(out)
    if head is None:
        files += tuple(ChangedFile(path, status="?") for path in git.untracked(worktree))
    return with_owners(worktree, files, owned_at or base)


def with_owners(
    worktree: Path, files: Iterable[ChangedFile], commit: str = ""
) -> tuple[ChangedFile, ...]:
    """The same files with their owners in `commit`. Both ends of a rename count."""
    listed = tuple(files)
    paths = dict.fromkeys(path for file in listed for path in (file.path, file.old_path) if path)
    owners = owners_at(worktree, paths, commit)
    return tuple(
        replace(
            file,
            owners=tuple(dict.fromkeys((*owners[file.path], *owners.get(file.old_path, ())))),
        )
        for file in listed
    )


def _parse(out: bytes) -> tuple[ChangedFile, ...]:
    """`git diff -z --raw --numstat`: all raw records, then all counts (git-diff-tree(1), RAW OUTPUT FORMAT)."""
    fields = out.split(b"\0")
    raw: list[ChangedFile] = []
    counts: dict[str, tuple[int | None, int | None]] = {}
    index = 0
    while index < len(fields) and fields[index]:
        record = fields[index]
        if record.startswith(b":"):
            old_mode, new_mode, _, _, status = record[1:].decode("ascii").split(" ")
            renamed = status[0] in "RC"
            old = os.fsdecode(fields[index + 1])
            new = os.fsdecode(fields[index + 2]) if renamed else old
            raw.append(_changed(new, old if renamed else "", status[0], old_mode, new_mode))
            index += 3 if renamed else 2
        else:
            added, deleted, name = record.split(b"\t", 2)
            path = os.fsdecode(name or fields[index + 2])
            counts[path] = (_count(added), _count(deleted))
            index += 1 if name else 3
    return tuple(_counted(file, counts.get(file.path)) for file in raw)


def _changed(path: str, old: str, status: str, old_mode: str, new_mode: str) -> ChangedFile:
    return ChangedFile(
        path=path,
        old_path=old,
        status=status,
        old_mode=old_mode,
        new_mode=new_mode,
        symlink=new_mode == _SYMLINK,
        submodule=_SUBMODULE in {old_mode, new_mode},
    )


def _counted(file: ChangedFile, counts: tuple[int | None, int | None] | None) -> ChangedFile:
    if counts is None:
        return file
    return replace(file, added=counts[0], deleted=counts[1], binary=counts[0] is None)


def _count(field: bytes) -> int | None:
    return None if field == b"-" else int(field)


def escaping_links(
    worktree: Path, files: Iterable[ChangedFile], head: str | None = None
) -> tuple[str, ...]:
    """Symbolic links of `files` that lead out of the worktree, or into its `.git`.

    Read from commit `head`, or from disk. A link whose target cannot be read, and each beyond the first 50,
    counts as leading out.
    """
    links = [file.path for file in files if file.symlink]
    return tuple(
        path
        for index, path in enumerate(links)
        if index >= _MAX_LINKS or _leads_out(path, _target(worktree, path, head))
    )


def _target(worktree: Path, path: str, head: str | None) -> str | None:
    try:
        if head is None:
            return str((worktree / path).readlink())
        return os.fsdecode(git.run(worktree, "cat-file", "blob", f"{head}:{path}"))
    except (OSError, AdapterError):
        return None


def _leads_out(path: str, target: str | None) -> bool:
    if not target or target.startswith("/"):
        return True
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return reached.split("/")[0].lower() in {"..", ".git"}


def added_text(diff: str) -> str:
    """The lines a unified diff adds. The whole diff where it cannot be read as one."""
    try:
        patch = PatchSet(diff)
    except (UnidiffParseError, ValueError):
        return diff
    return "".join(line.value for file in patch for hunk in file for line in hunk if line.is_added)
