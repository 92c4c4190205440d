"""The registry of runners: made, given a token, started, heard of, retired."""

import re
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final, cast

from handfast.core.domain import events_runner as e
from handfast.core.domain import runner as runners
from handfast.core.domain.agent import Agent
from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import InvalidTransition, NotFound, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.ids import AgentId, RunnerId
from handfast.core.domain.project import Sight
from handfast.core.domain.run import Run
from handfast.core.domain.runner import Runner
from handfast.engine.ids import hash_secret, new_id, new_secret
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.leasing import Leasing
from handfast.engine.projections import BY_NAME, load
from handfast.storage.api import Credential, Lease, Query

PREFIX: Final = "hfr_"
KIND: Final = "runner"
MAX_LISTED: Final = 500
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=/-]{0,63}")
_MAX_TERMS: Final = 100


@dataclass(frozen=True, slots=True)
class NewRunner:
    """`repositories` are patterns as in a shell, matched on a run's repository as it was ordered;
    `agents` are names or ids. Empty ones bound nothing. A run that asks for labels goes only to runners
    that have all of them."""

    name: str
    repositories: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Process:
    """A process that works for a runner. `name` is used only with the data folder's own token."""

    host: str
    pid: int
    version: str = ""
    capacity: int = 0
    name: str = ""


class Runners:
    """All calls are atomic."""

    def __init__(self, kernel: Kernel, leasing: Leasing) -> None:
        self._kernel = kernel
        self._leasing = leasing

    # -- by the operator

    def add(self, actor: Actor, new: NewRunner) -> Result:
        """Register a runner. Result: runner_id, name, and its token: the only time it is shown.

        Raises InvalidTransition for a name that is taken, NotFound for an agent there is none of.
        """
        name = _checked(new)
        if self.named(name):
            raise InvalidTransition(f"there is a runner named `{name}` already")
        agents = tuple(self._agent_id(each) for each in new.agents)
        secret = new_secret()
        mark = hash_secret(secret)[:16]

        def work(unit: Unit) -> Result:
            runner_id = RunnerId(new_id("rn"))
            added = e.RunnerAdded(runner_id, name, new.repositories, agents, new.labels)
            unit.record(Runner, runner_id, [added, e.RunnerTokenIssued(runner_id)])
            unit.put_credential(_credential(runner_id, secret))
            return {"runner_id": runner_id, "name": name, "mark": mark}

        done = self._kernel.run(actor, work, key=self._once(name), command=[name])
        if done.pop("mark", "") != mark:  # somebody else's, at the same moment
            raise InvalidTransition(f"there is a runner named `{name}` already")
        return {**done, "token": _token(str(done["runner_id"]), secret)}

    def issue(self, actor: Actor, runner_id: str) -> Result:
        """A new token; the one before is valid no more. Result: runner_id, token. Raises NotFound, NotPermitted."""
        secret = new_secret()

        def work(unit: Unit) -> Result:
            runner = unit.get(Runner, runner_id)
            runners.check_active(runner)
            unit.record(Runner, runner_id, [e.RunnerTokenIssued(runner.runner_id)])
            unit.put_credential(_credential(runner_id, secret))
            return {"runner_id": runner_id}

        return {**self._kernel.run(actor, work), "token": _token(runner_id, secret)}

    def retire(self, actor: Actor, runner_id: str, reason: str) -> Result:
        """Its token is refused from now on, and its runs are free for others at once. Idempotent."""

        def work(unit: Unit) -> Result:
            runner = unit.get(Runner, runner_id)
            if not runner.retired:
                event = e.RunnerRetired(runner.runner_id, reason[:500])
                unit.record(Runner, runner_id, [event])
                unit.put_credential(Credential(runner_id, KIND, runner_id, "retired", revoked=True))
            return {"runner_id": runner_id, "retired": True}

        done = self._kernel.run(actor, work)
        held = self._leasing.held_by([runner_id])[runner_id]
        for run_id in held:
            run = self._kernel.state(Run, run_id)
            if run.runner_id == runner_id:
                self._kernel.store.renew_lease(f"run/{run_id}", run.epoch, self._kernel.clock.now())
        return {**done, "runs": list(held)}

    # -- by the runner

    def start(
        self, actor: Actor, runner_id: str, process: Process, *, request_key: str = ""
    ) -> Result:
        """A process begins to work. Earlier ones of this runner are refused from now on, and their runs are
        its own to take over at once. Result: runner_id, name, instance, lease_s, labels. Idempotent by
        `request_key`: a repeat is no second process that takes the place of the first.

        Without `runner_id` the runner is the one named, made when it is new. Raises NotFound, NotPermitted.
        """
        known = RunnerId(runner_id or self._by_name(actor, process.name))

        def work(unit: Unit) -> Result:
            runner = unit.get(Runner, known)
            runners.check_active(runner)
            instance = runner.instance + 1
            begun = e.RunnerStarted(
                known, instance, process.host, process.pid, process.version, process.capacity
            )
            unit.record(Runner, known, [begun])
            unit.take_lease(Lease(_presence(known), process.host, instance, self._until()))
            return {
                "runner_id": known,
                "name": runner.name,
                "instance": instance,
                "labels": list(runner.labels),
                "lease_s": self._kernel.settings.lease_s,
            }

        command = ["runner.start", known, asdict(process)]
        return self._kernel.run(actor, work, key=request_key, command=command)

    def _by_name(self, actor: Actor, given: str) -> str:
        name = _checked(NewRunner(given))

        def work(unit: Unit) -> Result:
            runner_id = RunnerId(new_id("rn"))
            unit.record(Runner, runner_id, [e.RunnerAdded(runner_id, name)])
            return {"runner_id": runner_id}

        if found := self.named(name):
            return found
        made = self._kernel.run(actor, work, key=self._once(name), command=[name])
        return str(made["runner_id"])

    def _once(self, name: str) -> str:
        """One runner at a time has a name: the key of its making names the one before."""
        query = Query("runner", match=name, newest_first=True, limit=1)
        before = self._kernel.store.find(query)
        return f"runner:{name}:{before[0].stream if before else ''}"

    def heartbeat(self, runner_id: str, instance: int) -> Result:
        """It is there. Raises StaleEpoch and NotPermitted when it is to stop."""
        runners.check_instance(self._kernel.state(Runner, runner_id), instance)
        self._kernel.store.renew_lease(_presence(runner_id), instance, self._until())
        return {"lease_s": self._kernel.settings.lease_s}

    def stop(self, actor: Actor, runner_id: str, instance: int, reason: str) -> Result:
        """It goes in order. A process that was followed is let be. Idempotent."""

        def work(unit: Unit) -> Result:
            runner = unit.get(Runner, runner_id)
            if runner.instance == instance and not runner.stopped:
                event = e.RunnerStopped(runner.runner_id, instance, reason[:500])
                unit.record(Runner, runner_id, [event])
            return {"runner_id": runner_id}

        return self._kernel.run(actor, work)

    # -- reads

    def named(self, name: str) -> str:
        """The id of the runner with this name, or ''; a retired one has given its name back."""
        query = Query("runner", statuses=("active",), match=name, limit=1)
        rows = self._kernel.store.find(query)
        return rows[0].stream.partition("/")[2] if rows else ""

    def all(self, sight: Sight | None = None) -> list[Result]:
        """At most 500, oldest first, each with the time it was last heard of and the runs it holds.

        With a limited `sight`: without what is of repositories beyond it, and without runners that are for those
        alone.
        """
        rows = self._kernel.store.find(Query("runner", limit=MAX_LISTED))
        found = [cast("Runner", load(BY_NAME["runner"], row.doc)) for row in rows]
        held = self._leasing.held_by([r.runner_id for r in found])
        shown = [self._shown(r, held[r.runner_id]) for r in found]
        return shown if sight is None else [r for each in shown if (r := self._within(each, sight))]

    def _within(self, shown: Result, sight: Sight) -> Result:
        """Of a runner, what a sight covers; nothing when it works for other repositories only."""
        bound, runs = cast("list[str]", shown["repositories"]), cast("list[str]", shown["runs"])
        known = [r for r in bound if sight.covers(r)]
        if bound and not known:
            return {}
        labels = (
            shown["labels"] if known == bound else []
        )  # they may name what the others are about
        seen = [r for r in runs if sight.covers(self._kernel.state(Run, r).root)]
        return {**shown, "repositories": known, "labels": labels, "runs": seen}

    def _shown(self, r: Runner, runs: list[str]) -> Result:
        lease = self._kernel.store.lease(_presence(r.runner_id))
        kept = timedelta(seconds=self._kernel.settings.lease_s)
        return {
            "runner_id": r.runner_id,
            "name": r.name,
            "state": _state(r, lease, self._kernel.clock.now(), working=bool(runs)),
            "repositories": list(r.repositories),
            "agents": list(r.agents),
            "labels": list(r.labels),
            "host": r.host,
            "pid": r.pid,
            "version": r.version,
            "capacity": r.capacity,
            "instance": r.instance,
            "heard_at": format_time(lease.expires_at - kept) if lease else "",
            "runs": list(runs),
        }

    def _until(self) -> datetime:
        return self._kernel.clock.now() + timedelta(seconds=self._kernel.settings.lease_s)

    def _agent_id(self, name_or_id: str) -> AgentId:
        if self._kernel.store.load(f"agent/{name_or_id}") is not None:
            return AgentId(name_or_id)
        rows = self._kernel.store.find(Query("agent", match=name_or_id, limit=1))
        if not rows:
            raise NotFound(
                f"there is no agent `{name_or_id}`", hint="`handfast agent list` shows them."
            )
        return cast("Agent", load(BY_NAME["agent"], rows[0].doc)).agent_id


def runner_of(token: str) -> tuple[str, str]:
    """The id and the secret in a named runner's token; two empty texts for any other."""
    found = re.fullmatch(r"hfr_(rn_[0-9a-z]{26})_(\S+)", token)
    return (found[1], found[2]) if found else ("", "")


def _token(runner_id: str, secret: str) -> str:
    return f"{PREFIX}{runner_id}_{secret}"


def _credential(runner_id: str, secret: str) -> Credential:
    return Credential(runner_id, KIND, runner_id, hash_secret(secret))


def _presence(runner_id: str) -> str:
    return f"runner/{runner_id}"


def _state(r: Runner, lease: Lease | None, now: datetime, *, working: bool) -> str:
    if r.retired:
        return "retired"
    if not r.instance:
        return "never started"
    if r.stopped:
        return "stopped"
    if lease is None or lease.expires_at <= now:
        return "silent"
    return "working" if working else "idle"


def _checked(new: NewRunner) -> str:
    """Its name. Raises UsageError."""
    name = new.name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise UsageError("`name` must be 1 to 100 printable characters")
    for label in new.labels:
        check_label(label)
    for pattern in new.repositories:
        if not pattern or len(pattern) > 500 or not pattern.isprintable():
            raise UsageError("a repository's pattern must be 1 to 500 printable characters")
    if max(len(new.labels), len(new.repositories), len(new.agents)) > _MAX_TERMS:
        raise UsageError(f"at most {_MAX_TERMS} labels, repositories and agents each")
    return name


def check_label(label: str) -> None:
    """Raises UsageError."""
    if not _LABEL.fullmatch(label):
        raise UsageError(
            f"`label` is {label[:64]!r}", hint="Letters, digits, dots, hyphens, `=` and `/`."
        )
