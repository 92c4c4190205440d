"""The conformance suite of `handfast.storage.api.Store`.

A backend inherits all of it by naming its opener and giving pytest a fixture `place`, the place of an
empty store, as text:

    class TestMine(StoreContract, StoreRaces):
        opener = "my.module:MyStore"

Races and crashes are in `handfast.testing.store_races`, the outbox is in `store_outbox`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from handfast.core.domain.errors import Concurrency, HandfastError, InvalidTransition, UsageError
from handfast.storage.api import (
    Credential,
    Lease,
    Query,
    Seen,
    StateRow,
    Store,
    TreeHead,
    WriteSet,
)
from handfast.testing.store_process import open_named
from handfast.testing.store_writes import (
    NOON,
    append,
    body,
    check_log,
    parts_of,
    refused,
    whole,
    write,
)

# Unicode that databases and drivers have been known to change: composed and decomposed, beyond the
# Basic Multilingual Plane, direction marks, quotes, percent signs, controls other than NUL.
STRANGE = "e\u0301\u00e9 \U0001f600 \u202e ' \" %s %(x)s \\ \n\t\x01\x7f"


class StoreSuite:
    """How the suites reach the store under test."""

    opener: str

    @contextmanager
    def opened(self, place: str) -> Iterator[Store]:
        store = open_named(self.opener, place)
        try:
            yield store
        finally:
            store.close()


class StoreContract(StoreSuite):
    """What one caller at a time may rely on."""

    def test_an_empty_store(self, place: str) -> None:
        with self.opened(place) as store:
            assert store.size() == 0
            assert list(store.scan()) == []
            assert store.events() == []
            assert store.load("thing/1") is None
            assert store.find(Query("thing")) == []
            assert store.body("bo_1") is None
            assert store.answer("key") is None
            assert store.heads() == []
            assert check_log(store) == 0

    def test_what_was_committed_is_read_back_after_reopening(self, place: str) -> None:
        row = append("thing/1", 0, 3, task_id="task_1", rank=-2, due_at=NOON, match=STRANGE).state
        with self.opened(place) as store:
            done = store.commit(WriteSet(appends=(append("thing/1", 0, 3), append("thing/2"))))
            assert done.position == 4
            assert done.replayed is None
            store.commit(write("thing/1", 3, 1))
        with self.opened(place) as store:
            assert check_log(store) == 5
            assert [e.version for e in store.events(stream="thing/1")] == [1, 2, 3, 4]
            assert [e.version for e in store.events(stream="thing/1", after=2, limit=1)] == [3]
            store.commit(write("thing/3", 0, 3, task_id="task_1", rank=-2, due_at=NOON))
            stored = store.load("thing/3")
            assert stored == replace(row, stream="thing/3", match="", opened=6)

    def test_a_stale_append_leaves_nothing(self, place: str) -> None:
        with self.opened(place) as store:
            store.commit(write("thing/1", 0, 2))
            for wrong in (0, 1, 3, 99):
                late = replace(whole("late"), appends=(append("a"), append("thing/1", wrong)))
                with refused(Concurrency):
                    store.commit(late)
            assert check_log(store) == 2
            assert not any(parts_of(store, "late").values())
            assert store.load("a") is None
            store.commit(write("thing/1", 2))
            assert check_log(store) == 3

    def test_a_stream_that_was_only_read_is_guarded(self, place: str) -> None:
        with self.opened(place) as store:
            store.commit(write("thing/1", 0, 2))
            for wrong in (Seen("thing/1", 1), Seen("thing/1", 0), Seen("thing/2", 1)):
                with refused(Concurrency):
                    store.commit(replace(whole("late"), seen=(wrong,)))
            assert not any(parts_of(store, "late").values())
            right = (Seen("thing/1", 2), Seen("thing/2", 0))
            store.commit(replace(whole("good"), seen=right))
            assert all(parts_of(store, "good").values())

    def test_everything_commits_together_or_not_at_all(self, place: str) -> None:
        with self.opened(place) as store:
            store.commit(whole("one"))
            assert all(parts_of(store, "one").values())
            broken = replace(whole("two"), bodies=(body("bo_two"), body("bo_one")))
            with refused(Concurrency):
                store.commit(broken)
            assert not any(parts_of(store, "two").values())
            assert check_log(store) == 1
            store.commit(whole("two"))
            assert all(parts_of(store, "two").values())

    def test_a_used_key_replays_the_first_answer(self, place: str) -> None:
        first = WriteSet(appends=(append("thing/1"),), key="k", fingerprint="f", result=b"one")
        with self.opened(place) as store:
            assert store.commit(first).replayed is None
            again = store.commit(replace(first, appends=(append("thing/2"),), result=b"two"))
            assert again.replayed == b"one"
            assert store.load("thing/2") is None
            assert store.answer("k") == ("f", b"one")
        with self.opened(place) as store:
            assert store.commit(replace(first, result=b"three")).replayed == b"one"
            with refused(InvalidTransition):
                store.commit(replace(first, fingerprint="g", appends=(append("thing/3"),)))
            assert store.load("thing/3") is None
            assert check_log(store) == 1

    def test_a_key_of_a_refused_write_is_not_used(self, place: str) -> None:
        with self.opened(place) as store:
            with refused(Concurrency):
                store.commit(replace(whole("one"), appends=(append("thing/one", 7),)))
            assert store.answer("key-one") is None
            assert store.commit(whole("one")).replayed is None

    def test_what_cannot_be_stored_is_refused_alike(self, place: str) -> None:
        bad = ("nul\0", "half \ud800")
        with self.opened(place) as store:
            for text in bad:
                writes = (
                    write(f"thing/{text}"),
                    write("thing/1", match=text),
                    replace(whole("w"), key=text),
                    WriteSet(credentials=(Credential(text, "token", "s", "h"),)),
                    WriteSet(lease=Lease(text, "h", 1, NOON)),
                    WriteSet(bodies=(body(text),)),
                )
                for one in writes:
                    with refused(UsageError):
                        store.commit(one)
                with refused(UsageError):
                    store.find(Query("thing", match=text))
                with refused(UsageError):
                    store.answer(text)
                with refused(UsageError):
                    store.load(text)
            with refused(UsageError):
                store.commit(WriteSet(appends=(replace(append("thing/1"), events=()),)))
            assert check_log(store) == 0
            store.commit(write("thing/1"))

    def test_text_and_bytes_come_back_as_they_went_in(self, place: str) -> None:
        data = bytes(range(256)) * 300
        sealed = replace(body("bo_1"), ciphertext=data, salt=b"\0" * 16)
        one = append(f"thing/{STRANGE}", 0, 1, match=STRANGE, doc=data)
        with self.opened(place) as store:
            store.commit(
                WriteSet(appends=(one,), bodies=(sealed,), key=STRANGE, fingerprint=STRANGE)
            )
            assert store.body("bo_1") == sealed
            assert [r.doc for r in store.find(Query("thing", match=STRANGE))] == [data]
            assert store.answer(STRANGE) == (STRANGE, b"")
            assert [r.stream for r in store.scan()] == [f"thing/{STRANGE}"]

    def test_times_keep_their_microseconds(self, place: str) -> None:
        times = [
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(2026, 3, 29, 1, 30, 0, 999999, tzinfo=UTC),
            datetime(2100, 2, 28, 23, 59, 59, 1, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        ]
        with self.opened(place) as store:
            for n, at in enumerate(times):
                store.commit(write(f"thing/{n}", due_at=at))
                found = store.load(f"thing/{n}")
                assert found is not None
                assert found.due_at == at

    def test_find_filters(self, place: str) -> None:
        rows: list[dict[str, str]] = [
            {"status": "open", "task_id": "t1", "run_id": "r1", "agent_id": "a1", "match": "m1"},
            {"status": "open", "task_id": "t1", "run_id": "r2", "agent_id": "a2", "match": "m2"},
            {"status": "done", "task_id": "t2", "run_id": "r2", "agent_id": "a1", "match": "m1"},
            {"status": "gone"},
        ]
        with self.opened(place) as store:
            for n, columns in enumerate(rows):
                store.commit(write(f"thing/{n}", **columns))
            store.commit(write("other/1", kind="other", status="open", task_id="t1"))

            def found(query: Query) -> list[int]:
                return [int(r.stream.partition("/")[2]) for r in store.find(query)]

            assert found(Query("thing")) == [0, 1, 2, 3]
            assert found(Query("thing", statuses=("open",))) == [0, 1]
            assert found(Query("thing", statuses=("done", "gone"))) == [2, 3]
            assert found(Query("thing", task_id="t1")) == [0, 1]
            assert found(Query("thing", run_id="r2", statuses=("open",))) == [1]
            assert found(Query("thing", agent_id="a1", match="m1")) == [0, 2]
            assert found(Query("thing", match="m1", newest_first=True, limit=1)) == [2]
            assert found(Query("thing", statuses=("never",))) == []
            assert store.count("thing", ("open", "gone")) == 3
            assert store.count("thing", ()) == 0
            assert store.begun("thing", "m1") == [1, 3]
            assert store.begun("thing", "") == []

    def test_ranks_are_counted_and_a_root_stays(self, place: str) -> None:
        with self.opened(place) as store:
            for n, rank in enumerate((3, 1, 3, 3)):
                status = "gone" if n == 3 else "open"
                store.commit(write(f"thing/{n}", rank=rank, status=status, root=f"/r{n}"))
            assert store.ranks("thing", ("open",)) == {1: 1, 3: 2}
            assert store.ranks("thing", ("open", "gone")) == {1: 1, 3: 3}
            assert store.ranks("thing", ()) == {}
            store.commit(write("thing/1", 1, rank=2, status="open", root="/elsewhere"))
            changed = store.load("thing/1")
            assert changed is not None
            assert (changed.rank, changed.root) == (2, "/r1")

    def test_find_pages_in_order_without_gaps(self, place: str) -> None:
        ranks = [3, 1, 2, 1, 3, 0, 1, 2, 2, 1]
        with self.opened(place) as store:
            for n, rank in enumerate(ranks):
                store.commit(write(f"thing/{n}", rank=rank))
            by_rank = [f"thing/{n}" for n in sorted(range(10), key=lambda n: (ranks[n], n))]
            newest = [f"thing/{n}" for n in range(9, -1, -1)]
            assert _paged(store, Query("thing", limit=3)) == by_rank
            assert _paged(store, Query("thing", limit=3, newest_first=True)) == newest

    def test_find_gives_what_is_due(self, place: str) -> None:
        with self.opened(place) as store:
            for n, minutes in enumerate((30, 10, 20, None, 40)):
                at = None if minutes is None else NOON + timedelta(minutes=minutes)
                store.commit(write(f"thing/{n}", due_at=at))

            def due(minutes: int, limit: int = 100) -> list[str]:
                until = NOON + timedelta(minutes=minutes)
                return [
                    r.stream[-1] for r in store.find(Query("thing", due_before=until, limit=limit))
                ]

            assert due(9) == []
            assert due(10) == ["1"]
            assert due(35) == ["1", "2", "0"]
            assert due(99, limit=2) == ["1", "2"]
            store.commit(write("thing/1", 1, due_at=None))
            assert due(99) == ["2", "0", "4"]
            with refused(UsageError):
                store.find(Query("thing", due_before=NOON, after=(0, 1)))

    def test_events_of_types_page_without_gaps(self, place: str) -> None:
        with self.opened(place) as store:
            for n in range(30):
                made = append(f"thing/{n % 2}", n // 2)
                kind = "rare" if n % 10 == 9 else f"common.{n % 2}"
                store.commit(
                    WriteSet(appends=(replace(made, events=(replace(made.events[0], type=kind),)),))
                )
            assert [e.position for e in store.events(types=["rare"], limit=2)] == [10, 20]
            assert [e.position for e in store.events(types=["rare"], after=20, limit=2)] == [30]
            of_stream = store.events(stream="thing/1", types=["rare", "none"], after=5, limit=9)
            assert [e.version for e in of_stream] == [10, 15]

    def test_an_erased_body_is_gone_and_its_row_stays(self, place: str) -> None:
        with self.opened(place) as store:
            store.commit(WriteSet(bodies=(body("bo_1"), body("bo_2"), body("bo_3"))))
            store.commit(replace(write("thing/1"), erased=("bo_1",)))
            with refused(Concurrency):
                store.commit(replace(write("thing/1", 9), erased=("bo_2",)))
            store.erase_body("bo_3")
            store.erase_body("bo_3")
            store.erase_body("bo_never")
            found = store.bodies(["bo_1", "bo_2", "bo_3", "bo_4", "bo_1"])
            assert sorted(found) == ["bo_1", "bo_2", "bo_3"]
            assert found["bo_2"] == body("bo_2")
            for gone in ("bo_1", "bo_3"):
                empty = replace(body(gone), salt=b"", nonce=b"", ciphertext=b"")
                assert found[gone] == store.body(gone) == empty

    def test_credentials_are_replaced_revoked_and_found(self, place: str) -> None:
        one = Credential("tok_1", "token", "ag_1", "hash", ("propose", "read"), NOON)
        two = Credential("tok_2", "token", "ag_1", "other")
        changed = Credential("tok_1", "token", "ag_1", "new", (), NOON)
        with self.opened(place) as store:
            store.commit(WriteSet(credentials=(one, two, replace(two, id="pin:1", kind="pin"))))
            assert store.credential("tok_1") == one
            assert store.credential("tok_9") is None
            assert sorted(c.id for c in store.credentials_of("ag_1", "token")) == ["tok_1", "tok_2"]
            store.commit(WriteSet(credentials=(changed,)))
            assert store.credential("tok_1") == changed
            store.revoke_credential("tok_1")
            assert store.credential("tok_1") == replace(changed, revoked=True)
            assert [c.id for c in store.credentials_of("ag_1", "token")] == ["tok_2"]

    def test_a_lease_is_renewed_by_its_epoch_and_taken_by_a_higher_one(self, place: str) -> None:
        later = NOON + timedelta(seconds=30)
        with self.opened(place) as store:
            assert store.lease("run/1") is None
            assert not store.renew_lease("run/1", 1, later)
            store.commit(WriteSet(lease=Lease("run/1", "first", 1, NOON)))
            assert store.renew_lease("run/1", 1, later)
            assert store.lease("run/1") == Lease("run/1", "first", 1, later)
            store.commit(WriteSet(lease=Lease("run/1", "second", 2, later)))
            assert not store.renew_lease("run/1", 1, later)
            for epoch in (1, 2):
                late = replace(write("thing/1"), lease=Lease("run/1", "first", epoch, later))
                with refused(Concurrency):
                    store.commit(late)
            assert store.lease("run/1") == Lease("run/1", "second", 2, later)
            assert store.size() == 0

    def test_heads_are_kept_once_a_size(self, place: str) -> None:
        with self.opened(place) as store:
            for size in (3, 1, 2):
                store.add_head(TreeHead(size, f"note {size}"))
            store.add_head(TreeHead(2, "another"))
            assert [(h.size, h.note) for h in store.heads()] == [
                (n, f"note {n}") for n in (1, 2, 3)
            ]
            assert [h.size for h in store.heads(limit=2)] == [2, 3]

    def test_the_tree_grows_over_many_batches(self, place: str) -> None:
        with self.opened(place) as store:
            for n, count in enumerate((1, 254, 1, 1, 255, 256, 1, 300)):
                store.commit(write(f"thing/{n}", 0, count))
            assert check_log(store) == 1069
        with self.opened(place) as store:
            store.commit(write("thing/last"))
            assert check_log(store) == 1070

    def test_listeners_hear_of_commits(self, place: str) -> None:
        heard: list[int] = []

        def fail(size: int) -> None:
            raise HandfastError(f"a listener failed at {size}")

        with self.opened(place) as store:
            stop_failing, stop = store.subscribe(fail), store.subscribe(heard.append)
            store.commit(write("thing/1", 0, 3))
            with refused(Concurrency):
                store.commit(write("thing/1", 0))
            store.commit(write("thing/1", 3))
            stop()
            stop_failing()
            store.commit(write("thing/1", 4))
            assert heard == [3, 4]

    def test_closing_twice_is_fine(self, place: str) -> None:
        with self.opened(place) as store:
            store.commit(write("thing/1"))
            store.close()


def _paged(store: Store, query: Query) -> list[str]:
    """All pages, one after the other."""
    streams: list[str] = []
    while page := store.find(query):
        streams += [row.stream for row in page]
        query = replace(query, after=_place_of(page[-1]))
    return streams


def _place_of(row: StateRow) -> tuple[int, int]:
    return (row.rank, row.opened)
