"""Which run a hook call belongs to, and whether its credential is one.

Three kinds of credential: the token of a run this runner started, the token of an installed hook (known
from the data folder, so that reads go on without a server), and any other agent token, which only the
server can vouch for.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handfast.client import Client, calls
from handfast.client.request import Json, Request
from handfast.core.domain.errors import AdapterError, HandfastError, NotPermitted
from handfast.observe import git
from handfast.runner.hooks.payload import Event, session_root
from handfast.runner.hooks.registry import OnWait, Pending, Registration, SessionRegistry

HARNESS: Final = "claude-code"
_KEPT: Final = 2_000


@dataclass(slots=True)
class Session:
    """One session of an agent. `run_id` is empty until the server has given one."""

    session_id: str
    worktree: Path
    agent_id: str = ""  # empty where only the server knows whose token it is
    token: str = ""
    registration: Registration | None = None
    run_id: str = ""
    mode: str = ""
    confirmed_at: float = float("-inf")

    @property
    def epoch(self) -> int | None:
        return self.registration.epoch if self.registration else None

    @property
    def base_commit(self) -> str:
        """The commit the run started from; empty where only the worktree is known."""
        return self.registration.base_commit if self.registration else ""

    @property
    def on_wait(self) -> OnWait:
        return self.registration.on_wait if self.registration else OnWait.POLL

    @property
    def deferred(self) -> Pending | None:
        return self.registration.deferred if self.registration else None

    def note(self) -> Json:
        """What the spool keeps of a session: enough to find its run later, and no secret."""
        return {
            "run_id": self.run_id,
            "agent_id": self.agent_id,
            "session_id": self.session_id,
            "worktree": str(self.worktree),
        }


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class Sessions:
    """Used from one event loop. `installed` gives the agents of installed hooks by hash of their token."""

    def __init__(
        self,
        client: Client,
        registry: SessionRegistry,
        installed: Callable[[], Mapping[str, str]],
        confirm_s: float,
    ) -> None:
        self._client = client
        self._registry = registry
        self._installed = installed
        self._confirm_s = confirm_s
        self._known: OrderedDict[tuple[str, str], Session] = OrderedDict()
        self._runs: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def of(self, token: str, event: Event) -> Session:
        """The session of a call. Waits for the server only for a token that nobody here knows.

        Raises NotPermitted for a token that is none, and what the client raises.
        """
        if not token:
            raise _no_token()
        key = (token_hash(token), event.session_id)
        found = self._known.get(key)
        registration = self._registry.of_token(token)
        if found is not None and found.registration is registration:
            return found
        worktree = (
            registration.worktree
            if registration
            else await asyncio.to_thread(_worktree_of, event.cwd, event.transcript_path)
        )
        made = Session(event.session_id, worktree, registration=registration)
        if registration is not None:
            made.run_id, made.agent_id = registration.run_id, registration.agent_id
            registration.session_id = registration.session_id or event.session_id
        else:
            if not token.startswith("hfa_"):
                raise _no_token()
            made.token, made.agent_id = token, self._installed().get(key[0], "")
            if not made.agent_id:
                await self.confirm(made)
        self._known[key] = made
        _bound(self._known)
        return made

    async def confirm(self, session: Session) -> None:
        """Make sure that the credential holds now and the run is there. Raises what the client raises."""
        if session.registration is not None:
            if session.registration.ended:
                raise _no_token()
            return
        if session.run_id and time.monotonic() - session.confirmed_at < self._confirm_s:
            return
        as_agent = self._client.with_token(session.token)
        try:
            if session.run_id or session.agent_id:
                await as_agent.asend(calls.hook_status())  # answers only a token that holds now
            if not session.run_id:
                # For the agent of an installed hook the installation's mode counts; an agent that brings
                # a token of its own is always enforced.
                maker = self._client if session.agent_id else as_agent
                made = await maker.asend(
                    _run_of(session.session_id, str(session.worktree), session.agent_id)
                )
                session.run_id, session.mode = str(made["run_id"]), str(made.get("mode", ""))
        except NotPermitted:
            self._forget(session)
            raise
        finally:
            await as_agent.aclose()
        session.confirmed_at = time.monotonic()

    async def run_of(self, note: Json) -> str:
        """The run of a session that is known only by what the spool kept. Raises what the client raises."""
        if note.get("run_id"):
            return str(note["run_id"])
        key = (str(note.get("agent_id", "")), str(note.get("session_id", "")))
        if not all(key):
            raise NotPermitted("the record names no run, and no agent of a session")
        if key not in self._runs:
            made = await self._client.asend(
                _run_of(key[1], str(note.get("worktree", "/")), agent_id=key[0])
            )
            self._runs[key] = str(made["run_id"])
            _bound(self._runs)
        return self._runs[key]

    def renew(self, session: Session) -> None:
        """The run has ended: the next call of the session gets a new one."""
        session.run_id, session.confirmed_at = "", float("-inf")

    def _forget(self, session: Session) -> None:
        for key, found in list(self._known.items()):
            if found is session:
                del self._known[key]


def _run_of(session_id: str, worktree: str, agent_id: str = "") -> Request[Json]:
    return calls.session_run(session_id, worktree, harness=HARNESS, agent_id=agent_id)


def _worktree_of(cwd: Path, transcript_path: str) -> Path:
    """The repository the session was started in, else the folder itself."""
    root = session_root(cwd, transcript_path)
    try:
        top = git.run(root, "rev-parse", "--show-toplevel").decode("utf-8", "surrogateescape")
    except (AdapterError, OSError):
        return root
    return Path(top.removesuffix("\n")) if top.startswith("/") else root


def _bound(
    kept: "OrderedDict[tuple[str, str], Session] | OrderedDict[tuple[str, str], str]",
) -> None:
    while len(kept) > _KEPT:
        kept.popitem(last=False)


def _no_token() -> HandfastError:
    return NotPermitted(
        "the hook's credential is not valid",
        code="unauthenticated",
        hint="Run `handfast hook install claude-code` again; it issues a new one.",
    )
