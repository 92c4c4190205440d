"""Read-only questions to git about a worktree.

Never takes locks, prompts, or runs hooks, pagers, external diffs, text conversion or the file-system
monitor, and never reads `GIT_*` variables of the caller. Comparing with the files on disk may still run a
clean filter the repository configures (`filter.*.clean`); comparing two commits runs nothing.
"""

import hashlib
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from handfast.core.domain.errors import AdapterError

_TIMEOUT_S = 30
_SAFE = (
    "git",
    "--no-pager",
    "--literal-pathspecs",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "diff.external=",
    "-c",
    "core.quotePath=false",
    "-c",
    "log.showSignature=false",
)
DIFF = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=none")
_MAX_TREE_FILES = 2_000
_MAX_TREE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Commit:
    """`at` is the committer date in RFC 3339, with the offset the committer's clock had."""

    id: str
    subject: str
    author: str
    at: str
    parents: tuple[str, ...]


def run(worktree: Path, *arguments: str) -> bytes:
    """Standard output of one git command. Raises AdapterError with git's own words when it fails."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment |= {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_PAGER": "cat",
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C",
    }
    try:
        done = subprocess.run(
            [*_SAFE, *arguments],
            cwd=worktree,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise AdapterError(
            f"git could not be run in `{worktree}`: {error}",
            code="git_unavailable",
            hint="Check that the folder exists and that git is installed.",
        ) from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[:500]
        raise AdapterError(
            f"`git {arguments[0]}` failed in `{worktree}`: {said or f'exit {done.returncode}'}",
            code="git_failed",
            hint="Check that the folder is a git repository and the named commits exist.",
        )
    return done.stdout


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _names(data: bytes) -> tuple[str, ...]:
    return tuple(os.fsdecode(name) for name in data.split(b"\0") if name)


def is_repository(folder: Path) -> bool:
    try:
        return run(folder, "rev-parse", "--is-inside-work-tree").strip() == b"true"
    except AdapterError:
        return False


def resolve(worktree: Path, ref: str) -> str | None:
    """The commit id a name stands for, None when there is none."""
    try:
        found = run(
            worktree, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"
        )
    except AdapterError:
        return None
    return _text(found).strip()


def head(worktree: Path) -> str | None:
    """The commit checked out, None before the first one."""
    return resolve(worktree, "HEAD")


def branch(worktree: Path) -> str | None:
    """The branch checked out, None when HEAD is detached."""
    try:
        return _text(run(worktree, "symbolic-ref", "--quiet", "--short", "HEAD")).strip()
    except AdapterError:
        return None


def alias(worktree: Path, name: str) -> str | None:
    """What the configuration makes of `git NAME`."""
    try:
        return _text(run(worktree, "config", "--get", f"alias.{name}")).rstrip("\n")
    except AdapterError:
        return None


def _inside(worktree: Path, paths: Iterable[str | Path]) -> list[str]:
    """Paths of this worktree, relative to it; the last component is not followed when it is a link."""
    root = os.path.realpath(worktree)
    found: list[str] = []
    for path in paths:
        parent, name = os.path.split(os.path.join(root, path).rstrip("/"))  # noqa: PTH118 - text, not files
        full = (
            os.path.realpath(parent) + "/" + name
            if name not in {"", ".", ".."}
            else os.path.realpath(
                os.path.join(parent, name)  # noqa: PTH118
            )
        )
        if full == root:
            found.append(".")
        elif full.startswith(root + "/"):
            found.append(full[len(root) + 1 :])
    return found


def tracked(worktree: Path, paths: Sequence[str | Path]) -> tuple[str, ...]:
    """Tracked files at or below `paths`, relative to the worktree. Paths elsewhere are ignored."""
    wanted = _inside(worktree, paths)
    return _names(run(worktree, "ls-files", "-z", "--", *wanted)) if wanted else ()


def is_tracked(worktree: Path, path: str | Path) -> bool:
    return bool(tracked(worktree, [path]))


def untracked(worktree: Path) -> tuple[str, ...]:
    """Files git neither tracks nor ignores."""
    return _names(run(worktree, "ls-files", "-z", "--others", "--exclude-standard"))


def uncommitted(worktree: Path, paths: Sequence[str | Path] = ()) -> tuple[str, ...]:
    """Tracked files whose content differs from the last commit: what a reset or checkout would lose."""
    wanted = _inside(worktree, paths)
    if paths and not wanted:
        return ()
    out = run(
        worktree,
        "status",
        "--porcelain",
        "-z",
        "--untracked-files=no",
        "--no-renames",
        "--",
        *wanted,
    )
    return tuple(entry[3:] for entry in _names(out))


def diff_text(worktree: Path, base: str, head: str) -> str:
    """The unified diff between two commits. Bytes that are not UTF-8 become replacement characters."""
    return _text(
        run(
            worktree,
            "diff",
            *DIFF,
            "--src-prefix=a/",
            "--dst-prefix=b/",
            "-M",
            "--end-of-options",
            base,
            head,
            "--",
        )
    )


def commits(worktree: Path, base: str, head: str) -> tuple[Commit, ...]:
    """Commits reachable from `head` and not from `base`, newest first."""
    out = run(
        worktree,
        "log",
        "-z",
        "--format=%H%x1f%s%x1f%an <%ae>%x1f%cI%x1f%P",
        "--end-of-options",
        f"{base}..{head}",
        "--",
    )
    found = []
    for record in filter(None, _text(out).split("\0")):
        commit, subject, author, at, parents = record.split("\x1f")
        found.append(Commit(commit, subject, author, at, tuple(parents.split())))
    return tuple(found)


def merge_base(worktree: Path, one: str, other: str) -> str | None:
    try:
        return _text(run(worktree, "merge-base", one, other)).strip()
    except AdapterError:
        return None


def refs_state(worktree: Path) -> bytes:
    """Every branch and tag with its commit, for an operand that stands for all of them."""
    return run(
        worktree, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags"
    )


def tree_state(worktree: Path) -> str | None:
    """One hexadecimal digest over the commit, uncommitted changes and untracked files of a worktree.

    None when there is more untracked content than is worth hashing before an answer (2,000 files, 64 MB).
    """
    state = hashlib.sha256((head(worktree) or "none").encode())
    base = (
        "HEAD" if head(worktree) else "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    )  # the empty tree
    state.update(run(worktree, "diff", *DIFF, "--binary", base, "--"))
    names, size = untracked(worktree), 0
    if len(names) > _MAX_TREE_FILES:
        return None
    for name in sorted(names):
        file = Path(worktree) / name
        if file.is_symlink():
            content = os.fsencode(file.readlink())
        elif file.is_file():
            size += file.stat().st_size
            if size > _MAX_TREE_BYTES:
                return None
            content = file.read_bytes()
        else:
            continue
        state.update(os.fsencode(name) + b"\0" + hashlib.sha256(content).digest())
    return state.hexdigest()
