"""Whether the time zones a policy names exist on this machine."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from handfast.core.policy.directory import Roster, Weekly
from handfast.core.policy.sections import Path, Problem


def unknown(roster: Roster) -> list[Problem]:
    named: list[tuple[Path, str]] = [
        (("rotations", name, "zone"), each.zone)
        for name, each in roster.rotations.items()
        if isinstance(each, Weekly)
    ]
    named += [(("hours", login, "zone"), each.zone) for login, each in roster.hours.items()]
    return [
        Problem(path, f"there is no time zone `{zone}`", "A name like Europe/Berlin or UTC.")
        for path, zone in named
        if not _known(zone)
    ]


def _known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
