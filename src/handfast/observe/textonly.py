"""What holds where only the text of a command is known: no worktree can be asked what a deletion loses.

Deleting a named file passes: it is what agents do to their own scratch, and git keeps a tracked one. A
pattern, a folder, the whole worktree, and files that are never scratch (settings, keys, data) do not pass.
"""

import fnmatch
import re
from dataclasses import dataclass, field
from pathlib import Path

from handfast.observe.scope import Scope

# A place no command names: what is relative is inside the worktree, everything else is not.
_WORKTREE, _HOME = Path("/.handfast-text/worktree"), Path("/.handfast-home/agent")

# Made again by the next run of the tool that made them.
_REGENERATED = re.compile(
    r"__pycache__|\.(pytest|mypy|ruff|tox|nox|hypothesis|eggs|nyc_output|parcel-cache|ipynb_checkpoints)(_cache)?"
    r"|\*?\.?[\w*-]*\.(pyc|pyo|egg-info|swp|swo|orig|rej)|\*?\.py\[(co|cod|oc)\]|[\w*.-]*~|htmlcov|\.coverage[\w.*]*"
    r"|\.DS_Store|node_modules|nosetests\.xml|build|dist|target|_build|coverage|cmake-build-\w+|\.(next|nuxt|svelte-kit|turbo|vite|gradle|cache)"
    r"|\*\.(log|tmp|o|obj|class)"
)
# Never an agent's scratch: settings and manifests, keys, data.
_KEPT = re.compile(
    r"(^|/)(\.env|\.git|readme|licen[cs]e|changelog|dockerfile|docker-compose|makefile|gnumakefile)[^/]*\Z"
    r"|(^|/)(pyproject\.toml|setup\.(py|cfg)|tox\.ini|package\.json|cargo\.toml|go\.mod|pom\.xml|build\.gradle(\.kts)?"
    r"|gemfile|manage\.py|conftest\.py|__init__\.py|codeowners|[^/]*\.lock|package-lock\.json|go\.sum)\Z",
    re.IGNORECASE,
)
_DATA = re.compile(
    r"(^|/)[^/.]*\.bak\Z|\.(db|db3|sqlite3?|mdb|accdb|dump|backup|tfstate|pem|key|p12|pfx|jks|keystore|kdbx|rdb|qcow2|vmdk|vdi|img)\Z"
    r"|(^|/)\.env[^/]*\Z|(^|/)(id_rsa|id_ed25519)\Z",
    re.IGNORECASE,
)
_LIKELY = (
    ".ssh/id_rsa", ".ssh/id_ed25519", ".aws/credentials", ".netrc", ".git-credentials", ".npmrc", ".pypirc",
    ".kube/config", ".docker/config.json", ".gnupg/private-keys-v1.d", ".claude/settings.json", ".bash_history",
)  # fmt: skip
_LIKELY_HERE = (
    ".env",
    ".git",
    ".git/config",
    ".git/hooks/pre-commit",
    ".claude/settings.json",
    ".mcp.json",
)
_LIKELY_ABSOLUTE = (
    "/etc/shadow",
    "/etc/passwd",
    "/etc/sudoers",
    *(f"/root/{each}" for each in _LIKELY[:3]),
)


def text_scope() -> Scope:
    """The ground of a command of which only the text is known, the same on every machine."""
    return Scope(worktree=_WORKTREE, cwd=_WORKTREE, home=_HOME, on_disk=False)


def likely_matches(pattern: str, home: str, worktree: str) -> list[str]:
    """Well-known paths an absolute glob pattern would match, component by component as the shell does."""
    known = [f"{home}/{each}" for each in _LIKELY]
    known += [f"{worktree}/{each}" for each in _LIKELY_HERE]
    return [path for path in (*known, *_LIKELY_ABSOLUTE) if _fits(path, pattern)]


def _fits(path: str, pattern: str) -> bool:
    parts, wanted = path.split("/"), pattern.rstrip("/").split("/")
    return len(parts) == len(wanted) and all(
        fnmatch.fnmatchcase(part, want)
        and (not part.startswith(".") or want.startswith((".", "[.]")))
        for part, want in zip(parts, wanted, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Deletion:
    """A path inside the worktree that is deleted. `pattern` is what narrows it (`find -name`), if anything.

    `many` says that the word stands for whatever is there: a glob, or what a search finds.
    """

    path: str
    recursive: bool
    many: bool
    pattern: str = ""


@dataclass(slots=True)
class Session:
    """What earlier commands of one run made. A name counts as made here when this run first spoke of it so."""

    made: set[str] = field(default_factory=set)
    edited: set[str] = field(default_factory=set)
    mentioned: set[str] = field(default_factory=set)
    _new: set[str] = field(default_factory=set)

    def begin(self, command: str) -> None:
        """Before a command is read: what it names for the first time may be made by it."""
        self._new = set(_NAMES.findall(command)) - self.mentioned
        self.mentioned |= self._new

    def wrote(self, path: str, root: str) -> None:
        """A path was written: it is edited, and made where its name is new. So are new folders above it."""
        self.edited.add(path)
        while path.startswith(root + "/"):
            if path.rpartition("/")[2] in self._new:
                self.made.add(path)
            path = path.rpartition("/")[0]

    def owns(self, path: str) -> bool:
        """Whether the run made `path` or a folder above it."""
        while path:
            if path in self.made:
                return True
            path = path.rpartition("/")[0]
        return False


_NAMES = re.compile(r"[\w.+-]+")


def loss(deletion: Deletion, session: Session | None, shown: str) -> str | None:
    """Why a deletion must be asked about; None when the text alone gives no reason to."""
    name = deletion.pattern or deletion.path.rstrip("/").rpartition("/")[2]
    if _REGENERATED.fullmatch(name) or (session is not None and session.owns(deletion.path)):
        return None
    if shown == ".":
        return "deletes the worktree"
    if deletion.many:
        return f"deletes whatever {shown} stands for"
    if deletion.recursive:
        return f"deletes {shown} with all that is below it"
    if _KEPT.search(shown) or _DATA.search(shown):
        return f"deletes {shown}, which is not scratch"
    return None


def overwrites(path: str, session: Session | None) -> bool:
    """Whether writing `path` anew loses data that git usually does not keep."""
    return bool(_DATA.search(path)) and not (session is not None and session.owns(path))
