"""One start of an agent, from its process's first moment to its last."""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from handfast.client.request import Json
from handfast.core.domain.errors import RejectedError
from handfast.core.domain.faults import fault_point
from handfast.runner import processes, state
from handfast.runner.containment import objects
from handfast.runner.containment.sandbox import Sandbox
from handfast.runner.hook_settings import run_settings
from handfast.runner.hooks.registry import Registration, SessionRegistry
from handfast.runner.processes import AgentProcess, Exit, Launch, NeverStarted
from handfast.runner.supervisor import contained, ending, handing, leftovers
from handfast.runner.supervisor.ending import Ended
from handfast.runner.supervisor.held import Held, LetGo
from handfast.runner.supervisor.plan import SETTINGS, Agent, Going, Start
from handfast.runner.workspace import Workspace

_LOOK_S: Final = 0.5
_DRAIN_LOOK_S: Final = 0.1
MAX_TOLD: Final = 4_000


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
        self.began = False
        self.running: list[Json] = []  # when a person took the run over
        self._ended_here = False

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
            with contextlib.ExitStack() as until_its_end:
                process = self._start(workspace, going, registration, until_its_end)
                if isinstance(process, NeverStarted):
                    return process
                self.began = True
                exit_ = self._attend(process, registration)
        except RejectedError as error:
            return NeverStarted(f"{error.message}. {error.hint}", 0)
        finally:
            self._registry.release(registration)
            held.drop()
        if held.lost.is_set():
            raise LetGo
        held.confirm()  # the runner may have been frozen: nothing of the repository is touched then
        objects.collect(workspace, agent.folder)
        held.deliver(self._flush)
        found = ending.ended(
            exit_,
            is_claude=agent.is_claude,
            registration=registration,
            duration_ms=int((time.monotonic() - began) * 1000),
        )
        if not self._ended_here or found.deferred:
            return found
        return ending.stopped(found, ending.TAKEN if held.taken.is_set() else ending.STOPPED)

    def _start(
        self,
        workspace: Workspace,
        going: Going,
        registration: Registration,
        until_its_end: contextlib.ExitStack,
    ) -> AgentProcess | NeverStarted:
        """Raises RejectedError when the agent was to be contained and cannot be."""
        held, settings, agent = self._held, self._held.settings, self._agent
        objects.collect(workspace, agent.folder)
        choice = contained.choose(held.run, agent.environment)
        agent.bring_session(workspace.path, contained=choice.probe is not None)
        folder = self._folder(registration)
        start = agent.start(going, registration.token, folder)
        sandbox, told = contained.sandbox_for(choice, agent, start, workspace, settings, folder)
        held.contained = registration.contained = sandbox is not None
        fault_point("run.before_start")
        process = self._launch(workspace, start, folder, sandbox, until_its_end)
        if isinstance(process, NeverStarted):
            return process
        fault_point("run.after_start")
        held.adopt(process)
        try:
            self._report(process, workspace, start.session_id, told)
        except BaseException:
            process.end(0)
            raise
        return process

    def _folder(self, registration: Registration) -> Path:
        """Of this start alone."""
        held, settings = self._held, self._held.settings
        self._starts += 1
        folder = settings.folder(held.run_id) / f"{held.epoch}-{self._starts}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._agent.is_claude:
            hook = run_settings(settings.hook_url, registration.token, int(settings.hook_timeout_s))
            state.write_private(folder / SETTINGS, json.dumps(hook, indent=1))
        return folder

    def _launch(
        self,
        workspace: Workspace,
        start: Start,
        folder: Path,
        sandbox: Sandbox | None,
        until_its_end: contextlib.ExitStack,
    ) -> AgentProcess | NeverStarted:
        launch = Launch(
            start.command,
            workspace.path,
            start.environment,
            leftovers.mark(self._held.run_id, self._held.epoch),
            grace_s=self._held.settings.grace_s,
        )
        if sandbox is None:
            return processes.start(launch, folder)
        until_its_end.callback(sandbox.close)
        process = processes.start(
            replace(launch, command=sandbox.command, environment=sandbox.environment, wrapped=True),
            folder,
        )
        failure = process if isinstance(process, NeverStarted) else sandbox.connect(process)
        return process if failure is None else failure

    def _report(
        self, process: AgentProcess, workspace: Workspace, session_id: str, containment: str
    ) -> None:
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
            containment=containment[:MAX_TOLD],
        )

    def _attend(self, process: AgentProcess, registration: Registration) -> Exit:
        held = self._held
        while not (held.lost.is_set() or held.stopping.is_set() or held.taken.is_set()):
            held.watch(process)
            found = process.wait(_LOOK_S)
            if found is not None:
                return found
        if held.taken.is_set():
            self.running = handing.running(process.identity)
        if not held.lost.is_set() and (found := self._drained(process, registration)):
            return found
        self._ended_here = True
        process.end(0 if held.lost.is_set() else held.settings.grace_s)
        found = process.wait(held.settings.grace_s)
        if found is None:
            raise LetGo
        return found

    def _drained(self, process: AgentProcess, registration: Registration) -> Exit | None:
        """Wait until no call is running, so that none is left in doubt. The agent's end when it came first."""
        until = time.monotonic() + self._held.settings.drain_s
        while registration.running and time.monotonic() < until and not self._held.lost.is_set():
            found = process.wait(_DRAIN_LOOK_S)
            if found is not None:
                return found
        return None
