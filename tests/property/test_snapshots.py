"""A snapshot and the events after it always give what all the events give; a bad one is never used."""

import itertools
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handfast.core.audit.tree import leaf_hash
from handfast.core.domain import events_limits as m
from handfast.core.domain import events_work as e
from handfast.core.domain.errors import IntegrityError, NotFound
from handfast.core.domain.events import NAMES, SYSTEM, Recorded, RunEvent, to_bytes
from handfast.core.domain.events_work import BodyRef, Mode
from handfast.core.domain.ids import AgentId, HandoffId, RunId, RunnerId, StepId
from handfast.core.domain.limit_facts import Crossed, Level, Reported
from handfast.core.domain.run_fold import MAX_OPEN_STEPS, evolve
from handfast.engine import projections, snapshots
from handfast.engine.projections import Folding, fold
from handfast.engine.snapshots import Snapshots
from handfast.engine.vault import Vault
from handfast.storage.api import Append, EventRow, NewEvent, WriteSet
from handfast.storage.sql.store import SqlStore
from handfast.testing.clock import START

EVERY = 5
BODY = BodyRef("bo_1", "hmac-sha256:00", 3)
RUN = RunId("run_1")
_number = itertools.count(1)
HERE = settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _judged(key: int, verdict: str, effect: str) -> RunEvent:
    step = StepId(f"st_{key}")
    return e.StepJudged(RUN, step, f"k{key}", "Bash", effect, f"sha256:{key}", verdict)


EVENTS: st.SearchStrategy[RunEvent] = st.one_of(
    st.builds(
        _judged,
        st.integers(0, 40),
        st.sampled_from(["allow", "wait", "deny", "observed"]),
        st.sampled_from(["read", "exec"]),
    ),
    st.builds(
        lambda key, code: e.StepFinished(RUN, StepId(f"st_{key}"), code, output=BODY, repeat=code),
        st.integers(0, 40),
        st.integers(0, 2),
    ),
    st.builds(lambda n: e.RunLeased(RUN, RunnerId("r"), "host", n), st.integers(1, 9)),
    st.builds(lambda n: e.AgentStarted(RUN, n, 1, 2, "boot"), st.integers(1, 9)),
    st.just(e.RunPaused(RUN, 1, (HandoffId("ho_1"),), "refs/x/1", "c0", BODY)),
    st.builds(
        lambda c: e.AgentExited(RUN, 1, 0, cost_usd=c, turns=1), st.sampled_from(["", "0.1"])
    ),
    st.builds(
        lambda n, over: m.UsageReported(RUN, Reported(tokens_in=n, cost_usd="0.5"), over),
        st.integers(0, 99),
        st.booleans(),
    ),
    st.just(m.LimitWarned(RUN, Crossed("cost_usd", Level.WARN, "0.5", "0.4", "0.4"))),
    st.just(e.CoverageGap(RUN, "spool")),
)


@dataclass
class Shelf:
    """A store with snapshots, filled one event at a time."""

    store: SqlStore
    snapshots: Snapshots

    def fill(self, events: Sequence[RunEvent], together: int = 1) -> str:
        """A stream of these events, `together` in one command. Gives its name."""
        stream = f"run/run_{next(_number)}"
        created = e.RunCreated(RUN, AgentId("ag_1"), "none", Mode.ENFORCE, command=BODY)
        folding, base = Folding(stream), 0
        everything = [created, *events]
        while base < len(everything):
            rows: list[EventRow] = []
            for event in everything[base : base + together]:
                version = base + len(rows) + 1
                at = START + timedelta(seconds=version)
                data = to_bytes(Recorded(f"ev_{version}", stream, version, at, SYSTEM, event))
                row = EventRow(0, stream, version, NAMES[type(event)], data, leaf_hash(data))
                folding.take(row)
                rows.append(row)
            new = tuple(NewEvent(r.type, r.data, r.leaf) for r in rows)
            write = WriteSet(appends=(Append(base, new, folding.row()),))
            self.store.commit(write)
            self.snapshots.after(write)
            base = folding.version
        return stream

    def events(self, stream: str) -> list[EventRow]:
        return self.store.events(stream=stream, limit=10_000)

    def kept(self, stream: str) -> list[int]:
        return [s.version for s in self.store.keeping.snapshots(stream)]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setattr(snapshots, "EVERY", EVERY)
    with closing(SqlStore(f"sqlite:///{tmp_path}/log.db")) as store:
        yield Shelf(store, Snapshots(store, Vault(store, b"k" * 32)))


def _same_everywhere(shelf: Shelf, stream: str) -> None:
    events = shelf.events(stream)
    for version in range(1, len(events) + 1):
        assert shelf.snapshots.state_at(stream, version) == fold(events[:version]), version
    assert shelf.snapshots.state_at(stream) == fold(events)
    replayed = shelf.snapshots.verify(stream)
    assert replayed.same, replayed
    assert replayed.events == len(events)
    assert replayed.snapshots == len(shelf.kept(stream)) >= len(events) // EVERY


@HERE
@given(events=st.lists(EVENTS, min_size=1, max_size=17), together=st.integers(1, 3))
def test_a_snapshot_and_the_tail_are_the_fold_of_all_at_every_version(
    shelf: Shelf, events: list[RunEvent], together: int
) -> None:
    _same_everywhere(shelf, shelf.fill(events, together))


def test_what_a_run_keeps_of_many_open_steps_does_not_depend_on_how_its_state_was_stored(
    shelf: Shelf,
) -> None:
    """A stored state has its keys sorted; the newest steps must be kept all the same."""
    steps = [_judged(1_000 + n * 7 % 97, "allow", "exec") for n in range(3 * MAX_OPEN_STEPS)]
    stream = shelf.fill(steps)
    events = shelf.events(stream)
    for version in (MAX_OPEN_STEPS, 2 * MAX_OPEN_STEPS + 1, len(events)):
        assert shelf.snapshots.state_at(stream, version) == fold(events[:version])
    state = shelf.snapshots.state_at(stream)
    newest = sorted((s.step_id for s in steps if isinstance(s, e.StepJudged)), reverse=True)
    kept = json.loads(state.doc)["open_steps"].values()
    assert len(kept) == MAX_OPEN_STEPS
    assert {s["step_id"] for s in kept} >= set(newest[: MAX_OPEN_STEPS - 1])


STEPS = [_judged(n, "allow", "exec") for n in range(23)]


def _read(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, stream: str, version: int) -> int:
    """How many events a look back at `version` folds."""
    taken = 0
    take = Folding.take

    def counted(self: Folding, row: EventRow) -> None:
        nonlocal taken
        taken += 1
        take(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Folding, "take", counted)
        assert shelf.snapshots.state_at(stream, version).version == version
    return taken


def test_a_look_back_reads_only_what_came_after_the_snapshot(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = shelf.fill(STEPS)
    assert shelf.kept(stream) == [5, 10, 15, 20]
    assert _read(shelf, monkeypatch, stream, 24) == 4
    assert _read(shelf, monkeypatch, stream, 20) == 0
    assert _read(shelf, monkeypatch, stream, 4) == 4


@pytest.mark.parametrize("damage", ["doc", "mac", "version", "stream", "key"])
def test_a_snapshot_that_was_changed_or_moved_is_passed_over(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    stream, other = shelf.fill(STEPS), shelf.fill(STEPS[:7])
    keeping = shelf.store.keeping
    newest = keeping.snapshots(stream)[-1]
    wrong = {
        "doc": replace(newest, doc=newest.doc.replace(b'"steps":19', b'"steps":99')),
        "mac": replace(newest, mac=bytes(32)),
        "version": replace(newest, version=22),
        "stream": replace(newest, stream=other),
        "key": replace(newest, mac=Vault(shelf.store, b"x" * 32).stamp("snapshot", newest.doc)),
    }[damage]
    assert wrong != newest
    keeping.put_snapshots([wrong])
    events = shelf.events(wrong.stream)
    at = min(max(wrong.version, 22), len(events))
    assert shelf.snapshots.state_at(wrong.stream, at) == fold(events[:at])
    told = shelf.snapshots.verify(wrong.stream)
    assert not told.same
    assert told.stray == wrong.version
    assert shelf.snapshots.rebuild(stream) is False  # the state itself was right
    assert shelf.snapshots.verify(stream).same == (damage != "version")


def test_a_snapshot_of_an_older_fold_is_left_alone(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = shelf.fill(STEPS)
    newer = replace(projections.BY_NAME["run"], fold=9)
    monkeypatch.setitem(projections.BY_NAME, "run", newer)
    assert _read(shelf, monkeypatch, stream, 24) == 24
    assert shelf.snapshots.verify(stream).snapshots == 0
    shelf.snapshots.rebuild(stream)
    assert _read(shelf, monkeypatch, stream, 24) == 4


def test_states_are_made_again_when_their_fold_has_changed(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = [shelf.fill(STEPS[:n]) for n in (3, 12)]
    kind = projections.BY_NAME["run"]
    newer = replace(kind, fold=9, evolve=lambda s, v, at: replace(evolve(s, v, at), turns=7))
    monkeypatch.setitem(projections.BY_NAME, "run", newer)
    assert not shelf.snapshots.verify(streams[0]).same
    assert shelf.snapshots.rebuild_changed() == 2
    for stream in streams:
        _same_everywhere_but_for_count(shelf, stream)
    assert shelf.snapshots.rebuild_changed() == 0
    monkeypatch.setitem(projections.BY_NAME, "run", kind)
    from handfast.core.domain.errors import SchemaVersion

    with pytest.raises(SchemaVersion, match="newer Handfast"):
        shelf.snapshots.rebuild_changed()


def _same_everywhere_but_for_count(shelf: Shelf, stream: str) -> None:
    stored = shelf.store.load(stream)
    assert stored is not None
    assert json.loads(stored.doc)["turns"] == 7
    assert shelf.snapshots.state_at(stream) == replace(stored, opened=0)


def test_a_state_that_was_changed_is_written_again_as_the_log_says(
    shelf: Shelf, tmp_path: Path
) -> None:
    stream = shelf.fill(STEPS)
    with closing(sqlite3.connect(tmp_path / "log.db")) as c:
        c.execute("UPDATE state SET doc = CAST(replace(CAST(doc AS TEXT), 'Bash', 'x') AS BLOB)")
        c.execute("UPDATE state SET status = 'ended'")
        c.execute(
            "UPDATE state SET doc = CAST(replace(CAST(doc AS TEXT), 'none', 'nobody') AS BLOB)"
        )
        c.commit()
    assert not shelf.snapshots.verify(stream).same
    assert shelf.snapshots.rebuild(stream) is True
    assert shelf.snapshots.verify(stream).same
    found = shelf.store.load(stream)
    assert found is not None
    assert found.status == "queued"


def test_what_is_not_there_cannot_be_looked_back_at(shelf: Shelf) -> None:
    stream = shelf.fill(STEPS[:3])
    with pytest.raises(NotFound, match="no version 9"):
        shelf.snapshots.state_at(stream, 9)
    with pytest.raises(NotFound):
        shelf.snapshots.state_at("run/none")
    with pytest.raises(IntegrityError, match="no kind"):
        shelf.snapshots.state_at("thing/1", 1)
