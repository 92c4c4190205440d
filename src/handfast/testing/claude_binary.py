"""The real Claude Code binary, found and run without touching the person's own account.

Every run gets an environment of its own: nothing of the caller's is inherited but what is
named here, so no key, proxy, settings file or telemetry switch of the machine takes part.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

BINARY_VARIABLE = "HANDFAST_TEST_CLAUDE"
DUMMY_KEY = "dummy-key-for-offline-tests"

_QUIET = {
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_DISABLE_TERMINAL_TITLE": "1",
}


def find_claude() -> Path | None:
    """The binary named by `HANDFAST_TEST_CLAUDE`, else the one inside `claude_agent_sdk`.

    None when neither exists. The package is located, never imported.
    """
    named = os.environ.get(BINARY_VARIABLE)
    if named:
        return Path(named) if os.access(named, os.X_OK) else None
    spec = importlib.util.find_spec("claude_agent_sdk")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        bundled = Path(folder) / "_bundled" / "claude"
        if os.access(bundled, os.X_OK):
            return bundled
    return None


def claude_version(binary: Path) -> str:
    """What `--version` says, without the product name: `2.1.330`."""
    ran = subprocess.run(
        [str(binary), "--version"],
        env={"HOME": "/nonexistent", "PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return ran.stdout.split()[0]


def claude_env(home: Path, model_url: str, token: str | None = None) -> dict[str, str]:
    """A whole environment for one run; `token` becomes `HANDFAST_TOKEN` when given.

    `IS_SANDBOX` lets root use bypassPermissions, which the binary otherwise refuses. It is
    for tests only.
    """
    env = {
        "HOME": str(home),
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "SHELL": "/bin/bash",
        "ANTHROPIC_BASE_URL": model_url,
        "ANTHROPIC_API_KEY": DUMMY_KEY,
        "IS_SANDBOX": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        **_QUIET,
    }
    if token is not None:
        env["HANDFAST_TOKEN"] = token
    return env


def accept_dialogs(home: Path, *workspaces: Path) -> None:
    """Answer first-run, key and trust dialogs beforehand, for an interactive session.

    Not needed with `-p`, which shows none.
    """
    config = {
        "hasCompletedOnboarding": True,
        "customApiKeyResponses": {"approved": [DUMMY_KEY[-20:]], "rejected": []},
        "projects": {str(each): {"hasTrustDialogAccepted": True} for each in workspaces},
    }
    home.mkdir(parents=True, exist_ok=True)
    (home / ".claude.json").write_text(json.dumps(config), encoding="utf-8")


@dataclass(frozen=True)
class ClaudeRun:
    """How one run ended. `exit_code` is negative when a signal ended it."""

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool = False

    @property
    def result(self) -> dict[str, Any]:
        """The result object of `--output-format json`, or the last one of `stream-json`.

        Raises ValueError with what was printed when there is none.
        """
        for line in reversed(self.stdout.splitlines()):
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict) and found.get("type") == "result":
                return cast("dict[str, Any]", found)
        raise ValueError(f"no result object printed: {self.stdout!r} {self.stderr!r}")

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every JSON object printed, one a line."""
        return [json.loads(each) for each in self.stdout.splitlines() if each.startswith("{")]


class ClaudeProcess:
    """A running `claude`, in a process group of its own, ended with its children on exit."""

    def __init__(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Process id; the process group has the same number."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL to the agent alone: its child processes are left as a crash leaves them."""
        self._process.kill()

    def kill_group(self) -> None:
        """SIGKILL to what is left of the process group."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def finish(self, timeout_s: float = 60.0) -> ClaudeRun:
        """Wait for the end; after `timeout_s` kill the group and say so."""
        timed_out = False
        try:
            out, err = self._process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            timed_out = True
            self.kill_group()
            out, err = self._process.communicate()
        return ClaudeRun(self._process.returncode, out, err, timed_out)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_group()
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def start_claude(
    binary: Path, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]
) -> ClaudeProcess:
    """Start `claude` with `arguments`; use the answer as a context manager."""
    return ClaudeProcess([str(binary), *arguments], cwd=cwd, env=env)


def run_claude(
    binary: Path,
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout_s: float = 60.0,
) -> ClaudeRun:
    """Run `claude` to its end, or kill it and its children after `timeout_s`."""
    with start_claude(binary, arguments, cwd=cwd, env=env) as process:
        return process.finish(timeout_s)
