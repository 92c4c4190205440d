"""One start of an agent, from its process's first moment to its last."""

import json
import time
from collections.abc import Callable
from typing import Final

from handfast.core.domain.faults import fault_point
from handfast.runner import processes, state
from handfast.runner.hook_settings import run_settings
from handfast.runner.hooks.registry import Registration, SessionRegistry
from handfast.runner.processes import AgentProcess, Exit, Launch, NeverStarted
from handfast.runner.supervisor import ending, leftovers
from handfast.runner.supervisor.ending import Ended
from handfast.runner.supervisor.held import Held, LetGo
from handfast.runner.supervisor.plan import Agent, Going
from handfast.runner.workspace import Workspace

_LOOK_S: Final = 0.5


class Working:
    """`flush` delivers what the hook's endpoint still holds, before anything is concluded from it."""

    def __init__(
        self, held: Held, agent: Agent, registry: SessionRegistry, flush: Callable[[], bool]
    ) -> None:
        self._held = held
        self._agent = agent
        self._registry = registry
        self._flush = flush
        self._starts = 0

    def run(self, workspace: Workspace, going: Going) -> Ended | NeverStarted:
        """Start, and wait for the end. Raises LetGo when the lease is lost: the agent is ended then.

        The reason of an end that the runner's stop brought is `runner_stopped`.
        """
        held, agent = self._held, self._agent
        registration = self._registry.register(
            held.run_id,
            held.epoch,
            agent_id=str(held.run["agent_id"]),
            worktree=workspace.path,
            on_wait=agent.on_wait,
            session_id=agent.session_id,
            base_commit=workspace.base_commit,
        )
        began = time.monotonic()
        try:
            process = self._start(workspace, going, registration)
            if isinstance(process, NeverStarted):
                return process
            exit_ = self._attend(process)
        finally:
            self._registry.release(registration)
            held.drop()
        if held.lost.is_set():
            raise LetGo
        held.deliver(self._flush)
        found = ending.ended(
            exit_,
            is_claude=agent.is_claude,
            registration=registration,
            duration_ms=int((time.monotonic() - began) * 1000),
        )
        return ending.stopped(found) if held.stopping.is_set() and not found.deferred else found

    def _start(
        self, workspace: Workspace, going: Going, registration: Registration
    ) -> AgentProcess | NeverStarted:
        held, settings = self._held, self._held.settings
        self._starts += 1
        folder = settings.folder(held.run_id) / f"{held.epoch}-{self._starts}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._agent.is_claude:
            hook = run_settings(settings.hook_url, registration.token, int(settings.hook_timeout_s))
            state.write_private(folder / "settings.json", json.dumps(hook, indent=1))
        start = self._agent.start(going, registration.token, folder)
        fault_point("run.before_start")
        process = processes.start(
            Launch(
                start.command,
                workspace.path,
                start.environment,
                leftovers.mark(held.run_id, held.epoch),
                grace_s=settings.grace_s,
            ),
            folder,
        )
        if isinstance(process, NeverStarted):
            return process
        fault_point("run.after_start")
        held.adopt(process)
        try:
            self._report(process, workspace, start.session_id)
        except BaseException:
            process.end(0)
            raise
        return process

    def _report(self, process: AgentProcess, workspace: Workspace, session_id: str) -> None:
        identity = process.identity
        ticks = identity.agent_started
        self._held.tell(
            "started",
            pid=identity.agent_pid,
            pid_started_at=int(ticks) if ticks.isdigit() else 0,
            boot_id=identity.boot,
            worktree=str(workspace.path),
            branch=workspace.branch,
            base_commit=workspace.base_commit,
            session_id=session_id,
        )

    def _attend(self, process: AgentProcess) -> Exit:
        held = self._held
        while not (held.lost.is_set() or held.stopping.is_set()):
            found = process.wait(_LOOK_S)
            if found is not None:
                return found
        process.end(0 if held.lost.is_set() else held.settings.grace_s)
        found = process.wait(held.settings.grace_s)
        if found is None:
            raise LetGo
        return found
