"""Wall-clock time and instants, by the zone database of this machine."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from handfast.core.domain.errors import UsageError


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """Raises UsageError for a zone this machine does not know."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"there is no time zone `{name}`", hint="A name like Europe/Berlin or UTC."
        ) from None


def to_utc(wall: datetime, name: str) -> datetime:
    """The instant of a wall-clock time. One that comes twice means the first; one that is left out means
    what it would have been had the clock not been moved (RFC 5545, 3.3.5)."""
    return wall.replace(tzinfo=zone(name), fold=0).astimezone(UTC)


def wall_clock(at: datetime, name: str) -> datetime:
    return at.astimezone(zone(name))
