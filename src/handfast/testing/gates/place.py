"""Where an executor is tested: a real server behind a line, people who decide, a clock that can be moved.

The server is shared by the tests of a class; every test gets a `Place` with an agent, a token, a folder
and a file of effects of its own, so that nothing of one test is seen by another.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from handfast.app import open_engine
from handfast.client import Client, calls
from handfast.core.domain.action import Verdict
from handfast.core.domain.errors import AlreadyDecided, HandfastError, Unavailable
from handfast.core.domain.events import Actor, Recorded, from_bytes
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_work import Mode
from handfast.core.domain.faults import arm, disarm
from handfast.core.domain.handoff import FINAL, Handoff
from handfast.core.policy.builtin import RULES
from handfast.engine.access import PrincipalKind
from handfast.engine.clock import SystemClock
from handfast.engine.facade import Engine
from handfast.engine.handoffs import Decision
from handfast.engine.people import NewPerson
from handfast.server.serving import ServerThread
from handfast.testing.gates.line import Line
from handfast.testing.store_writes import check_log

Json = dict[str, Any]
OPERATOR = Actor("operator", "operator", "token")
PIN, PASSWORD = "318274", "correct horse battery"
_EMPTY = "version: 1\n"
_OFF = ", ".join(sorted({r.id for r in RULES if r.verdict is Verdict.GATE} | {"opaque"}))
_LOOSE = f"version: 1\nbuiltin: {{off: [{_OFF}]}}\n"
_FORBIDS = 'version: 1\ngates:\n  - {id: frozen, when: "true", deny: nothing runs this week}\n'
_CANNOT_TELL = (
    _LOOSE + 'gates:\n  - {id: cannot-tell, when: "int(call.tool) > 0", require: {approvals: 1}}\n'
)


class ShiftedClock(SystemClock):
    """The machine's clock, moved forward. Thread-safe."""

    def __init__(self) -> None:
        super().__init__()
        self._by = timedelta()

    def now(self) -> datetime:
        return super().now() + self._by

    def move(self, seconds: float) -> None:
        self._by += timedelta(seconds=seconds)


@dataclass
class Installation:
    """A server with two people who may decide, Ana (who publishes policy) and Ben."""

    root: Path
    engine: Engine
    server: ServerThread
    line: Line
    clock: ShiftedClock
    ana: Actor
    ben: Actor
    runner_token: str = field(repr=False)
    agents: int = 0

    def place(self, root: Path) -> "Place":
        """For one test."""
        self.agents += 1
        name = f"agent-{self.agents}"
        agent_id = str(self.engine.agents.add(OPERATOR, name, "conformance")["agent_id"])
        token = self.engine.agents.issue(OPERATOR, agent_id).token
        (root / "repo").mkdir(parents=True)
        return Place(self, root, agent_id, token)


@contextmanager
def installation(root: Path) -> Iterator[Installation]:
    """A fresh installation in `root`, gone afterwards."""
    clock = ShiftedClock()
    engine = open_engine(f"sqlite:///{root / 'handfast.db'}", root / "data", clock)
    try:
        people = engine.people
        first = people.set_up(people.invite(), NewPerson("Ana", "ana", PASSWORD, PIN))
        ana = Actor("person", str(first["person_id"]), "pin")
        invited = people.invite_another(ana, ("reviewer",))
        second = people.set_up(invited, NewPerson("Ben", "ben", PASSWORD, PIN))
        ben = Actor("person", str(second["person_id"]), "pin")
        engine.hooks.set_mode(OPERATOR, Mode.ENFORCE)
        token = engine.access.ensure_file_token(root / "data", PrincipalKind.RUNNER)
        with ServerThread(engine) as server:
            at = urlsplit(server.url)
            line = Line(str(at.hostname), int(at.port or 0))
            yield Installation(root, engine, server, line, clock, ana, ben, token)
            line.close()
    finally:
        engine.close()


@dataclass
class Place:
    """What one test works with. `url` and `token` are the executor's; the rest is the suite's."""

    of: Installation
    root: Path
    agent_id: str
    token: str = field(repr=False)

    @property
    def url(self) -> str:
        """The server, behind the line."""
        return self.of.line.url

    @property
    def repo(self) -> Path:
        """A folder to work in."""
        return self.root / "repo"

    @property
    def runner_token(self) -> str:
        """For an executor that is a runner: its facts are believed."""
        return self.of.runner_token

    # -- effects

    @property
    def effects(self) -> Path:
        """Append-only: one line an effect."""
        return self.root / "effects"

    def ran(self, marker: str = "") -> int:
        """How often an action had its effect, or how many effects there were in all."""
        lines = self.effects.read_text("utf-8").splitlines() if self.effects.exists() else []
        return len([line for line in lines if marker in ("", line)])

    # -- people

    def decide(
        self, handoff_id: str, kind: str = "approve", *, answer: str = "", by: Actor | None = None
    ) -> None:
        """As Ana, who saw what is presented now. Raises what a decision raises."""
        shown = str(self.handoff(handoff_id)["presented_digest"])
        decision = Decision(handoff_id, DecisionKind(kind), shown, "looked at it", answer=answer)
        self.of.engine.handoffs.decide(by or self.of.ana, decision)

    def decide_at_once(self, handoff_id: str) -> list[tuple[Actor, str, AlreadyDecided | None]]:
        """Ana approves and Ben rejects in the same moment. Who said what, and what they were told."""
        both = threading.Barrier(2)

        def one(who: tuple[Actor, str]) -> tuple[Actor, str, AlreadyDecided | None]:
            both.wait(10)
            try:
                self.decide(handoff_id, who[1], by=who[0])
            except AlreadyDecided as error:
                return *who, error
            return *who, None

        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(one, [(self.of.ana, "approve"), (self.of.ben, "reject")]))

    def agent_decides(self, handoff_id: str) -> HandfastError | None:
        """What the agent is told when it approves its own action."""
        shown = str(self.handoff(handoff_id)["presented_digest"])
        with Client(self.of.server.url, self.token) as client:
            try:
                client.send(calls.decide(handoff_id, "approve", shown, reason="go on"))
            except HandfastError as error:
                return error
        return None

    # -- what was recorded

    def waiting(self) -> list[Json]:
        """Cases of this agent that wait for a person."""
        return [h for h in self._all("waiting") if h["agent_id"] == self.agent_id]

    def cases(self) -> list[Json]:
        """All of this agent's, newest first."""
        return [h for h in self._all("all") if h["agent_id"] == self.agent_id]

    def _all(self, status: str) -> list[Json]:
        return self.of.engine.views.handoffs(status, limit=500).items

    def handoff(self, handoff_id: str) -> Json:
        return self.of.engine.views.handoff(handoff_id)

    def unfinished(self) -> list[str]:
        """Cases of this agent that are not in a final state."""
        found = [str(h["handoff_id"]) for h in self.cases()]
        state = self.of.engine.kernel.state
        return [each for each in found if state(Handoff, each).status not in FINAL]

    def log(self, handoff_id: str) -> list[Recorded]:
        """Its entries in the audit log, after the whole log was checked against its tree."""
        store = self.of.engine.kernel.store
        check_log(store)
        return [from_bytes(e.data) for e in store.events(stream=f"handoff/{handoff_id}")]

    # -- what may go wrong

    def pass_time(self, seconds: float) -> None:
        """Move the server's clock, and let it handle what became due."""
        self.of.clock.move(seconds)
        self.of.engine.sweep()

    def until_undecided(self) -> None:
        """As long as an undecided case may wait."""
        self.pass_time(self.of.engine.kernel.settings.approval_within_s + 60)

    def until_grants_expire(self) -> None:
        self.pass_time(self.of.engine.kernel.settings.grant_ttl_s + 60)

    def until_starts_are_doubted(self) -> None:
        self.pass_time(self.of.engine.kernel.settings.settle_within_s + 60)

    def until_everything_is_due(self) -> None:
        for _ in range(3):
            self.pass_time(self.of.engine.kernel.settings.review_within_s + 60)

    def loosen(self) -> None:
        """From now on policy gates nothing."""
        self.publish(_LOOSE)

    def forbid(self) -> None:
        """From now on policy denies everything."""
        self.publish(_FORBIDS)

    def confuse(self) -> None:
        """From now on the only rule of policy is one whose condition cannot be evaluated."""
        self.publish(_CANNOT_TELL)

    def publish(self, text: str = _EMPTY) -> None:
        """Put a policy of the organisation's into force; without one, the built-in policy holds alone."""
        if self.of.engine.policies.text("organisation") not in (
            text,
            "" if text == _EMPTY else text,
        ):
            self.of.engine.policies.propose(self.of.ana, "organisation", text)

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """While inside, no server answers."""
        with self.of.line.cut():
            yield

    @contextmanager
    def store_failing(self) -> Iterator[None]:
        """While inside, the server answers and its store takes nothing."""

        def fail() -> None:
            raise Unavailable("the store takes nothing: a test says so", retryable=False)

        arm("store.before_commit", fail)
        try:
            yield
        finally:
            disarm("store.before_commit")
