"""Fills an installation with many handoffs and steps: a valid log, written in large groups.

One handoff of each life is led through the shipped engine and what it committed is kept as a pattern. Others
are made from it: their own ids, call, sealed bodies, digests and leaves; the same order of events and the
state they lead to. They go through the shipped write path, many to a commit. `audit verify`, the replay of
any stream and the independent checker hold for them as for the first.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from bench.engine import RUNNER, Bench
from handfast.core.audit.tree import leaf_hash
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.canonical import canonical_json, sha256
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_work import StepFinished, StepJudged
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import HandoffId, RunId, StepId
from handfast.core.domain.run import Run
from handfast.engine.actions import StepResult
from handfast.engine.gating import Proposal
from handfast.engine.grants import grant_of
from handfast.engine.handoffs import Decision
from handfast.engine.ids import new_id
from handfast.engine.kernel import Result, Unit
from handfast.storage.api import Append, Committed, NewEvent, SealedBody, StateRow, Store, WriteSet

GROUP = 400
STEPS_IN_A_COMMIT = 250
_ID = re.compile(rb"(?:ho|gr|ev|st|start|bo)_[0-9a-z]{26}|(?:hmac-)?sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Mix:
    """How many handoffs of each life, and how many further events as steps of runs.

    With `light`, refused ones are the same call asked for again and again: groups of 400 share its bodies.
    """

    waiting: int
    approved: int
    refused: int
    step_events: int = 0
    light: bool = False

    @property
    def handoffs(self) -> int:
        return self.waiting + self.approved + self.refused


class _Cut:
    """Bytes cut at the ids and digests in them, to be put together with others."""

    def __init__(self, data: bytes) -> None:
        self.names = [m.decode() for m in _ID.findall(data)]
        self._between = _ID.split(data)

    def filled(self, values: Mapping[str, str]) -> bytes:
        parts = [self._between[0]]
        for name, after in zip(self.names, self._between[1:], strict=True):
            parts += [values.get(name, name).encode(), after]
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """What one handoff's life wrote: its events, its last state, and its bodies in plain text by id."""

    tag: str
    handoff_id: str
    action_digest: str
    presented_digest: str
    offered: tuple[str, ...]
    package_id: str
    package: bytes
    types: tuple[str, ...]
    events: tuple[_Cut, ...]
    state: StateRow
    doc: _Cut
    bodies: tuple[tuple[SealedBody, bytes], ...]


class _Recorder:
    """A store that remembers what is committed through it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.writes: list[WriteSet] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def commit(self, write: WriteSet) -> Committed:
        self.writes.append(write)
        return self._store.commit(write)


def fill(bench: Bench, mix: Mix, runs: int = 100, say: Callable[[str], None] = print) -> list[str]:
    """Gives the ids of the handoffs that wait, in the order of the log."""
    ids = [bench.session(f"filled-{i}") for i in range(runs)]
    store = bench.engine.kernel.store
    for n, start in enumerate(range(0, mix.step_events, STEPS_IN_A_COMMIT)):
        number = min(STEPS_IN_A_COMMIT, mix.step_events - start)
        work = partial(_steps, run_id=ids[n % runs], events=number, first=start)
        bench.engine.kernel.run(RUNNER, work)
        _progress(say, store, start, number, "events")
    waiting: list[str] = []
    done = 0
    for life in _lives(mix):
        for start in range(0, life[1], GROUP):
            number = min(GROUP, life[1] - start)
            light = mix.light and life[0] == "refused"
            made = _group(
                bench, ids[(done // GROUP) % runs], life[0], range(done, done + number), light=light
            )
            waiting += made if life[0] == "waiting" else []
            _progress(say, store, done, number, "handoffs")
            done += number
    return waiting


def _lives(mix: Mix) -> tuple[tuple[str, int], ...]:
    """Most that wait are young, some are old: half of them come before everything else."""
    early = mix.waiting // 2
    later = ("waiting", mix.waiting - early)
    return ("waiting", early), ("approved", mix.approved), ("refused", mix.refused), later


def _progress(
    say: Callable[[str], None], store: Store, before: int, number: int, what: str
) -> None:
    if before // 50_000 != (before + number) // 50_000:
        say(f"   {before + number:,} {what}; the log has {store.size():,} entries")


def _group(bench: Bench, run_id: str, life: str, numbers: range, *, light: bool) -> list[str]:
    """One led through the engine, the others made like it and committed together."""
    pattern = _led(bench, run_id, life, f"v{numbers[0]:08d}")
    appends: list[Append] = []
    bodies: list[SealedBody] = []
    made = [pattern.handoff_id]
    for n in numbers[1:]:
        values, sealed = _values(bench, pattern, "" if light else f"v{n:08d}")
        data = [cut.filled(values) for cut in pattern.events]
        events = tuple(
            NewEvent(t, d, leaf_hash(d)) for t, d in zip(pattern.types, data, strict=True)
        )
        handoff_id = values[pattern.handoff_id]
        action = values.get(pattern.action_digest, pattern.action_digest)
        stream, match = f"handoff/{handoff_id}", f"{run_id}|{action}"
        doc = pattern.doc.filled(values)
        appends.append(
            Append(0, events, replace(pattern.state, stream=stream, match=match, doc=doc))
        )
        bodies += sealed
        made.append(handoff_id)
    if appends:
        write = WriteSet(appends=tuple(appends), bodies=tuple(bodies))
        bench.engine.kernel.store.commit(write)
    return made


def _call(tag: str) -> Call:
    return Call("Bash", {"command": f"git push origin {tag}"})


def _led(bench: Bench, run_id: str, life: str, tag: str) -> _Pattern:
    """Lead one handoff through the engine, and keep what that wrote."""
    kernel = bench.engine.kernel
    real = kernel.store
    recorder = _Recorder(real)
    kernel.store = cast("Store", recorder)
    try:
        handoff_id = _life(bench, run_id, life, tag)
    finally:
        kernel.store = real
    stream = f"handoff/{handoff_id}"
    appends = [a for w in recorder.writes for a in w.appends if a.state.stream == stream]
    events = [e for a in appends for e in a.events]
    cut, state = tuple(_Cut(e.data) for e in events), appends[-1].state
    named = {name for each in cut for name in each.names}
    sealed = [b for w in recorder.writes for b in w.bodies if b.body_id in named]
    asked = json.loads(events[0].data)["data"]
    package_id = asked["package"]["body_id"]
    return _Pattern(
        tag,
        handoff_id,
        asked["action_digest"],
        asked["presented_digest"],
        tuple(asked["offered"]),
        package_id,
        next(kernel.vault.unseal(b).data for b in sealed if b.body_id == package_id),
        tuple(e.type for e in events),
        cut,
        state,
        _Cut(state.doc),
        tuple((b, kernel.vault.unseal(b).data) for b in sealed),
    )


def _life(bench: Bench, run_id: str, life: str, tag: str) -> str:
    key, call = new_id("key"), _call(tag)
    facts = Facts(Effect.NETWORK, f"pushes {tag} to origin", hazards=("git.push",))
    actions = bench.engine.actions
    asked = actions.propose(RUNNER, Proposal(run_id, key, call, facts))
    handoff_id = HandoffId(str(asked["handoff_id"]))
    if life == "waiting":
        return handoff_id
    if life == "approved":
        _looked_at(bench, handoff_id)
    shown = bench.engine.kernel.state(Handoff, handoff_id).presented_digest
    kind = DecisionKind.APPROVE if life == "approved" else DecisionKind.REJECT
    bench.engine.handoffs.decide(bench.person, Decision(handoff_id, kind, shown, "as planned"))
    if life == "approved":
        again = actions.propose(RUNNER, Proposal(run_id, key, call, facts))
        assert again["verdict"] == "allow", again
        actions.record_result(RUNNER, StepResult(run_id, key, 0, output=f"pushed {tag}"))
    return handoff_id


def _looked_at(bench: Bench, handoff_id: str) -> None:
    """As people do before they approve: opened, taken, asked about."""
    handoffs = bench.engine.handoffs
    handoffs.viewed(bench.person, handoff_id)
    handoffs.acknowledge(bench.person, handoff_id)
    handoffs.comment(bench.person, handoff_id, "is the changelog complete?")
    handoffs.viewed(bench.person, handoff_id, 40_000)


def _values(bench: Bench, p: _Pattern, tag: str) -> tuple[dict[str, str], list[SealedBody]]:
    """The ids and digests of another handoff like the pattern, and its sealed bodies. Without a tag it is
    about the same call, with the same bodies."""
    values: dict[str, str] = {}
    for cut in p.events:
        for name in cut.names:
            prefix = name.partition("_")[0]
            if prefix in ("ev", "st", "start") and name not in values:
                values[name] = new_id(prefix)
    handoff_id = new_id("ho")
    values[p.handoff_id], values[grant_of(p.handoff_id)] = handoff_id, grant_of(handoff_id)
    if not tag:
        shown = _presented(handoff_id, p.action_digest, p.package, p.offered)
        return values | {p.presented_digest: shown}, []
    values[p.action_digest] = _call(tag).digest
    sealed = []
    for body, plain in p.bodies:
        content = plain.replace(p.tag.encode(), tag.encode())
        ref, made = bench.engine.kernel.vault.seal(content, body.media)
        values[body.body_id], values[body.digest] = ref.body_id, ref.digest
        sealed.append(made)
        if body.body_id == p.package_id:
            shown = _presented(handoff_id, values[p.action_digest], content, p.offered)
            values[p.presented_digest] = shown
    return values, sealed


def _presented(handoff_id: str, action_digest: str, package: bytes, offered: Sequence[str]) -> str:
    """As `engine.packages.presented_digest`, from the package's canonical bytes."""
    members = {"action_digest": action_digest, "handoff_id": handoff_id, "offered": list(offered)}
    return sha256(canonical_json(members)[:-1] + b',"package":' + package + b"}")


def _steps(unit: Unit, run_id: str, events: int, first: int) -> Result:
    """Calls that ran by themselves, as judged and finished steps."""
    for n in range(first, first + events, 2):
        step_id = StepId(new_id("st"))
        judged = StepJudged(
            run_id=RunId(run_id),
            step_id=step_id,
            key=f"k{n}",
            tool="Bash",
            effect=Effect.EXEC.value,
            action_digest=_call(f"t{n:08d}").digest,
            verdict="allow",
            call=unit.put_json(_call(f"t{n:08d}").canonical()),
            summary=unit.put(f"runs test {n}"),
        )
        ended = [StepFinished(RunId(run_id), step_id, 0)] if n + 1 < first + events else []
        unit.record(Run, run_id, [judged, *ended])
    return {}
