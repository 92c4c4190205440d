"""Times and durations in words. The time of reading is always an argument."""

from datetime import UTC, datetime

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


def duration(elapsed_s: float) -> str:
    """A length of time in its one largest unit: `4 s`, `12 min`, `3 h`, `2 days`."""
    whole_s = max(0, int(elapsed_s))
    if whole_s < _MINUTE_S:
        return f"{whole_s} s"
    if whole_s < _HOUR_S:
        return f"{whole_s // _MINUTE_S} min"
    if whole_s < 2 * _DAY_S:
        return f"{whole_s // _HOUR_S} h"
    return f"{whole_s // _DAY_S} days"


def ago(then: datetime | None, now: datetime) -> str:
    """How long ago `then` was; a time to come reads `in 5 min`, an unknown one `not known`."""
    if then is None:
        return "not known"
    elapsed_s = (now - then).total_seconds()
    if elapsed_s < 0:
        return f"in {duration(-elapsed_s)}"
    return f"{duration(elapsed_s)} ago"


def clock(at: datetime | None, now: datetime | None = None) -> str:
    """The time of day in UTC; with its date when that is not the day of `now`."""
    if at is None:
        return "not known"
    at = at.astimezone(UTC)
    if now is not None and at.date() == now.astimezone(UTC).date():
        return f"{at:%H:%M} UTC"
    year = "" if now is not None and at.year == now.year else f" {at.year}"
    return f"{at.day} {at:%b}{year}, {at:%H:%M} UTC"


def iso(at: datetime | None) -> str:
    """RFC 3339 for the `datetime` attribute of a `<time>`."""
    return "" if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def milliseconds(duration_ms: int | None) -> str:
    """A measured duration: `340 ms`, `2.1 s`, then as `duration`."""
    if duration_ms is None:
        return ""
    if duration_ms < 1_000:
        return f"{duration_ms} ms"
    if duration_ms < _MINUTE_S * 1_000:
        return f"{duration_ms / 1_000:.1f} s"
    return duration(duration_ms / 1_000)
