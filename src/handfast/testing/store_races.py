"""The conformance suite of a Store, continued: threads, processes, failures and kills."""

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from handfast.core.domain import faults
from handfast.core.domain.errors import Concurrency, StorageError
from handfast.storage.api import Store
from handfast.testing.store import StoreSuite
from handfast.testing.store_process import PATIENCE_S, finish, start
from handfast.testing.store_writes import append, body, check_log, parts_of, refused, whole, write

T = TypeVar("T")
THREADS, PROCESSES = 8, 4


class StoreRaces(StoreSuite):
    """What many callers at a time may rely on, and what a crash leaves."""

    def test_appends_of_many_threads(self, place: str) -> None:
        """Positions dense, none lost, none doubled; one winner for each version of a shared stream."""
        each = 40
        with self.opened(place) as store:

            def work(number: int) -> list[int]:
                positions = []
                for n in range(each):
                    positions.append(store.commit(write(f"thing/{number}.{n}", 0, 2)).position)
                    _insist(store, "thing/shared")
                return positions

            positions = [p for some in _parallel(work) for p in some]
            assert len(set(positions)) == THREADS * each
            assert check_log(store) == THREADS * each * 3
            assert len(store.events(stream="thing/shared", limit=1000)) == THREADS * each

    def test_one_of_many_wins_a_version(self, place: str) -> None:
        rounds = 20
        with self.opened(place) as store:

            def work(_: int) -> int:
                won = 0
                for version in range(rounds):
                    barrier.wait(PATIENCE_S)
                    try:
                        store.commit(write("thing/1", version))
                    except Concurrency:
                        continue
                    won += 1
                return won

            barrier = threading.Barrier(THREADS)
            assert sum(_parallel(work)) == rounds
            assert check_log(store) == rounds

    def test_a_key_is_used_once_by_many_threads(self, place: str) -> None:
        with self.opened(place) as store:

            def work(number: int) -> bytes:
                mine = replace(write(f"thing/{number}"), key="k", result=f"{number}".encode())
                done = store.commit(mine)
                return mine.result if done.replayed is None else done.replayed

            assert len(set(_parallel(work))) == 1
            assert check_log(store) == 1

    def test_a_bad_write_set_leaves_the_others_of_its_group_standing(self, place: str) -> None:
        """Every thread's commits wait behind a first one that is held, so that they form groups."""
        with self.opened(place) as store:
            store.commit(replace(write("thing/0"), bodies=(body("bo_taken"),)))

            def bad(name: str) -> Callable[[], object]:
                late = replace(whole(name), appends=(append("new"), append("thing/0", 5)))
                return lambda: store.commit(late)

            def work(number: int) -> None:
                barrier.wait(PATIENCE_S)
                for n in range(10):
                    if (number + n) % 3 == 0:
                        with refused(Concurrency):
                            bad(f"bad.{number}.{n}")()
                    elif (number + n) % 3 == 1:
                        with refused(Concurrency):
                            taken = (body(f"bo_{number}.{n}"), body("bo_taken"))
                            store.commit(replace(whole(f"bad.{number}.{n}"), bodies=taken))
                    else:
                        store.commit(whole(f"good.{number}.{n}"))

            barrier = threading.Barrier(THREADS + 1)
            held = _once(lambda: barrier.wait(PATIENCE_S))
            faults.arm("store.before_commit", held)
            try:
                with ThreadPoolExecutor(1) as pool:
                    first = pool.submit(store.commit, write("thing/first"))
                    _parallel(work)
                    first.result()
            finally:
                faults.disarm("store.before_commit")
            good = 0
            for number in range(THREADS):
                for n in range(10):
                    assert not any(parts_of(store, f"bad.{number}.{n}").values())
                    if (number + n) % 3 == 2:
                        assert all(parts_of(store, f"good.{number}.{n}").values())
                        good += 1
            assert check_log(store) == good + 2

    def test_a_failure_before_the_commit_leaves_nothing(self, place: str) -> None:
        with self.opened(place) as store:
            faults.arm("store.before_commit", _once(_fail))
            try:
                with refused(StorageError):
                    store.commit(whole("one"))
            finally:
                faults.disarm("store.before_commit")
            assert not any(parts_of(store, "one").values())
            store.commit(whole("one"))
            assert check_log(store) == 1

    def test_a_lost_acknowledgement_is_answered_by_the_key(self, place: str) -> None:
        with self.opened(place) as store:
            faults.arm("store.after_commit", _once(_fail))
            try:
                with refused(StorageError):
                    store.commit(whole("one"))
            finally:
                faults.disarm("store.after_commit")
            assert all(parts_of(store, "one").values())
            assert store.commit(whole("one")).replayed == b"one"
            assert check_log(store) == 1

    def test_many_processes_write_while_one_follows(self, place: str) -> None:
        """Dense positions, none lost, none doubled, and a reader by position never sees a gap."""
        each = 40
        total = PROCESSES * each * 2
        with self.opened(place):
            follower = start(self.opener, place, "follow", str(total))
            writers = [
                start(self.opener, place, "write", f"p{n}", str(each)) for n in range(PROCESSES)
            ]
            done = [name for process in writers for name in finish(process)]
            assert finish(follower) == [str(total)]
        with self.opened(place) as store:
            assert check_log(store) == total
            assert len(set(done)) == PROCESSES * each
            assert all(all(parts_of(store, name).values()) for name in done[::17])

    def test_many_processes_open_an_empty_place_at_once(self, place: str) -> None:
        started = [start(self.opener, place, "write", f"p{n}", "1") for n in range(PROCESSES)]
        for process in started:
            finish(process)
        with self.opened(place) as store:
            assert check_log(store) == PROCESSES * 2

    def test_a_process_killed_before_its_commit(self, place: str) -> None:
        """The write that was under way is gone as a whole, all that were acknowledged are there."""
        acknowledged = self._killed(place, "store.before_commit:kill:9")
        with self.opened(place) as store:
            assert acknowledged == ["w.1", "w.2", "w.3", "w.4"]
            assert check_log(store) == 8
            assert not any(parts_of(store, "w.5").values())
            assert store.commit(whole("w.5")).replayed is None

    def test_a_process_killed_after_its_commit(self, place: str) -> None:
        """The write that nobody was told of is there as a whole; its key gives its answer."""
        acknowledged = self._killed(place, "store.after_commit:kill:9")
        with self.opened(place) as store:
            assert acknowledged == ["w.1", "w.2", "w.3", "w.4"]
            assert check_log(store) == 9
            assert all(parts_of(store, "w.5").values())
            assert store.commit(whole("w.5")).replayed == b"w.5"

    def _killed(self, place: str, fault: str) -> list[str]:
        process = start(self.opener, place, "write", "w", "100", fault=fault)
        out, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == -signal.SIGKILL, errors
        return out.split()

    def test_a_process_killed_with_a_group_under_way(self, place: str) -> None:
        """Each write set of the group is there or not as a whole, and none that was acknowledged is lost."""
        for point in ("before", "after"):
            fault = f"store.{point}_commit:kill:12"
            process = start(self.opener, place, "threads", point, "50", fault=fault)
            out, errors = process.communicate(timeout=PATIENCE_S)
            assert process.returncode == -signal.SIGKILL, errors
            with self.opened(place) as store:
                check_log(store)
                for name in out.split():
                    assert all(parts_of(store, name).values()), name
                for number in range(THREADS):
                    for n in range(1, 15):
                        parts = parts_of(store, f"{point}.{number}.{n}")
                        assert len(set(parts.values())) == 1, parts


def _parallel(work: Callable[[int], T]) -> list[T]:
    """`work` in all threads at once; the first exception is raised."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, range(THREADS)))


def _insist(store: Store, stream: str) -> None:
    """Append to a stream that everybody wants."""
    while True:
        row = store.load(stream)
        try:
            store.commit(write(stream, row.version if row else 0))
        except Concurrency:
            continue
        return


def _once(act: Callable[[], object]) -> Callable[[], None]:
    lock = threading.Lock()

    def hit() -> None:
        if lock.acquire(blocking=False):
            act()

    return hit


def _fail() -> None:
    raise RuntimeError("told to fail")
