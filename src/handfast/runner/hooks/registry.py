"""Runs that this runner started itself, known by a token of their own.

Only such a run may be paused with `defer`: an interactive session gets the same payload, and there the
agent ignores `defer` and runs the call. So the strategy hangs on the credential in the settings file
that the runner wrote for exactly this run, never on what the payload says.
"""

import hashlib
import secrets
import threading
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

SESSION_TOKEN_PREFIX: Final = "hfs_"  # noqa: S105 - not a secret


class OnWait(StrEnum):
    """`defer` ends the agent's process, which is started again after the decision; `poll` holds the call."""

    DEFER = "defer"
    POLL = "poll"


@dataclass(frozen=True, slots=True)
class Pending:
    """A call that was answered with 'not now'."""

    handoff_id: str
    tool_use_id: str


@dataclass(slots=True)
class Registration:
    """One start of one run. `deferred` is the call the process ended with; `waiting` every handoff that a
    call of this start was told to wait for; `running` calls that were let through and have no result yet;
    `last_message` what the agent said last. `contained`: its
    agent is in a sandbox."""

    token: str
    run_id: str
    epoch: int
    agent_id: str
    worktree: Path
    on_wait: OnWait
    session_id: str = ""
    base_commit: str = ""
    deferred: Pending | None = None
    waiting: dict[str, Pending] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    calls: int = 0
    last_message: str = ""
    ended: bool = False
    contained: bool = False


class SessionRegistry:
    """Thread-safe. Held in memory: a runner that restarts registers what it starts again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_token: dict[str, Registration] = {}

    def register(
        self,
        run_id: str,
        epoch: int,
        *,
        agent_id: str,
        worktree: Path,
        on_wait: OnWait = OnWait.DEFER,
        session_id: str = "",
        base_commit: str = "",
    ) -> Registration:
        """Announce a start. Its `token` goes into the hook's header in the settings file of this start.

        An earlier registration of the run ends: calls with its token are refused from now on.
        """
        token = SESSION_TOKEN_PREFIX + secrets.token_urlsafe(32)
        made = Registration(
            token, run_id, epoch, agent_id, worktree, on_wait, session_id, base_commit
        )
        with self._lock:
            for key, other in list(self._by_token.items()):
                if other.run_id == run_id:
                    other.ended = True
                    del self._by_token[key]
            self._by_token[_key(token)] = made
        return made

    def release(self, registration: Registration) -> None:
        """The process is gone. Idempotent."""
        with self._lock:
            registration.ended = True
            self._by_token.pop(_key(registration.token), None)

    def of_token(self, token: str) -> Registration | None:
        with self._lock:
            return self._by_token.get(_key(token))


def _key(token: str) -> str:
    """Looked up by hash, so that comparing takes no time that depends on the secret."""
    return hashlib.sha256(token.encode()).hexdigest()
