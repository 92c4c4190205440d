"""An engine in a folder of its own, with a clock that stands still, a person, an agent and a session."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

from handfast.app import open_engine
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.brief import Brief
from handfast.core.domain.events import Actor, from_bytes
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_work import Mode
from handfast.core.domain.handoff import Handoff
from handfast.engine.actions import StepResult
from handfast.engine.facade import Engine
from handfast.engine.gating import Proposal
from handfast.engine.handoffs import Decision
from handfast.engine.kernel import Result
from handfast.engine.people import NewPerson
from handfast.engine.runs import NewRun, Session
from handfast.engine.tasks import NewTask
from handfast.testing.clock import FrozenClock
from handfast.testing.store_writes import check_log
from tests.prepared import Files, kept, put, quick_hashes

T = TypeVar("T")
OPERATOR = Actor("operator", "operator", "token")
RUNNER = Actor("runner", "runner", "token")
PASSWORD, PIN = "correct horse battery", "493817"
HAZARDS = ("git.push",)


@dataclass
class Room:
    """What a test works with. `me` is a signed-in person who may decide."""

    engine: Engine
    clock: FrozenClock
    home: Path
    me: Actor
    agent_id: str
    run_id: str

    def propose(
        self, key: str, command: str, hazards: tuple[str, ...] = HAZARDS, **more: object
    ) -> Result:
        call = Call("Bash", {"command": command})
        facts = Facts(Effect.NETWORK, f"runs {command}", hazards)
        given = {"run_id": self.run_id, "key": key, "call": call, "facts": facts} | more
        return self.engine.actions.propose(RUNNER, Proposal(**given))  # type: ignore[arg-type]

    def handoff(self, handoff_id: object) -> Handoff:
        return self.engine.kernel.state(Handoff, cast("str", handoff_id))

    def decide(
        self,
        handoff_id: object,
        kind: DecisionKind = DecisionKind.APPROVE,
        actor: Actor | None = None,
        **more: object,
    ) -> Result:
        """As the person who saw what is presented now."""
        seen = self.handoff(handoff_id).presented_digest
        given = {"reason": "looks right", "presented_digest": seen} | more
        decision = Decision(cast("str", handoff_id), kind, **given)  # type: ignore[arg-type]
        return self.engine.handoffs.decide(actor or self.me, decision)

    def another(self, login: str, roles: tuple[str, ...] = ("reviewer",)) -> Actor:
        """One more signed-in person, invited by me."""
        people = self.engine.people
        secret = people.invite_another(self.me, roles)
        made = people.set_up(secret, NewPerson(login.title(), login, PASSWORD, PIN))
        return Actor("person", cast("str", made["person_id"]), "browser")

    def signed_in(self, login: str) -> Actor:
        """A person who is set up already."""
        proven = self.engine.people.with_pin(login, PIN)
        return Actor("person", proven.id, "browser")

    def result(self, key: str, exit_code: int = 0) -> Result:
        return self.engine.actions.record_result(RUNNER, StepResult(self.run_id, key, exit_code))

    def queued_run(self) -> str:
        """A run of a new task, waiting for a runner."""
        brief = Brief("Fix the build")
        task = self.engine.tasks.create(OPERATOR, NewTask(brief, "/repo", "main", "0" * 40))
        new = NewRun(cast("str", task["task_id"]), self.agent_id, "none", ("agent", "go"))
        return cast("str", self.engine.runs.create(OPERATOR, new)["run_id"])

    def types(self, stream: str = "") -> list[str]:
        """Types of the recorded events, of one stream or of the whole log."""
        store = self.engine.kernel.store
        return [e.type for e in (store.events(stream=stream) if stream else store.scan())]

    def check(self) -> None:
        """The log is whole, and every state is the fold of its events."""
        store = self.engine.kernel.store
        check_log(store)
        for stream in {row.stream for row in store.scan()}:
            replayed = self.engine.audit.replay(stream)
            assert replayed.same, replayed
        for row in store.scan():
            assert from_bytes(row.data).stream == row.stream


def parallel(work: Callable[[int], T], threads: int = 8) -> list[T]:
    """`work` of every number in a thread of its own, at once."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(threads)))


@contextmanager
def opened(home: Path, url: str = "", clock: FrozenClock | None = None) -> Iterator[Room]:
    """A fresh installation."""
    clock = clock or FrozenClock()
    engine = open_engine(url, home, clock)
    try:
        with quick_hashes():
            made = _furnished(engine, clock, home)
        yield made
    finally:
        engine.close()


@dataclass(frozen=True)
class Furnished:
    """What `opened` makes, to be copied: an installation that is closed, on SQLite in its own folder."""

    home: Path
    me: Actor
    agent_id: str
    run_id: str

    @contextmanager
    def copied(self, home: Path) -> Iterator[Room]:
        """As `opened`, in a moment."""
        shutil.copytree(self.home, home, dirs_exist_ok=True)
        clock = FrozenClock()
        engine = open_engine(f"sqlite:///{home / 'handfast.db'}", home, clock)
        try:
            yield Room(engine, clock, home, self.me, self.agent_id, self.run_id)
        finally:
            engine.close()


@contextmanager
def in_a_moment(home: Path) -> Iterator[Room]:
    """As `opened` on SQLite in its own folder: what that makes is made once in each process."""
    files, known = _kept()
    home.mkdir(parents=True, exist_ok=True)
    put(files, home)
    clock = FrozenClock()
    engine = open_engine(f"sqlite:///{home / 'handfast.db'}", home, clock)
    try:
        yield Room(engine, clock, home, known.me, known.agent_id, known.run_id)
    finally:
        engine.close()


@cache
def _kept() -> tuple[Files, Furnished]:
    made: list[Furnished] = []
    files = kept(lambda folder: made.append(furnish(folder)))
    return files, made[0]


def furnish(home: Path) -> Furnished:
    """To copy from."""
    with opened(home) as made:
        return Furnished(made.home, made.me, made.agent_id, made.run_id)


def _furnished(engine: Engine, clock: FrozenClock, home: Path) -> Room:
    agent_id = cast("str", engine.agents.add(OPERATOR, "claude", "claude-code")["agent_id"])
    new = NewPerson("Ana", "ana", PASSWORD, PIN)
    person_id = cast("str", engine.people.set_up(engine.people.invite(), new)["person_id"])
    session = Session(agent_id, "claude-code", "session-1", "/repo", Mode.ENFORCE)
    run_id = cast("str", engine.runs.session(RUNNER, session)["run_id"])
    return Room(engine, clock, home, Actor("person", person_id, "browser"), agent_id, run_id)
