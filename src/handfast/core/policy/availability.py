"""When people can be asked: turns of a rotation, shifts of a calendar, working hours. Instants are UTC.

Zones are not known here: wall-clock time comes in as an argument or through a function that is given.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from handfast.core.policy.directory import Hours, Weekly


@dataclass(frozen=True, slots=True)
class Turn:
    """`login` is on call until `ends`, the next hand-over."""

    login: str
    ends: datetime


@dataclass(frozen=True, slots=True)
class Shift:
    """An event of a calendar: these logins, from `starts` until before `ends`."""

    starts: datetime
    ends: datetime
    logins: tuple[str, ...]


def turn(rotation: Weekly, at: datetime, to_utc: Callable[[datetime], datetime]) -> Turn | None:
    """Whose turn it is at `at`, or None before the first hand-over.

    `to_utc` turns wall-clock time of the rotation's zone into an instant. A hand-over that falls into an
    hour that is left out happens as if the clock had not been moved yet; one that falls into an hour that
    comes twice happens at the first of the two. So each happens once, in order.
    """
    step = timedelta(days=rotation.days)

    def begins(n: int) -> datetime:
        return to_utc(rotation.starts + n * step)

    first = begins(0)
    if at < first:
        return None
    n = (at - first) // step
    while begins(n + 1) <= at:
        n += 1
    while begins(n) > at:
        n -= 1
    return Turn(rotation.people[n % len(rotation.people)], begins(n + 1))


def on_shift(shifts: Sequence[Shift], at: datetime) -> tuple[str, ...]:
    """Everybody with a shift at `at`, in the order of the shifts."""
    now = [login for s in shifts if s.starts <= at < s.ends for login in s.logins]
    return tuple(dict.fromkeys(now))


def at_work(hours: Hours, wall: datetime) -> bool:
    """Whether `wall`, local time of the hours' zone, is within them."""
    minute, day = wall.hour * 60 + wall.minute, wall.weekday()
    if hours.start < hours.end:
        return day in hours.days and hours.start <= minute < hours.end
    begun_today = day in hours.days and minute >= hours.start
    return begun_today or ((day - 1) % 7 in hours.days and minute < hours.end)
