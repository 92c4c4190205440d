"""A whole installation for one test: server, hook's endpoint, supervisor, a person who decides, a repository."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from handfast.app import open_engine
from handfast.client import Client, calls
from handfast.core.domain.brief import parse_brief
from handfast.core.domain.containment import Contained, Containment
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.run import Run
from handfast.engine.access import PrincipalKind
from handfast.engine.clock import SystemClock
from handfast.engine.facade import Engine
from handfast.engine.handoffs import Decision
from handfast.engine.people import NewPerson
from handfast.engine.runs import NewRun
from handfast.engine.tasks import NewTask
from handfast.runner.hooks.endpoint import HookEndpoint
from handfast.runner.hooks.settings import HookSettings
from handfast.runner.serving import RunnerServer
from handfast.runner.supervisor.service import Supervisor
from handfast.runner.supervisor.settings import SupervisorSettings
from handfast.server.serving import ServerThread
from tests.prepared import Files, kept, put

Json = dict[str, Any]
PATIENCE_S = 120.0
UNCONTAINED = Containment(Contained.OFF)


class RunBench:
    """`environment` is what agents inherit. Times are short, so that tests are."""

    def __init__(self, root: Path, repository: Path, environment: Mapping[str, str]) -> None:
        self.root = root
        self.repository = repository
        self.environment = {**environment}
        self.home = root / "data"
        self.database = f"sqlite:///{root / 'handfast.db'}"
        self.engine: Engine
        self.client: Client
        self.person: Actor
        self.server: ServerThread
        self.hooks: RunnerServer
        self.supervisor: Supervisor

    @contextlib.contextmanager
    def serving(self, *, supervise: bool = True) -> Iterator["RunBench"]:
        inside = self.database.startswith("sqlite:")
        if inside and not (self.root / "handfast.db").exists():
            put(_prepared(), self.root)
        self.engine = open_engine(self.database, home=self.home)
        if not inside and not self.engine.people.any():
            _add_person(self.engine)
        with contextlib.ExitStack() as stack:
            stack.callback(self.engine.close)
            self.server = stack.enter_context(ServerThread(self.engine))
            self.person = self.engine.people.with_pin("ann", "271828")
            token = self.engine.access.ensure_file_token(self.home, PrincipalKind.RUNNER)
            self.client = Client(self.server.url, token)
            stack.callback(self.client.close)
            endpoint = HookEndpoint(
                Client(self.server.url, token),
                HookSettings(
                    home=self.home, link_url=self.server.url, defer_after_s=0.3, poll_s=1.0
                ),
                SystemClock().now,
            )
            self.hooks = stack.enter_context(RunnerServer(endpoint, 0))
            if supervise:
                stack.enter_context(self.supervising())
            yield self

    @contextlib.contextmanager
    def supervising(self) -> Iterator[Supervisor]:
        settings = SupervisorSettings(
            home=self.home,
            hook_url=self.hooks.hook_url,
            server_url=self.server.url,
            poll_s=0.1,
            grace_s=2.0,
        )
        self.supervisor = Supervisor(
            self.client,
            self.home,
            self.hooks.hook_url,
            self.hooks.endpoint.registry,
            environment=self.environment,
            settings=settings,
        )
        with self.supervisor:
            yield self.supervisor

    # -- orders

    def order(
        self,
        *command: str,
        harness: str = "none",
        target: str = "main",
        contain: Containment = UNCONTAINED,
        repository: str = "",
        labels: tuple[str, ...] = (),
        **brief: Any,
    ) -> str:
        """Queue a run. Gives its id. Agents of most tests write beside the worktree, so they are not
        contained."""
        agents = {str(a["name"]): str(a["agent_id"]) for a in self.engine.views.agents()}
        name = f"agent-{harness}"
        agent_id = agents.get(name) or str(
            self.engine.agents.add(SYSTEM, name, harness)["agent_id"]
        )
        fields = {"intent": "make it better", "risk": "low", **brief}
        task = NewTask(parse_brief(fields), repository or str(self.repository), target, "")
        task_id = str(self.engine.tasks.create(SYSTEM, task)["task_id"])
        run = NewRun(task_id, agent_id, harness, command, contain=contain, labels=labels)
        return str(self.engine.runs.create(SYSTEM, run)["run_id"])

    def lapse(self, run_id: str) -> None:
        """Its lease is over, as when a clock is set forward."""
        run = self.engine.kernel.state(Run, run_id)
        long_ago = SystemClock().now() - timedelta(days=1)
        self.engine.kernel.store.renew_lease(f"run/{run_id}", run.epoch, long_ago)

    def steal(self, run_id: str) -> None:
        """Another runner takes the run over, as after a lease that was not renewed."""
        self.lapse(run_id)
        taken = self.engine.runs.lease(SYSTEM, "thief", "elsewhere")
        assert taken is not None
        assert taken.run_id == run_id

    # -- looking

    def run(self, run_id: str) -> Json:
        return dict(self.engine.views.run(run_id))

    def until(self, what: str, look: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
        """The first true answer of `look`; fails the test when there is none in time."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            found = look()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"{what} did not happen within {patience_s:g} s")

    def ended(self, run_id: str) -> Json:
        def look() -> Json | None:
            run = self.run(run_id)
            return run if run["status"] == "ended" else None

        return dict(self.until(f"the end of {run_id}: {self.run(run_id)}", look))

    def waiting(self, run_id: str, kind: str, *, paused: bool = True) -> Json:
        """The one handoff of this kind that waits, once the run is paused for it."""

        def look() -> Json | None:
            items = self.engine.views.handoffs("waiting", run_id=run_id).items
            found = [h for h in items if h["kind"] == kind]
            if not found or (paused and self.run(run_id)["status"] != "paused"):
                return None
            return dict(self.engine.views.handoff(str(found[0]["handoff_id"])))

        return dict(self.until(f"a waiting {kind} of {run_id}", look))

    def decide(self, handoff: Json, kind: str, reason: str = "because", answer: str = "") -> None:
        self.engine.handoffs.decide(
            self.person,
            Decision(
                handoff["handoff_id"],
                DecisionKind(kind),
                handoff["presented_digest"],
                reason=reason,
                answer=answer,
            ),
        )

    def handoff(self, handoff_id: str) -> Json:
        return dict(self.engine.views.handoff(handoff_id))

    def steps(self, run_id: str) -> list[Json]:
        return list(self.client.send(calls.steps(run_id))["items"])


def edit_review(bench: RunBench, review: Json, texts: Mapping[str, str], reason: str = "") -> Json:
    """Approve finished work with these files instead of the agent's."""
    decision = Decision(
        review["handoff_id"],
        DecisionKind.APPROVE_WITH_EDITS,
        review["presented_digest"],
        reason=reason,
        edited_files=dict(texts),
    )
    return dict(bench.engine.handoffs.decide(bench.person, decision))


@cache
def _prepared() -> Files:
    """An installation with a person who decides."""

    def make(root: Path) -> None:
        engine = open_engine(f"sqlite:///{root / 'handfast.db'}", home=root / "data")
        _add_person(engine)
        engine.close()

    return kept(make)


def _add_person(engine: Engine) -> None:
    new = NewPerson(name="Ann", login="ann", password="correct horse battery", pin="271828")
    engine.people.set_up(engine.people.invite(), new)


def plain_environment() -> dict[str, str]:
    names = ("PATH", "HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM")
    return {name: os.environ[name] for name in names if name in os.environ}
