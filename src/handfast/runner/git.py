"""Every git command of the runner goes through here.

What holds for each of them:

- No hook of the repository runs, in merges and commits of ours too. A mediated merge puts exactly the
  approved commit on the target; a hook could change it, or run code nobody approved. The same goes for
  file system monitors, signing programs, pagers, editors and credential helpers.
- Nothing is fetched: no protocol is allowed, so git never asks for a password and never waits for a
  network. `runner.origin` alone does (`network`), in a repository that no agent sees.
- Replacement refs and grafts are not followed: a commit is the commit its id names.
- Variables of the caller that steer git (`GIT_DIR`, `GIT_INDEX_FILE` …) are dropped, messages are
  English, and every call has a time limit.

Programs for content (filters and merge drivers) run when the system's or the user's own configuration
names them, as Git LFS does. Named in the repository's configuration they are refused
(`refuse_repository_programs`): an agent working in the repository may write that file.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from handfast.core.domain.errors import AdapterError, DiskFull, HandfastError, RejectedError
from handfast.core.domain.inert import inert

TIMEOUT_S: Final = 300.0
_STDERR_CHARS: Final = 2_000
_KEPT: Final = frozenset({"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"})
_SETTINGS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "core.quotePath=false",
    "core.safecrlf=false",
    "core.askPass=",
    "core.pager=cat",
    "credential.helper=",
    "commit.gpgSign=false",
    "i18n.commitEncoding=UTF-8",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "color.ui=false",
    "advice.graftFileDeprecated=false",
)
_FIXED: Final = {
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_EDITOR": "false",
    "GIT_MERGE_AUTOEDIT": "no",
    "GIT_PAGER": "cat",
}
# With the network: the account's own way to the origin, but never a question on a terminal.
_OFFLINE: Final = frozenset({"core.askPass=", "credential.helper="})
_NETWORK: Final = "file:git:http:https:ssh"
_WAYS: Final = ("GIT_SSH", "GIT_SSL_", "GIT_PROXY_", "GIT_HTTP_", "GIT_ASKPASS")
_PROGRAM_KEYS: Final = re.compile(
    r"filter\..+\.(clean|smudge|process)|merge\..+\.driver", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a commit is by. Git needs a name and an address; the address need not exist. `at` is when, as RFC 3339;
    now, where it is left out."""

    name: str
    email: str
    at: str = ""

    def environment(self) -> dict[str, str]:
        when = {"GIT_AUTHOR_DATE": self.at, "GIT_COMMITTER_DATE": self.at} if self.at else {}
        return when | {
            "GIT_AUTHOR_NAME": self.name,
            "GIT_AUTHOR_EMAIL": self.email,
            "GIT_COMMITTER_NAME": self.name,
            "GIT_COMMITTER_EMAIL": self.email,
        }


HANDFAST: Final = Identity("Handfast", "handfast@localhost")


@dataclass(frozen=True, slots=True)
class Output:
    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output without the white space around it."""
        return self.stdout.decode("utf-8", "surrogateescape").strip()

    @property
    def names(self) -> list[str]:
        """Standard output of a `-z` command as file names, exact for any bytes."""
        return [os.fsdecode(name) for name in self.stdout.split(b"\0") if name]


@dataclass(frozen=True, slots=True)
class Git:
    """A place git is run in.

    `git_dir` and `work_tree` spare git the search. For an agent's worktree they are always given: the
    `.git` file there is the agent's to write and could point elsewhere.
    """

    directory: Path
    git_dir: Path | None = None
    work_tree: Path | None = None
    index: Path | None = None
    identity: Identity = HANDFAST
    objects: Path | None = None  # instead of the repository's own
    borrowed: Path | None = None  # objects that are found beside its own
    network: bool = False
    protocols: str = "none"  # for a fetch from another folder: `file`

    def with_index(self, index: Path) -> "Git":
        return replace(self, index=index)

    def run(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        accept: Sequence[int] = (0,),
        timeout_s: float = TIMEOUT_S,
    ) -> Output:
        """Run one command. Raises AdapterError (`git_failed`, `git_busy`, `git_timeout`,
        `git_missing`) or DiskFull; an exit code in `accept` is an answer."""
        held = [s for s in _SETTINGS if not (self.network and s in _OFFLINE)]
        settings = [part for setting in held for part in ("-c", setting)]
        command = ["git", "--no-pager", *settings, *arguments]
        code, stdout, stderr = _run(command, self.directory, self._environment(), stdin, timeout_s)
        shown = inert(stderr.decode("utf-8", "replace").strip(), _STDERR_CHARS)
        if code not in accept:
            raise _failure(arguments[0], self.directory, code, shown)
        return Output(code, stdout, shown)

    def text(self, *arguments: str) -> str:
        return self.run(*arguments).text

    def commit_id(self, revision: str) -> str | None:
        """The full id of the commit `revision` names; None when there is none."""
        found = self.run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}",
            accept=(0, 1, 128),
        )  # fmt: skip
        return found.text if found.code == 0 else None

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        found = self.run("merge-base", "--is-ancestor", ancestor, descendant, accept=(0, 1))
        return found.code == 0

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in _KEPT
            or not name.startswith(("GIT_", "LC_", "HANDFAST_"))
            or (self.network and name.startswith(_WAYS))
        }
        places = {
            "GIT_DIR": self.git_dir,
            "GIT_WORK_TREE": self.work_tree,
            "GIT_INDEX_FILE": self.index,
            "GIT_OBJECT_DIRECTORY": self.objects,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": self.borrowed,
        }
        named = {name: str(place) for name, place in places.items() if place is not None}
        allowed = {"GIT_ALLOW_PROTOCOL": _NETWORK if self.network else self.protocols}
        return kept | _FIXED | allowed | self.identity.environment() | named


def refuse_repository_programs(git: Git) -> None:
    """Raise RejectedError when the repository's configuration names a program git would run on
    content. Call before any command that writes files or reads them into objects."""
    programs = repository_programs(git)
    if programs:
        raise RejectedError(
            f"the configuration of the repository `{git.directory}` names programs that git would run "
            f"on its files: {', '.join(programs)}",
            code="repository_runs_programs",
            hint="Whoever may write to the repository could have set them. If they are yours, move them "
            "to your own configuration (`git config --global`) and unset them in the repository.",
            details={"field": "repository", "settings": list(programs)},
        )


def repository_programs(git: Git) -> tuple[str, ...]:
    """Settings of the repository or worktree, includes followed, that name content programs."""
    listed = git.run("config", "--list", "--show-scope", "--includes", "-z").stdout
    fields = listed.decode("utf-8", "replace").split("\0")
    found: set[str] = set()
    for scope, setting in zip(fields[::2], fields[1::2], strict=False):
        key, _, value = setting.partition("\n")
        if scope in {"local", "worktree"} and value and _PROGRAM_KEYS.fullmatch(key):
            found.add(inert(key, 200, multiline=False))
    return tuple(sorted(found))


def _run(
    command: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    stdin: bytes | None,
    timeout_s: float,
) -> tuple[int, bytes, bytes]:
    try:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if not directory.is_dir():
            raise AdapterError(
                f"the folder `{directory}` is gone", code="folder_missing"
            ) from error
        raise AdapterError(
            "git was not found on PATH", code="git_missing", hint="Install git 2.38 or newer."
        ) from error
    with process:
        try:
            stdout, stderr = process.communicate(stdin, timeout_s)
        except BaseException as error:
            # The group, so that a filter git started does not hold the pipes open.
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise AdapterError(
                    f"git did not finish within {timeout_s:g} s in `{directory}`: {_shown(command)}",
                    code="git_timeout",
                    retryable=True,
                ) from error
            raise
    return process.returncode, stdout, stderr


def _shown(command: Sequence[str]) -> str:
    return inert(" ".join(command[2 + 2 * len(_SETTINGS) :]), 200, multiline=False)


def _failure(verb: str, directory: Path, code: int, stderr: str) -> HandfastError:
    message = (
        f"`git {verb}` failed with exit code {code} in `{directory}`: {stderr or 'no message'}"
    )
    if "No space left on device" in stderr:
        return DiskFull(
            message, hint="Free some space on the disk of the repository, then try again."
        )
    if "dubious ownership" in stderr:
        return AdapterError(
            message,
            code="repository_not_trusted",
            hint=f"The folder belongs to another user. If you trust it: "
            f"`git config --global --add safe.directory {directory}`.",
        )
    if ".lock': File exists" in stderr:
        return AdapterError(
            message,
            code="git_busy",
            retryable=True,
            hint="Another git command is running there, or one was killed: then delete the lock file.",
        )
    if "promisor remote" in stderr or "not allowed" in stderr:
        return AdapterError(
            message,
            code="git_objects_missing",
            hint="The clone lacks objects and nothing is fetched here. Fetch them with "
            "`git fetch --refetch --no-filter`.",
        )
    return AdapterError(message, code="git_failed")
