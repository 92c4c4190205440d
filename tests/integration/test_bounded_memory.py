"""A log of more than 50,000 entries, most of them one run's: whatever reads it takes little memory.

Each reading runs in a process of its own, forked before it begins; what its memory grew to is what the
system says of it. Decoded, the entries alone take more than twice what any reading may.
"""

import json
import os
import resource
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from handfast.app import open_engine
from handfast.core.audit.tree import leaf_hash
from handfast.core.domain.events import NAMES, SYSTEM, Recorded, RunEvent, to_bytes
from handfast.core.domain.events_work import BodyRef, StepFinished, StepJudged
from handfast.core.domain.ids import RunId, StepId
from handfast.core.domain.run import Run
from handfast.core.domain.run_fold import evolve
from handfast.engine.facade import Engine
from handfast.engine.projections import BY_NAME, row_of
from handfast.storage.api import Append, NewEvent, SealedBody, WriteSet
from tests.engine_room import opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
STEPS = 25_500
TOGETHER = 1_500
SHARED = 3  # steps with one call and one output: making bodies is the most of filling
MOST_MB = 40.0
OUTPUT = b"a line of output\n" * 60


@dataclass
class Long:
    home: Path
    run_id: str
    events: int


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Long:
    home = tmp_path_factory.mktemp("long") / "home"
    with opened(home) as room:
        _fill(room.engine, room.run_id)
        return Long(home, room.run_id, room.engine.kernel.store.size())


def _fill(engine: Engine, run_id: str) -> None:
    """Steps with their results, a thousand in a transaction: as commands write them, without their work."""
    kernel = engine.kernel
    state, version = kernel.state(Run, run_id), 1
    call: BodyRef | None = None
    output: BodyRef | None = None
    now = kernel.clock.now()
    for first in range(0, STEPS, TOGETHER):
        events: list[NewEvent] = []
        bodies: list[SealedBody] = []
        base = version
        for n in range(first, first + TOGETHER):
            step, run = StepId(f"st_{n:08}"), RunId(run_id)
            if n % SHARED == 0:
                text = b'{"arguments":{"command":"make %d"},"tool":"Bash"}' % n
                call, sealed = kernel.vault.seal(text)
                output, result = kernel.vault.seal(OUTPUT)
                bodies += [sealed, result]
            pair: list[RunEvent] = [
                StepJudged(run, step, f"k{n}", "Bash", "exec", f"sha256:{n:064}", "allow", call=call, summary=call),
                StepFinished(run, step, 0, output=output),
            ]  # fmt: skip
            for event in pair:
                version += 1
                data = to_bytes(
                    Recorded(f"ev_{version}", f"run/{run_id}", version, now, SYSTEM, event)
                )
                events.append(NewEvent(NAMES[type(event)], data, leaf_hash(data)))
                state = evolve(state, event, now)
        row = row_of(BY_NAME["run"], f"run/{run_id}", version, state)
        write = WriteSet(appends=(Append(base, tuple(events), row),), bodies=tuple(bodies))
        kernel.store.commit(write)
        kernel.snapshots.after(write)


def _grows_mb(long: Long, read: Callable[[Engine], None]) -> float:
    """By how many MB a process grows that opens the installation and reads."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        with os.fdopen(reading) as answer:
            said = answer.read()
        _, status = os.waitpid(child, 0)
        assert status == 0, said
        return float(said)
    try:
        os.close(reading)
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - the process ends with it
        with closing(open_engine(home=long.home)) as engine:
            engine.kernel.store.events(limit=500)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            read(engine)
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with os.fdopen(writing, "w") as answer:
            answer.write(str((after - before) / 1024))
    except BaseException as e:  # noqa: BLE001 - the test that forked says what it was
        os.write(writing, repr(e).encode())
        os._exit(1)
    os._exit(0)


def _export(engine: Engine) -> None:
    from tests.engine_room import OPERATOR

    done = engine.audit.export(OPERATOR, engine.home / "all.hfbundle", bodies=True)
    assert isinstance(done["entries"], int)
    assert done["entries"] > 2 * STEPS


def _verify(engine: Engine) -> None:
    from handfast.core.audit.bundle import verify_bundle
    from handfast.core.audit.note import parse_verifier_key
    from handfast.engine.bundle_file import ZipBundle
    from handfast.engine.keys import ed25519_verify
    from handfast.engine.notebook import DiskNotebook

    path = engine.home / "all.hfbundle"
    if not path.exists():
        _export(engine)
    key = parse_verifier_key(engine.audit.verifier)
    with ZipBundle(path) as bundle:
        report = verify_bundle(bundle, [key], [], ed25519_verify, DiskNotebook)
    assert report.ok, report.lines()
    assert report.bodies >= 2 * STEPS // SHARED


def _replay(engine: Engine) -> None:
    from handfast.cli import replay

    assert replay.verify("", as_json=True) == 0


def _run_page(engine: Engine) -> None:
    """The first pages of the run, and one deep inside."""
    from handfast.server.pages.reader import Reader
    from handfast.server.pages.runs import show_run

    run_id = next(
        r["run_id"]
        for r in engine.views.runs().items
        if r["counts"]["steps"] == STEPS  # type: ignore[index]
    )
    person = engine.kernel.store.keeping.streams("person")[0][1].partition("/")[2]
    for after in ("", "400", "50000"):
        answer = show_run(Reader(engine, person, "secret"), str(run_id), after)
        assert answer.status_code == 200
        assert len(answer.body) < 2_000_000


def _log(engine: Engine) -> None:
    """The log over the pages of the API."""
    from handfast.server.api.log import Filter, _page

    after, seen = 0, 0
    while page := _page(engine.kernel.store, Filter("", ""), after, 1_000).items:
        seen += len(page)
        after = page[-1].position
        if seen > 20_000:
            return


def _simulate(engine: Engine) -> None:
    """Half of the log: judging costs more than reading."""
    from handfast.engine.simulation import simulate

    def books(_: str) -> tuple[()]:
        return ()

    done = simulate(engine.kernel, books, books, lambda *_: None, after=STEPS)
    assert done.judged > STEPS // 3


def _retain(engine: Engine) -> None:
    """Following the log, and a look at what is due; nothing is old enough."""
    from handfast.engine.retention import Retain, Retention

    assert Retention(engine.kernel, Retain(30_000, 30_000, 30_000)).run() == 0
    assert engine.kernel.store.keeping.followed() >= 2 * STEPS


@pytest.fixture(autouse=True)
def at_home(long: Long, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDFAST_HOME", str(long.home))


READINGS = {
    "export": _export,
    "verify": _verify,
    "replay of every stream": _replay,
    "page of the run": _run_page,
    "pages of the log": _log,
    "simulation": _simulate,
    "retention": _retain,
}


@pytest.mark.parametrize("what", READINGS)
def test_reading_takes_little_memory(long: Long, what: str) -> None:
    grown = _grows_mb(long, READINGS[what])
    print(f"{what}: {grown:.1f} MB")
    assert grown < MOST_MB, what


def test_a_reading_that_held_the_log_would_show(long: Long) -> None:
    """The measure measures: all entries at once take more than anything above may."""

    def everything(engine: Engine) -> None:
        assert len([json.loads(row.data) for row in engine.kernel.store.scan()]) > 2 * STEPS

    assert _grows_mb(long, everything) > 2 * MOST_MB


def test_the_run_is_rebuilt_from_its_snapshot(long: Long, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it is, a look back folds no more than came after a snapshot (time: `bench/resume.py`)."""
    from handfast.engine.projections import Folding

    taken = 0
    take = Folding.take

    def counted(self: Folding, row: object) -> None:
        nonlocal taken
        taken += 1
        take(self, row)  # type: ignore[arg-type]

    with closing(open_engine(home=long.home)) as engine, monkeypatch.context() as patch:
        patch.setattr(Folding, "take", counted)
        stored = engine.kernel.store.load(f"run/{long.run_id}")
        assert stored is not None
        assert engine.kernel.snapshots.state_at(stored.stream, stored.version).doc == stored.doc
        assert taken <= 2 * TOGETHER  # one was kept with each command that passed a thousand
        assert len(stored.doc) < 20_000
