"""What goes where: receivers by topic, how fast, what runs at which time. Plain values and functions."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from handfast.core.domain.errors import UsageError

T = TypeVar("T")
SEGMENT: Final = "segment."
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


@dataclass(frozen=True, slots=True)
class Delivery:
    """`id` is the same for every attempt and never used twice: pass it on as the idempotency key.

    `attempt` counts from 1.
    """

    id: int
    topic: str
    payload: Mapping[str, object]
    attempt: int


@dataclass(frozen=True, slots=True)
class Sink:
    """A receiver. It gets what is posted under `topic`: `handoff.requested`, or `run.*` for a noun.

    `work` may be called more than once for a delivery, on any server, in any order, and in a thread.
    What it raises is a failed attempt. `name` is remembered: keep it when the code moves.
    """

    name: str
    topic: str
    work: Callable[[Delivery], object]


class Steps(Protocol):
    """Durable steps of a segment: what returned is kept, and is not run again after a crash."""

    def __call__(self, name: str, work: Callable[[], T]) -> T: ...


@dataclass(frozen=True, slots=True)
class Segment:
    """A short piece of work between two handoffs, started by posting `segment.NAME`.

    A killed one goes on after its last step that returned, on any server. One that raised begins anew
    with the next attempt. Steps must give the same names in the same order for the same payload, and
    give what JSON can hold.
    """

    name: str
    work: Callable[[Delivery, Steps], object]


@dataclass(frozen=True, slots=True)
class Flow:
    """How fast a topic goes, over all servers. Without a bound only the servers' own bounds hold.

    `starts` in every `within_s` seconds; the smaller `priority` goes first.
    """

    concurrency: int = 0
    starts: int = 0
    within_s: float = 1.0
    priority: int = 100

    @property
    def bounded(self) -> bool:
        return bool(self.concurrency or self.starts)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Work at times: every so many seconds, or by `cron` in UTC (five fields, or six with seconds first).

    One server runs each time. One that was missed because no server ran is made up for once, at the next
    start, when the last is longer ago than `at_least_every_s`.
    """

    name: str
    work: Callable[[], object]
    every_s: int = 0
    cron: str = ""
    at_least_every_s: int = _DAY

    @property
    def crontab(self) -> str:
        """Raises UsageError for what cannot be said in one."""
        if bool(self.cron) == bool(self.every_s):
            raise UsageError(f"the schedule `{self.name}` needs either `every_s` or `cron`")
        return self.cron or _every(self.name, self.every_s)


def _every(name: str, seconds: int) -> str:
    if 0 < seconds < _MINUTE and _MINUTE % seconds == 0:
        return f"*/{seconds} * * * * *"
    if seconds > 0 and seconds % _MINUTE == 0 and _HOUR % seconds == 0:
        return f"0 */{seconds // _MINUTE} * * * *" if seconds < _HOUR else "0 0 * * * *"
    if seconds > 0 and seconds % _HOUR == 0 and _DAY % seconds == 0:
        return f"0 0 */{seconds // _HOUR} * * *" if seconds < _DAY else "0 0 0 * * *"
    raise UsageError(
        f"the schedule `{name}` cannot run every {seconds} s",
        hint="Use a divisor of a minute, an hour or a day, or `cron`.",
    )


@dataclass(frozen=True, slots=True)
class Routes:
    """Everything a relay knows to do."""

    sinks: Sequence[Sink] = ()
    segments: Sequence[Segment] = ()
    schedules: Sequence[Schedule] = ()
    flows: Mapping[str, Flow] = field(default_factory=dict)

    def sinks_of(self, topic: str) -> list[Sink]:
        names = (topic, topic.partition(".")[0] + ".*")
        return [sink for sink in self.sinks if sink.topic in names]

    def segment_of(self, topic: str) -> Segment | None:
        """None also for a segment that this server does not know."""
        name = topic.removeprefix(SEGMENT) if topic.startswith(SEGMENT) else ""
        return next((s for s in self.segments if s.name == name), None)

    def nobody(self, topic: str) -> bool:
        """Whether there is no receiver at all. A segment always has one, on this server or a newer one."""
        return not topic.startswith(SEGMENT) and not self.sinks_of(topic)

    def flow(self, topic: str) -> Flow:
        return self.flows.get(topic, Flow())


def backoff_s(failures: int, base_s: float, longest_s: float) -> float:
    """How long to wait after so many failures in a row: doubling, bounded, and up to half of it at random
    so that what failed together does not come back together."""
    full = min(longest_s, base_s * 2.0 ** min(failures - 1, 30))
    return full * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
