"""When a person is told: at once, at the end of their quiet hours, or with their next digest."""

from collections.abc import Callable
from datetime import datetime, timedelta

from handfast.core.domain.events_handoff import HandoffKind
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.reach import DAY_MINUTES, Quiet, Takes
from handfast.core.policy.availability import at_work
from handfast.core.policy.directory import Hours

URGENT_RISKS = frozenset({"high", "critical"})
_MOST_WINDOWS = 8
Wall = Callable[[datetime], datetime]


def is_urgent(handoff: Handoff) -> bool:
    """High or critical risk, or something that stopped working."""
    return handoff.risk in URGENT_RISKS or handoff.kind is HandoffKind.ESCALATION


def wanted(takes: Takes, *, urgent: bool) -> bool:
    """Whether a contact gets this at all."""
    return takes is not Takes.NONE and (urgent or takes is not Takes.URGENT)


def held_until(
    takes: Takes, quiet: Quiet, digest_minutes: int, now: datetime, to_wall: Wall, to_utc: Wall
) -> datetime | None:
    """Until when what is not urgent waits; None for at once. Quiet hours that never end count for a week.

    `to_wall` gives local time of the quiet hours' zone, `to_utc` is its inverse.
    """
    at = _after_digest(digest_minutes, now, to_wall, to_utc) if takes is Takes.DIGEST else now
    for _ in range(_MOST_WINDOWS):
        wall = to_wall(at)
        if not _is_quiet(quiet, wall):
            break
        at = to_utc(_ends(quiet, wall.replace(tzinfo=None)))
    return at if at > now else None


def _is_quiet(quiet: Quiet, wall: datetime) -> bool:
    hours = Hours(quiet.zone, frozenset(quiet.days), quiet.start, quiet.end)
    return bool(quiet.days) and at_work(hours, wall)


def _ends(quiet: Quiet, wall: datetime) -> datetime:
    """The end of the window that `wall` is in. One that goes over midnight belongs to the day it began."""
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    over = quiet.start >= quiet.end
    began_today = wall.weekday() in quiet.days and wall - midnight >= timedelta(minutes=quiet.start)
    days = 1 if over and began_today else 0
    return midnight + timedelta(days=days, minutes=quiet.end)


def _after_digest(every_minutes: int, now: datetime, to_wall: Wall, to_utc: Wall) -> datetime:
    """The next multiple of the interval, counted from local midnight."""
    wall = to_wall(now).replace(tzinfo=None)
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    passed = (wall - midnight) // timedelta(minutes=every_minutes) + 1
    minutes = min(passed * every_minutes, DAY_MINUTES)
    return max(to_utc(midnight + timedelta(minutes=minutes)), now + timedelta(seconds=1))
