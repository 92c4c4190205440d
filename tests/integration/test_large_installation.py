"""Many handoffs, in small: the filled log is a valid one, the queue comes in pages, and a page reads what it shows."""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.engine import Bench, open_bench
from bench.filler import Mix, fill
from handfast.core.audit.tree import Frontier, leaf_hash
from handfast.engine.queues import queue_page
from handfast.server.pages import inbox
from handfast.server.pages.reader import Reader, page
from handfast.server.web.inbox_filters import Filters
from handfast.storage.api import Query, SealedBody, StateRow, Store
from tests.faults.checker import check, read_log

MIX = Mix(waiting=120, approved=30, refused=40, step_events=60)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, list[str]]]:
    home = tmp_path_factory.mktemp("large")
    bench = open_bench(home, f"sqlite:///{home / 'handfast.db'}")
    waiting = fill(bench, MIX, runs=4)
    yield bench, waiting
    bench.engine.close()


def test_what_the_filler_makes_is_a_valid_log(filled: tuple[Bench, list[str]]) -> None:
    bench, _ = filled
    store = bench.engine.kernel.store
    rows = store.find(Query("handoff", limit=1000))
    assert len(rows) == MIX.handoffs
    assert all(bench.engine.audit.replay(row.stream).same for row in rows)
    assert Counter(row.status for row in rows) == {"routed": 120, "closed": 70}
    log = read_log(f"sqlite:///{bench.engine.home / 'handfast.db'}")
    assert check(log, {}) == []
    tree, _ = Frontier().extend([leaf_hash(row.data) for row in store.scan()])
    assert tree.to_bytes() == store.frontier()


def test_light_copies_are_valid_too(tmp_path: Path) -> None:
    bench = open_bench(tmp_path, f"sqlite:///{tmp_path / 'handfast.db'}")
    fill(bench, Mix(waiting=2, approved=2, refused=30, light=True), runs=1)
    rows = bench.engine.kernel.store.find(Query("handoff", limit=1000))
    assert all(bench.engine.audit.replay(row.stream).same for row in rows)
    assert check(read_log(f"sqlite:///{tmp_path / 'handfast.db'}"), {}) == []
    bench.engine.close()


def test_the_queue_in_pages_is_the_queue(filled: tuple[Bench, list[str]]) -> None:
    bench, waiting = filled
    engine, me = bench.engine, bench.person.id
    found: list[object] = []
    after = ""
    for _ in range(10):
        queue = queue_page(engine, me, limit=50, after=after)
        found += [item["handoff_id"] for item in queue.items]
        if not (after := queue.next):
            break
    assert found == waiting
    assert found == [item["handoff_id"] for item in queue_page(engine, me, limit=1000).items]


def test_the_inbox_shows_a_page_and_the_way_to_the_next(filled: tuple[Bench, list[str]]) -> None:
    bench, waiting = filled
    reader = Reader(bench.engine, bench.person.id, "secret")
    first = _shown(reader)
    assert first.count('id="row-') == inbox.SHOWN
    assert f"/handoffs/{waiting[0]}" in first
    assert f"/handoffs/{waiting[inbox.SHOWN]}" not in first
    assert "Inbox (120)" in first
    after = first.partition("/?after=")[2].partition('"')[0]
    second = _shown(reader, after)
    assert f"/handoffs/{waiting[inbox.SHOWN]}" in second
    assert f"/handoffs/{waiting[0]}" not in second
    assert "Decided recently" in first
    assert "Decided recently" not in second


def _shown(reader: Reader, after: str = "") -> str:
    return bytes(page("inbox.html", inbox._inbox(reader, Filters(), after)).body).decode()


class _Counted:
    """A store that counts what is read through it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.loads: list[str] = []
        self.found = 0
        self.opened = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def load(self, stream: str) -> StateRow | None:
        self.loads.append(stream)
        return self._store.load(stream)

    def body(self, body_id: str) -> SealedBody | None:
        self.opened += 1
        return self._store.body(body_id)

    def find(self, query: Query) -> list[StateRow]:
        rows = self._store.find(query)
        self.found += len(rows)
        return rows


@pytest.fixture
def counted(filled: tuple[Bench, list[str]], monkeypatch: pytest.MonkeyPatch) -> _Counted:
    kernel = filled[0].engine.kernel
    counting = _Counted(kernel.store)
    monkeypatch.setattr(kernel, "store", counting)
    monkeypatch.setattr(kernel.vault, "_store", counting)
    return counting


def test_a_page_reads_each_agent_and_run_once(
    filled: tuple[Bench, list[str]], counted: _Counted
) -> None:
    """Fifty rows of two runs of one agent: three states beside the rows themselves."""
    items = queue_page(filled[0].engine, "", limit=49).items
    runs = {item["run_id"] for item in items}
    assert counted.found == 50
    assert len(counted.loads) == len(runs) + 1, counted.loads


def test_a_list_opens_its_texts_together(
    filled: tuple[Bench, list[str]], counted: _Counted
) -> None:
    """None of the asks, reasons and outputs of thirty rows is read by itself; a name of a person is."""
    items = filled[0].engine.views.handoffs("closed", limit=30).items
    assert {item["decision"]["reason"] for item in items} == {"as planned"}  # type: ignore[index]
    assert counted.opened == 1


def test_looking_for_the_next_case_opens_nothing(
    filled: tuple[Bench, list[str]], counted: _Counted
) -> None:
    bench, waiting = filled
    assert bench.engine.views.first_waiting(2) == waiting[:2]
    assert (counted.found, counted.loads) == (2, [])


def test_a_sweep_with_nothing_to_do_reads_no_handoff(
    filled: tuple[Bench, list[str]], counted: _Counted
) -> None:
    """Those that wait have a date, so they are not frozen: none of them is read to learn that."""
    bench, _ = filled
    assert bench.engine.freezing.sweep() == 0
    assert bench.engine.sweep() == 0
    handoffs = [stream for stream in counted.loads if stream.startswith("handoff/")]
    assert (counted.found, handoffs) == (0, [])


def test_frozen_ones_are_found_among_many(filled: tuple[Bench, list[str]]) -> None:
    """Killed and let go between two sweeps of another server: all of them run again."""
    bench, waiting = filled
    engine = bench.engine
    scope = f"agent:{bench.agent_id}"
    engine.switch.kill(bench.person, scope, "to see")
    assert sum(itertools.takewhile(bool, iter(engine.freezing.sweep, None))) == len(waiting)
    engine.switch.release(bench.person, scope, "all", "seen")
    assert sum(itertools.takewhile(bool, iter(engine.freezing.sweep, None))) == len(waiting)
    dated = engine.kernel.store.find(Query("handoff", statuses=("routed",), limit=1000))
    assert all(row.due_at is not None for row in dated)
