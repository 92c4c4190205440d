"""An iCalendar file (RFC 5545) to the shifts of a rotation, in a bounded window of time.

Who is on call stands in an event's ATTENDEE addresses, else in its SUMMARY: either is a login. Repetition
(RRULE, RDATE, EXDATE, RECURRENCE-ID) goes by wall-clock time of the event's zone.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from dateutil.rrule import rrulestr
from icalendar import Calendar

from handfast.core.domain.errors import UsageError
from handfast.core.policy.availability import Shift
from handfast.engine.zones import zone

MAX_SHIFTS = 5_000
MAX_LENGTH = timedelta(days=366)
# What a foreign file makes the two libraries raise.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_REPEATS = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})


def shifts(data: bytes, start: datetime, end: datetime) -> tuple[Shift, ...]:
    """Every shift that overlaps `start` to `end`, in order.

    Raises UsageError for a file that is not a calendar, has an event that cannot be read, or has more than
    5,000 shifts in the window: half a calendar would put the wrong people on call.
    """
    try:
        calendars: list[Any] = list(Calendar.from_ical(data, multiple=True))
        found = [s for calendar in calendars for s in _of_calendar(calendar, start, end)]
    except UsageError:
        raise
    except _UNREADABLE as e:
        raise UsageError(f"the calendar cannot be read: {type(e).__name__}: {e}"[:300]) from None
    if not calendars:
        raise UsageError("this is not an iCalendar file", hint="It begins with BEGIN:VCALENDAR.")
    return tuple(sorted(found, key=lambda s: (s.starts, s.ends, s.logins)))


def _of_calendar(calendar: Any, start: datetime, end: datetime) -> Iterator[Shift]:
    if calendar.name != "VCALENDAR":
        raise UsageError("this is not an iCalendar file", hint="It begins with BEGIN:VCALENDAR.")
    floating = zone(str(calendar.get("X-WR-TIMEZONE", "UTC")))
    events: list[Any] = list(calendar.walk("VEVENT"))
    changed: dict[str, set[datetime]] = {}
    for event in events:
        if (moved := event.get("RECURRENCE-ID")) is not None:
            changed.setdefault(str(event.get("UID", "")), set()).add(_instant(moved.dt, floating))
    count = 0
    for event in events:
        if str(event.get("STATUS", "")).upper() == "CANCELLED" or "DTSTART" not in event:
            continue
        own = "RECURRENCE-ID" not in event
        without = changed.get(str(event.get("UID", "")), set()) if own else set()
        for shift in _of_event(event, floating, start, end, without):
            count += 1
            if count > MAX_SHIFTS:
                raise _too_many()
            yield shift


def _of_event(
    event: Any, floating: tzinfo, start: datetime, end: datetime, without: set[datetime]
) -> Iterator[Shift]:
    logins = _logins(event)
    _check_zones(event)
    first = event["DTSTART"].dt
    length = _length(event, first, floating)
    if not logins or not timedelta() < length <= MAX_LENGTH:
        return
    skipped = {_instant(d.dt, floating) for d in _dates(event, "EXDATE")} | without
    for wall in _begins(event, first, floating, start - length, end):
        starts = wall.astimezone(UTC)
        # The end keeps its wall-clock time: a night of 12 hours has 11 when the clock moves.
        ends = (wall.replace(tzinfo=None) + length).replace(tzinfo=wall.tzinfo).astimezone(UTC)
        if starts not in skipped and starts < end and ends > start:
            yield Shift(starts, ends, logins)


def _begins(
    event: Any, first: date, floating: tzinfo, start: datetime, end: datetime
) -> Iterator[datetime]:
    begin = _wall(first, floating)
    zone_ = begin.tzinfo
    yield begin
    for rule in _rules(event):
        asked = {str(f).upper() for f in rule.get("FREQ", [])}
        if not asked or not asked <= _REPEATS:
            raise UsageError(f"a shift repeats {', '.join(sorted(asked)) or 'without FREQ'}")
        # A day of margin on both sides: the window is in UTC, the rule in local time.
        low = start.astimezone(zone_).replace(tzinfo=None) - timedelta(days=1)
        high = end.astimezone(zone_).replace(tzinfo=None) + timedelta(days=1)
        text = _rule_text(rule, zone_, floating, high)
        repeated = rrulestr(text, dtstart=begin.replace(tzinfo=None))
        for n, naive in enumerate(repeated.xafter(low, inc=True)):
            if naive > high:
                break
            if n >= MAX_SHIFTS:
                raise _too_many()
            if naive != begin.replace(tzinfo=None):
                yield naive.replace(tzinfo=zone_)
    for more in _dates(event, "RDATE"):
        if isinstance(more.dt, date):
            yield _wall(more.dt, floating)


def _too_many() -> UsageError:
    return UsageError(f"the calendar has more than {MAX_SHIFTS} shifts in a year")


def _rule_text(rule: Any, zone_: tzinfo | None, floating: tzinfo, high: datetime) -> str:
    """The rule with UNTIL in the local time that the repetition is counted in; never without an end, so
    that one which never comes true is not looked for in all eternity."""
    local = type(rule)(rule)
    if until := local.get("UNTIL"):
        last = until[0] if isinstance(until, list) else until
        wall = (
            datetime.combine(last, time(23, 59, 59))
            if not isinstance(last, datetime)
            else _wall(last, floating).astimezone(zone_).replace(tzinfo=None)
        )
        local["UNTIL"] = [wall]
    elif "COUNT" not in local:
        local["UNTIL"] = [high]
    return str(local.to_ical().decode())


def _check_zones(event: Any) -> None:
    """The library reads a time of an unknown zone as one without a zone."""
    for name in ("DTSTART", "DTEND", "RECURRENCE-ID", "EXDATE", "RDATE"):
        found = event.get(name, [])
        for each in found if isinstance(found, list) else [found]:
            dates = getattr(each, "dts", [each])
            named = each.params.get("TZID")
            if named and any(isinstance(d.dt, datetime) and d.dt.tzinfo is None for d in dates):
                raise UsageError(f"there is no time zone `{str(named)[:60]}`")


def _length(event: Any, first: date, floating: tzinfo) -> timedelta:
    if "DTEND" in event:
        end = _wall(event["DTEND"].dt, floating)
        begin = _wall(first, floating)
        same = end.astimezone(begin.tzinfo).replace(tzinfo=None)
        return same - begin.replace(tzinfo=None)
    if "DURATION" in event:
        found = event["DURATION"].dt
        return found if isinstance(found, timedelta) else timedelta()
    return timedelta(0) if isinstance(first, datetime) else timedelta(days=1)


def _logins(event: Any) -> tuple[str, ...]:
    listed = event.get("ATTENDEE", [])
    attendees = listed if isinstance(listed, list) else [listed]
    mails = [str(a).strip() for a in attendees]
    found = [m[7:] for m in mails if m.lower().startswith("mailto:")]
    summary = str(event.get("SUMMARY", "")).strip()
    return tuple(dict.fromkeys(each.lower() for each in (found or [summary]) if each))


def _rules(event: Any) -> list[Any]:
    found = event.get("RRULE", [])
    return found if isinstance(found, list) else [found]


def _dates(event: Any, name: str) -> list[Any]:
    found = event.get(name, [])
    return [d for each in (found if isinstance(found, list) else [found]) for d in each.dts]


def _wall(value: date, floating: tzinfo) -> datetime:
    """Local time with its zone. Whole days and times without a zone are in the calendar's."""
    if not isinstance(value, datetime):
        return datetime.combine(value, time(), floating)
    return value if value.tzinfo is not None else value.replace(tzinfo=floating)


def _instant(value: date, floating: tzinfo) -> datetime:
    return _wall(value, floating).astimezone(UTC)
