"""What a run has used, folded from its events. Bounded: the newest failing calls, not all of them.

Time counts while the agent works. It stands still while a call waits for a person, while the run is
paused, and after the agent's turn: a person's delay is not the agent's. Of a longer silence only the
first half hour counts: nobody knows who waits for whom.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from handfast.core.domain import events_limits as limits
from handfast.core.domain import events_work as e
from handfast.core.domain.copying import replace
from handfast.core.domain.ids import HandoffId
from handfast.core.domain.limit_facts import Crossed, Level, Raised, Reported, later

MAX_FAILING = 8
MAX_WAITS = 8
# No harness holds one call longer; one that is not heard of again was let go.
LONGEST_HOLD = timedelta(minutes=15)
LONGEST_SILENCE = timedelta(minutes=30)

LimitEvent: TypeAlias = (
    limits.UsageReported
    | limits.LimitWarned
    | limits.LimitReached
    | limits.LimitRaised
    | limits.LimitUpheld
)


@dataclass(frozen=True, slots=True)
class Failing:
    """A call that failed: its last result, and how often in a row it gave this very result."""

    action_digest: str
    times: int
    exit_code: int | None = None
    output: e.BodyRef | None = None
    step_id: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A call that waits for a person, by the harness's key of it."""

    key: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Usage:
    """`active_since` is the last sign of work, None while no time counts; `still_since` when it stopped.
    `costed` and `heard`: whether a cost, and whether any result, was ever told."""

    errors_in_a_row: int = 0
    retries: int = 0
    failing: tuple[Failing, ...] = ()
    active_ms: int = 0
    active_since: datetime | None = None
    still_since: datetime | None = None
    waits: tuple[Held, ...] = ()
    reported: Reported = field(default_factory=Reported)
    costed: bool = False
    heard: bool = False

    def failed_before(self, action_digest: str) -> Failing | None:
        return next((f for f in self.failing if f.action_digest == action_digest), None)

    def worked_ms(self, now: datetime) -> int:
        """Milliseconds the agent has worked, without the time it waited for people."""
        if self.active_since is None:
            return self.active_ms
        return self.active_ms + _ms(min(now - self.active_since, LONGEST_SILENCE))


@dataclass(frozen=True, slots=True)
class LimitState:
    """`met` holds what was warned of or observed, by `metric:level`. `handoff_id` is the escalation that
    calls wait for, `upheld` the one in which a person said stop, `to_tell` the one whose words the agent
    has not been told yet."""

    met: Mapping[str, Crossed] = field(default_factory=dict)
    handoff_id: HandoffId = HandoffId("")
    crossed: tuple[Crossed, ...] = ()
    raised: Mapping[str, Raised] = field(default_factory=dict)
    upheld: HandoffId = HandoffId("")
    to_tell: HandoffId = HandoffId("")

    @property
    def level(self) -> Level:
        order = list(Level)
        return max((c.level for c in self.crossed), key=order.index, default=Level.WARN)


def failed(event: e.StepFinished) -> bool:
    return event.failed or event.exit_code not in (0, None)


def finished(u: Usage, event: e.StepFinished, action_digest: str, at: datetime) -> Usage:
    """The result of a call that had this digest."""
    u = u if u.waits else started(u, at)
    rest = tuple(f for f in u.failing if f.action_digest != action_digest)
    if not failed(event):
        return replace(u, failing=rest, errors_in_a_row=0, heard=True)
    times = max(event.repeat, 1)
    now = Failing(action_digest, times, event.exit_code, event.output, event.step_id)
    kept = (*rest, now)[-MAX_FAILING:]
    return replace(u, failing=kept, errors_in_a_row=u.errors_in_a_row + 1, heard=True)


def judged(u: Usage, event: e.StepJudged, at: datetime) -> Usage:
    """A call that was let through, denied, or made to wait."""
    waits = tuple(w for w in u.waits if w.key != event.key and at - w.since < LONGEST_HOLD)
    if event.verdict == "wait":
        waits = (*waits, Held(event.key, at))[-MAX_WAITS:]
        return replace(stopped(u, at), waits=waits)
    ran = event.verdict in ("allow", "observed")
    again = ran and u.failed_before(event.action_digest) is not None
    began = u if waits else started(u, event.called_at or at)
    return replace(began, waits=waits, retries=u.retries + int(again))


def told(u: Usage, event: limits.UsageReported, at: datetime) -> Usage:
    known = replace(
        u,
        reported=later(u.reported, event.reported),
        costed=u.costed or bool(event.reported.cost_usd),
    )
    return stopped(known, at) if event.turn_over else known


def started(u: Usage, at: datetime) -> Usage:
    """Time counts from now on. What happened before it was stopped does not start it again."""
    since = u.active_since or u.still_since
    if since is not None and at < since:
        return u
    return replace(u, active_ms=u.worked_ms(at), active_since=at)


def stopped(u: Usage, at: datetime) -> Usage:
    return replace(u, active_ms=u.worked_ms(at), active_since=None, still_since=at)


def restarted(u: Usage, at: datetime) -> Usage:
    """The agent's process has started: nothing of an earlier one waits any more."""
    return replace(stopped(u, at), waits=(), active_since=at)


def ended(u: Usage, at: datetime) -> Usage:
    return replace(stopped(u, at), waits=())


def limited(state: LimitState, event: LimitEvent) -> LimitState:
    """Fold what was said about limits."""
    match event:
        case limits.LimitWarned():
            return replace(state, met={**state.met, _key(event.crossed): event.crossed})
        case limits.LimitReached():
            if not event.handoff_id:
                seen = {_key(c): c for c in event.crossed}
                return replace(state, met={**state.met, **seen})
            return replace(state, handoff_id=event.handoff_id, crossed=event.crossed)
        case limits.LimitRaised():
            raised = {**state.raised, **{r.metric: r for r in event.raised}}
            tell = event.handoff_id if event.words else HandoffId("")
            return LimitState(state.met, raised=raised, to_tell=tell)
        case limits.LimitUpheld():
            return replace(state, handoff_id=HandoffId(""), crossed=(), upheld=event.handoff_id)
        case _:
            return state


def _key(crossed: Crossed) -> str:
    return f"{crossed.metric}:{crossed.level.value}"


def _ms(delta: timedelta) -> int:
    return max(delta // timedelta(milliseconds=1), 0)
