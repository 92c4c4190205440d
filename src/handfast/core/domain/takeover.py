"""A run in a person's hands: taken over, handed over by the runner, handed back, told to the agent.

    taken → handed over → handed back → recorded → told

*Taken*: the agent may do nothing any more. *Handed over*: its process is gone and a snapshot says how the
worktree was. *Recorded*: git has said what the person changed. *Told*: the agent has been started with that, or
its work went to review.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from handfast.core.domain.copying import replace
from handfast.core.domain.errors import InvalidTransition, NotPermitted
from handfast.core.domain.events_takeover import (
    Following,
    PersonsWorkRecorded,
    RunHandedBack,
    RunHandedOver,
    RunTakenOver,
)
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import HandoffId, PersonId, RunId

TakeoverEvent: TypeAlias = RunTakenOver | RunHandedOver | RunHandedBack | PersonsWorkRecorded
MAX_KEPT = 20
HELD_CODE = "taken_over"
DEFERRED = (
    "tool_deferred"  # how a session ends whose harness asks about its last call again by itself
)


@dataclass(frozen=True, slots=True)
class Point:
    """How the worktree was when the person got it."""

    at: datetime
    host: str
    head_commit: str
    snapshot_commit: str
    found: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class Back:
    by: PersonId
    at: datetime
    following: Following
    note: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What git says of the time between."""

    head_commit: str
    snapshot_commit: str
    changed: int = 0
    body: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class Takeover:
    """`free`: no runner is at work on handing the worktree over, so any may take that on."""

    by: PersonId
    at: datetime
    reason: BodyRef | None = None
    handoff_id: HandoffId = HandoffId("")
    free: bool = False
    point: Point | None = None
    back: Back | None = None
    work: Work | None = None
    told: bool = False


Takeovers: TypeAlias = tuple[Takeover, ...]


def held(takeovers: Takeovers) -> Takeover | None:
    """The one in force: a person holds the run."""
    last = takeovers[-1] if takeovers else None
    return last if last is not None and last.back is None else None


def unrecorded(takeovers: Takeovers) -> Takeover | None:
    """Handed back, and git has not been asked yet what changed."""
    last = takeovers[-1] if takeovers else None
    return last if last is not None and last.back is not None and last.work is None else None


def untold(takeovers: Takeovers) -> Takeovers:
    """Handed back, and the agent does not know yet."""
    return tuple(t for t in takeovers if t.back is not None and not t.told)


def tell(takeovers: Takeovers) -> Takeovers:
    return tuple(replace(t, told=True) if t.back is not None else t for t in takeovers)


def leased(takeovers: Takeovers, *, free: bool) -> Takeovers:
    """A runner took on to hand the worktree over, or let go of it."""
    now = held(takeovers)
    return takeovers if now is None else (*takeovers[:-1], replace(now, free=free))


def evolve(takeovers: Takeovers, event: TakeoverEvent, at: datetime, *, free: bool) -> Takeovers:
    """Fold one event. `free`: no runner had the run when it was taken over."""
    if isinstance(event, RunTakenOver):
        new = Takeover(event.by, at, event.reason, event.handoff_id, free)
        return (*takeovers, new)[-MAX_KEPT:]
    if not takeovers:
        raise ValueError("a run that nobody took over cannot be handed over or back")
    last = takeovers[-1]
    if isinstance(event, RunHandedOver):
        point = Point(at, event.host, event.head_commit, event.snapshot_commit, event.found)
        last = replace(last, point=point, free=False)
    elif isinstance(event, RunHandedBack):
        last = replace(last, back=Back(event.by, at, event.following, event.note))
    else:
        work = Work(event.head_commit, event.snapshot_commit, event.changed, event.work)
        last = replace(last, work=work)
    return (*takeovers[:-1], last)


def check_free(run_id: RunId, takeovers: Takeovers) -> None:
    """Raises InvalidTransition (code `taken_over`) while a person holds the run."""
    now = held(takeovers)
    if now is not None:
        raise InvalidTransition(
            f"a person holds run `{run_id}` since {now.at:%Y-%m-%d %H:%M} UTC: nothing of the agent runs",
            code=HELD_CODE,
            hint="It goes on when it is handed back: `handfast run hand-back`.",
            details={"held_by": now.by},
        )


def take(
    run_id: RunId, takeovers: Takeovers, event: RunTakenOver, held_by_name: str
) -> list[RunTakenOver]:
    """Idempotent for whoever holds it. `held_by_name` is for the refusal of everybody else.

    Raises InvalidTransition: codes `taken_over`, `hand_back_pending`.
    """
    now = held(takeovers)
    if now is not None and now.by == event.by:
        return []
    if now is not None:
        raise InvalidTransition(
            f"run `{run_id}` is in the hands of {held_by_name} since {now.at:%Y-%m-%d %H:%M} UTC",
            code=HELD_CODE,
            hint="They hand it back with `handfast run hand-back`; an admin may do it for them.",
            details={"held_by": now.by, "held_by_name": held_by_name},
        )
    if unrecorded(takeovers) is not None:
        raise InvalidTransition(
            f"what was changed in run `{run_id}` before it was handed back is not recorded yet",
            code="hand_back_pending",
            hint="Its runner does that when it takes the run: try again in a moment.",
        )
    return [event]


def hand_back(
    run_id: RunId, takeovers: Takeovers, event: RunHandedBack, *, admin: bool
) -> list[RunHandedBack]:
    """Raises InvalidTransition, and NotPermitted for everybody but who holds it and an admin."""
    now = held(takeovers)
    if now is None:
        raise InvalidTransition(
            f"nobody has taken run `{run_id}` over",
            code="not_taken_over",
            hint="`handfast run take-over` does that.",
        )
    if now.by != event.by and not admin:
        raise NotPermitted(
            f"run `{run_id}` is in another person's hands",
            code="not_the_holder",
            hint="Only whoever took it over, or an admin, hands it back.",
        )
    if now.point is None:
        raise InvalidTransition(
            f"the agent of run `{run_id}` is still being stopped",
            code="not_handed_over",
            hint="Try again in a moment: `handfast run show` says when the worktree is there.",
        )
    return [event]
