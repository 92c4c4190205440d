"""What the relay may rely on: rows stay until they are done, and an attempt ends once."""

from collections.abc import Sequence
from datetime import timedelta

from handfast.storage.api import Store, WriteSet
from handfast.storage.outbox import OutboxCount, OutboxItem, OutboxRow
from handfast.testing.store import STRANGE, StoreSuite
from handfast.testing.store_writes import NOON

LATER = NOON + timedelta(seconds=30)
FAR = NOON + timedelta(hours=1)


def _post(store: Store, *names: str, topic: str = "t") -> None:
    store.commit(WriteSet(outbox=tuple(OutboxItem(topic, n.encode()) for n in names)))


def _only(rows: Sequence[OutboxRow]) -> OutboxRow:
    (row,) = rows
    return row


class StoreOutbox(StoreSuite):
    """The outbox, one caller at a time."""

    def test_the_outbox_keeps_rows_until_they_are_done(self, place: str) -> None:
        with self.opened(place) as store:
            _post(store, "a", "b", "c")
            assert [r.payload for r in store.outbox(2)] == [b"a", b"b"]
            seen = [r.id for r in store.outbox(10)]
            store.outbox_done(seen)
            store.outbox_done([])
            assert store.outbox(10) == []
            _post(store, "d")
            last = _only(store.outbox(10))
            assert last.id > max(seen), "an id of a delivered row was used again"
            assert store.outbox_row(last.id) == last
            assert store.outbox_row(seen[0]) is None

    def test_a_failed_row_is_due_when_its_time_comes_or_the_clock_was_set_back(
        self, place: str
    ) -> None:
        with self.opened(place) as store:
            _post(store, "a")
            row = _only(store.outbox_due(NOON, FAR, 10))
            assert store.outbox_failed(row, LATER, STRANGE, ("mail", "chat"))
            assert store.outbox_due(NOON, FAR, 10) == []
            again = _only(store.outbox_due(LATER, FAR, 10))
            assert (again.attempts, again.error, again.done) == (1, STRANGE, ("mail", "chat"))
            assert again.not_before == LATER
            assert [r.id for r in store.outbox_due(NOON, NOON, 10)] == [row.id]

    def test_an_attempt_ends_once_whoever_says_it(self, place: str) -> None:
        with self.opened(place) as store:
            _post(store, "a")
            first = _only(store.outbox_due(NOON, FAR, 10))
            store.outbox_handed([first])
            assert store.outbox_due(NOON, FAR, 10) == []
            assert _only(store.outbox_in("handed", 10)).attempts == 0
            assert store.outbox_failed(first, NOON, "lost")
            assert not store.outbox_failed(first, NOON, "late")
            assert not store.outbox_dead(first, "late")
            store.outbox_handed([first])
            assert _only(store.outbox_due(NOON, FAR, 10)).error == "lost"

    def test_a_dead_row_waits_until_it_is_asked_for_again(self, place: str) -> None:
        with self.opened(place) as store:
            _post(store, "a")
            row = _only(store.outbox_due(NOON, FAR, 10))
            assert not store.outbox_again(row), "it is not dead"
            assert store.outbox_dead(row, "no way")
            assert store.outbox_due(FAR, FAR, 10) == []
            dead = _only(store.outbox_in("dead", 10))
            assert not store.outbox_failed(dead, NOON, "late")
            assert store.outbox_again(dead)
            assert not store.outbox_again(dead)
            waiting = _only(store.outbox_due(NOON, FAR, 10))
            assert (waiting.attempts, waiting.spared) == (1, 1)

    def test_rows_are_counted_and_chosen_by_topic(self, place: str) -> None:
        with self.opened(place) as store:
            _post(store, "a", "b", topic="x.y")
            _post(store, "c", topic=STRANGE)
            first, _, third = store.outbox(10)
            assert store.outbox_due(NOON, FAR, 10, without=["x.y", "other"]) == [third]
            store.outbox_handed([first])
            assert [r.id for r in store.outbox_in("waiting", 10, after=first.id + 1)] == [third.id]
            counted = sorted(store.outbox_counts(), key=lambda c: c.oldest)
            assert counted == [
                OutboxCount("x.y", "handed", 1, first.id),
                OutboxCount("x.y", "waiting", 1, first.id + 1),
                OutboxCount(STRANGE, "waiting", 1, third.id),
            ]

    def test_heartbeats_go_up_until_the_worker_is_forgotten(self, place: str) -> None:
        with self.opened(place) as store:
            assert store.beats() == {}
            for worker in ("a", "b", "a"):
                store.beat(worker)
            assert store.beats() == {"a": 2, "b": 1}
            store.forget_worker("a")
            store.forget_worker("a")
            assert store.beats() == {"b": 1}
