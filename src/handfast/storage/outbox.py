"""What leaves the process: rows written with an event, and how the relay works through them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OutboxItem:
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """`state` is waiting, handed (somebody carries it out) or dead (given up until it is asked for again).

    `attempts` counts those that failed, so it names the attempt that comes; the first `spared` of them
    do not count any more. `done` names the receivers that have it already.
    """

    id: int
    topic: str
    payload: bytes
    attempts: int
    state: str = "waiting"
    not_before: datetime = _NEVER
    spared: int = 0
    done: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class OutboxCount:
    topic: str
    state: str
    number: int
    oldest: int


class Outbox(Protocol):
    """Deliveries, each with an id that is never used twice. What fails or repeats an attempt is refused
    (False) once that attempt is over, whoever says it: the row has another number of attempts then. What was
    delivered is done by whichever attempt."""

    def outbox(self, limit: int) -> list[OutboxRow]:
        """All rows that are not done, oldest first."""
        ...

    def outbox_row(self, row_id: int) -> OutboxRow | None: ...

    def outbox_due(
        self, now: datetime, latest: datetime, limit: int, without: Sequence[str] = ()
    ) -> list[OutboxRow]:
        """Waiting rows of other topics than `without`, oldest first, whose time has come.

        Those put off beyond `latest` are among them: the clock was set back since.
        """
        ...

    def outbox_in(self, state: str, limit: int, after: int = 0) -> list[OutboxRow]:
        """Rows in a state with an id above `after`, oldest first."""
        ...

    def outbox_counts(self) -> list[OutboxCount]: ...

    def outbox_handed(self, rows: Sequence[OutboxRow]) -> None: ...

    def outbox_done(self, ids: Sequence[int]) -> None:
        """Idempotent. The rows are gone."""
        ...

    def outbox_failed(
        self, row: OutboxRow, again_at: datetime, error: str, done: Sequence[str] = ()
    ) -> bool:
        """The attempt failed; the row waits until `again_at`."""
        ...

    def outbox_dead(self, row: OutboxRow, error: str, done: Sequence[str] = ()) -> bool:
        """The attempt failed, and there is no other one by itself."""
        ...

    def outbox_again(self, row: OutboxRow) -> bool:
        """A dead row waits again, and its failures so far do not count any more."""
        ...

    def beat(self, worker: str) -> None:
        """Count one more heartbeat of a relay."""
        ...

    def beats(self) -> dict[str, int]:
        """Heartbeats so far. Whether they still go up is the reader's to see, by its own clock."""
        ...

    def forget_worker(self, worker: str) -> None: ...
