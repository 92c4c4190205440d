"""Where a path really leads, and whose ground that is. Symbolic links and `..` are resolved first."""

import glob
import os
import re
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from pathlib import Path

from handfast.observe.scope import Scope
from handfast.observe.textonly import likely_matches
from handfast.observe.words import (
    BENEATH,
    BRACKET,
    DYNAMIC,
    QUERY,
    STAR,
    TILDE,
    Word,
    glob_pattern,
)

_MAX_GLOBBED = 500
# A pattern with more active parts than this stands for everything below its fixed beginning.
_MAX_GLOB_PARTS = 2
_GLOBBED_PART = re.compile(f"[^/]*[{STAR}{QUERY}{BRACKET}][^/]*")


class Place(StrEnum):
    WORKTREE = "worktree"
    SCRATCH = "scratch"
    OUTSIDE = "outside"
    GIT = "git"  # inside a .git folder
    AGENT = "agent"  # files that steer agents: sub-agents, commands, skills
    CONTROL = "control"
    NOWHERE = "nowhere"  # /dev/null and terminals


_NOWHERE = re.compile(r"/dev/(null|stdout|stderr|stdin|tty|zero|full|u?random|fd/\d+|pts/\d+)$")
# Settings that switch hooks on or off, by their place below a home folder or a project.
_CONTROL_FILE = re.compile(
    r"/\.claude/settings[^/]*\.json$|/\.claude/hooks(/|$)|/\.claude\.json$|/\.mcp\.json$|/\.codex(/|$)"
    r"|/\.cursor/(hooks|mcp)\.json$|/\.gemini/settings\.json$|/managed-(settings|mcp)\.json$|/etc/claude-code(/|$)"
)
_CONTROL_FOLDER = re.compile(r"/\.(claude|codex|cursor|gemini)$")
_AGENT_FILE = re.compile(r"/\.claude/(agents|commands|skills|plugins|output-styles)(/|$)")
_AGENT_SCRATCH = re.compile(r"/\.claude/plans/")
_GIT_FILE = re.compile(r"/\.git(/|$)")

_SECRET = re.compile(
    r"/\.env(\.(?!example$|sample$|template$|dist$|tpl$)[^/]*)?$|/\.envrc$|/\.?_?netrc$|/\.git-credentials$|/\.pypirc$"
    r"|/\.ssh(/(?!known_hosts|config$|[^/]*\.pub$)[^/]*)?$|/\.(aws|gnupg|azure|password-store|kube)(/|$)"
    r"|/\.docker/config\.json$|/\.config/(gh|gcloud|op|hub|sops)(/|$)|/(id_rsa|id_dsa|id_ecdsa|id_ed25519)$"
    r"|/\.(pgpass|my\.cnf|vault-token|htpasswd|boto|s3cfg|terraformrc)$|/\.claude/\.credentials\.json$|/\.codex/auth\.json$"
    r"|/etc/(shadow|gshadow|sudoers)|/proc/[^/]+/(environ|mem)$|/Keychains?(/|$)|/keyrings(/|$)|\.(kdbx|tfstate)$"
    r"|/(client_secret[^/]*|service[-_]account[^/]*|credentials)\.json$|/\.cargo/credentials(\.toml)?$"
    r"|/\.gem/credentials$|/secrets?\.(ya?ml|json|toml|env)$"
    r"|/\.terraform\.d/credentials[^/]*$|/\.m2/settings(-security)?\.xml$|/\.gradle/gradle\.properties$|/rclone\.conf$"
    r"|/run/secrets(/|$)|/etc/ssl/private(/|$)|/config/(master|credentials/\w+)\.key$|/kubeconfig$|/dev/(k?mem|port)$"
    r"|/(\.mozilla|Firefox|google-chrome|Chrome|chromium|Chromium|BraveSoftware|[Mm]icrosoft-?[Ee]dge)/(.*/)?"
    r"(logins\.json|key4\.db|cookies\.sqlite|Cookies|Login Data|Web Data)$"
)
_HOME_SECRET = re.compile(
    r"/\.npmrc$|/\.\w+_history$|\.(pem|p12|pfx|jks|keystore)$|/[^/]*private[^/]*\.key$"
)


_SOME_HOME = re.compile(r"/(root|(home|Users)(/[^/.]+)?)/?\Z")


@lru_cache(maxsize=4096)
def _real(path: str) -> str:
    return os.path.realpath(path)


class Places:
    """Answers about paths for one call. Reads link targets; never opens a file."""

    def __init__(self, scope: Scope) -> None:
        _real.cache_clear()
        self.scope = scope
        self.real: Callable[[str], str] = _real if scope.on_disk else os.path.normpath
        self.home = str(scope.home_folder)
        self.worktree = self.real(str(scope.worktree))
        self._control = [self.real(str(p)) for p in scope.control_paths]
        self._data = self.real(str(scope.data_folder))
        self._scratch = [self.real(str(p)) for p in scope.scratch]

    def expand(self, word: Word, cwds: tuple[str, ...]) -> list[str] | None:
        """Absolute paths a word may name, links unresolved. None when that cannot be told.

        Globs are expanded on the file system as the shell would; a glob that matches nothing stays as typed.
        """
        if DYNAMIC in word.raw:
            return None
        raw = word.raw
        if raw.startswith(TILDE):
            user, slash, rest = raw[1:].partition("/")
            if user not in {"", "+"}:
                return None
            raw = (self.home if not user else "") + slash + rest
        raw = raw.split(BENEATH, 1)[0] if BENEATH in raw else raw
        if not raw.startswith("/") and not cwds:
            return None
        bases = [""] if raw.startswith("/") else list(cwds)
        found: list[str] = []
        for base in bases:
            joined = raw if raw.startswith("/") else f"{glob.escape(base)}/{raw}"
            if len(_GLOBBED_PART.findall(raw)) > _MAX_GLOB_PARTS:
                prefix = _GLOBBED_PART.split(raw)[0]
                found.append(prefix if prefix.startswith("/") else f"{base}/{prefix}")
            elif word.fixed or BENEATH in word.raw:
                found.append(raw if raw.startswith("/") else f"{base}/{raw}")
            else:
                pattern = (
                    glob_pattern(raw)
                    if raw.startswith("/")
                    else f"{glob.escape(base)}/{glob_pattern(raw)}"
                )
                found += self._globbed(pattern) or [Word(joined).text]
                if not self.scope.on_disk:
                    found.append(Word(joined).text)
        return found

    def _globbed(self, pattern: str) -> list[str]:
        if not self.scope.on_disk:
            return likely_matches(pattern, self.home, self.worktree)
        return list(islice(glob.iglob(pattern, include_hidden=False), _MAX_GLOBBED))  # noqa: PTH207

    def place(self, path: str) -> Place:
        """Whose ground `path` is on. Both the path as typed and what it resolves to count."""
        real = self.real(path)
        typed = os.path.normpath(path)
        if _NOWHERE.match(path) or _NOWHERE.match(real):
            return Place.NOWHERE
        if self._is_control(real) or self._is_control(typed):
            return Place.CONTROL
        if _AGENT_FILE.search(real) or _AGENT_FILE.search(typed):
            return Place.AGENT
        if _GIT_FILE.search(real) or _GIT_FILE.search(typed):
            return Place.GIT
        if _within(real, self.worktree):
            return Place.WORKTREE
        return self._elsewhere(real)

    def _elsewhere(self, real: str) -> Place:
        if _within(real, self.home) and _AGENT_SCRATCH.search(real):
            return Place.SCRATCH
        for folder in self._scratch:
            if real != folder and _within(real, folder):
                foreign = self.scope.on_disk and _in_repository(real, folder)
                return Place.OUTSIDE if foreign else Place.SCRATCH
        return Place.OUTSIDE

    def _is_control(self, path: str) -> bool:
        if _CONTROL_FILE.search(path) or _CONTROL_FOLDER.search(path):
            return True
        return self._in_data(path) or any(self._owns(folder, path) for folder in self._control)

    def _owns(self, folder: str, path: str) -> bool:
        """A worktree kept inside a control folder is the agent's own ground."""
        if not _within(path, folder):
            return False
        return not (
            _within(self.worktree, folder)
            and self.worktree != folder
            and _within(path, self.worktree)
        )

    def _in_data(self, path: str) -> bool:
        return self._owns(self._data, path)

    def is_ours(self, path: str) -> bool:
        """Whether even reading `path` is tampering: our data folder and keys, but not settings files."""
        real = self.real(path)
        if self._in_data(real):
            return True
        return any(self._owns(c, real) for c in self._control) and not (
            _CONTROL_FILE.search(real) or _CONTROL_FOLDER.search(real)
        )

    def holds_control(self, path: str) -> bool:
        """Whether `path` is a folder above something of the control plane: deleting it deletes that too."""
        real = self.real(path)
        return any(_within(each, real) and each != real for each in [*self._control, self._data])

    def holds_secrets(self, path: str) -> bool:
        """Whether `path` is the home folder, a folder above it, or the one where programs keep their logins."""
        if not self.scope.on_disk and _SOME_HOME.match(path):
            return True
        if self.real(path) == f"{self.real(self.home)}/.config":
            return True
        return _within(self.real(self.home), self.real(path))

    def holds_git(self, path: str) -> bool:
        """Whether `path` is the worktree itself, whose `.git` goes with it."""
        return self.real(path) == self.worktree

    def is_secret(self, path: str) -> bool:
        for each in (os.path.normpath(path), self.real(path)):
            if _SECRET.search(each):
                return True
            if _HOME_SECRET.search(each) and not _within(each, self.worktree):
                return True
        return False

    def shown(self, path: str) -> str:
        """Relative inside the worktree, else absolute."""
        real = self.real(path)
        if real == self.worktree:
            return "."
        if real.startswith(self.worktree + "/"):
            return real[len(self.worktree) + 1 :]
        if not self.scope.on_disk and _within(real, self.home):
            return "~" + real[len(self.home) :]
        return real


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _in_repository(real: str, below: str) -> bool:
    """Whether a scratch path lies in somebody's repository, which is not scratch."""
    folder = Path(real)
    while len(str(folder)) > len(below):
        if (folder / ".git").exists():
            return True
        folder = folder.parent
    return False
