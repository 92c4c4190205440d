"""Who is who, as a policy file says it: teams, rotations, owners and working hours.

    teams: {dba: [ann, bob]}
    rotations:
      payments: {people: [ann, bob], starts: 2026-01-05T09:00, zone: Europe/Berlin, every: 1w}
      nights: {calendar: https://calendar.example/nights.ics, refresh: 1h}
    owners: {"@acme/dba": team:dba}
    hours: {ann: {zone: Europe/Berlin, days: mon-fri, from: "09:00", to: "17:30"}}
    delegates: false

People are named by their login, in lower case. Nothing here says that such a person exists or may decide.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from typing import TypeVar

from handfast.core.domain.requirement import OWNERS, is_audience
from handfast.core.policy import sections
from handfast.core.policy.sections import Path, Problem, Wrong

T = TypeVar("T")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_S = 86_400
MAX_EVERY_S = 366 * DAY_S
MIN_REFRESH_S, REFRESH_S = 300, 3600
_LOGIN = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}")
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_SPEC = {"team": "teams", "oncall": "rotations"}


@dataclass(frozen=True, slots=True)
class Weekly:
    """`people` take turns of `days` days. `starts` is the first hand-over, in wall-clock time of `zone`."""

    people: tuple[str, ...]
    starts: datetime
    zone: str
    days: int = 7


@dataclass(frozen=True, slots=True)
class Calendar:
    """An iCalendar file at an https address or a path of the server's machine."""

    source: str
    refresh_s: int = REFRESH_S


@dataclass(frozen=True, slots=True)
class Hours:
    """Minutes of the day in `zone`, `start` included, `end` not. `days` count from Monday, 0.

    With `end` at or before `start` the work goes on past midnight and belongs to the day it began on.
    """

    zone: str
    days: frozenset[int]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Roster:
    """What one policy file says of people; `under` puts several together."""

    teams: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rotations: Mapping[str, Weekly | Calendar] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    hours: Mapping[str, Hours] = field(default_factory=dict)
    delegates: bool = True

    def under(self, stronger: "Roster") -> "Roster":
        """Both together. A name that both define means what `stronger` says: a repository's policy adds
        names of its own and never changes the organisation's. Who is behind an owner is the organisation's
        to say alone: each entry could put other people in the place of those whom convention names."""
        return Roster(
            {**self.teams, **stronger.teams},
            {**self.rotations, **stronger.rotations},
            stronger.owners,
            {**self.hours, **stronger.hours},
            self.delegates and stronger.delegates,
        )

    def owner(self, name: str) -> str:
        """The audience behind an owner as CODEOWNERS names it, or ''.

        What `owners` says, else by convention: `@org/dba` is `team:dba`, `@ann` and `ann@example.com` are
        the people with that login.
        """
        if name in self.owners:
            return self.owners[name]
        organisation, _, team = name.removeprefix("@").partition("/")
        if name.startswith("@") and team:
            return f"team:{team}"
        return f"person:{organisation}" if _LOGIN.fullmatch(organisation) and not team else ""


def _with_teams(roster: Roster, value: object, problems: list[Problem]) -> Roster:
    return replace(roster, teams=_each(value, "teams", _people, problems))


def _with_rotations(roster: Roster, value: object, problems: list[Problem]) -> Roster:
    return replace(roster, rotations=_each(value, "rotations", _rotation, problems))


def _with_owners(roster: Roster, value: object, problems: list[Problem]) -> Roster:
    return replace(roster, owners=_each(value, "owners", _owner, problems, named=False))


def _with_hours(roster: Roster, value: object, problems: list[Problem]) -> Roster:
    found = _each(value, "hours", _hours, problems, named=False)
    problems += [
        Problem(("hours", login), f"`{login}` is not a login")
        for login in found
        if not _LOGIN.fullmatch(login)
    ]
    return replace(roster, hours={login.lower(): each for login, each in found.items()})


def _with_delegates(roster: Roster, value: object, _: list[Problem]) -> Roster:
    if not isinstance(value, bool):
        raise Wrong(("delegates",), f"`delegates` is {value!r}", "true or false.")
    return replace(roster, delegates=value)


# The sections of a policy that say who is who.
READERS: Mapping[str, Callable[[Roster, object, list[Problem]], Roster]] = {
    "teams": _with_teams,
    "rotations": _with_rotations,
    "owners": _with_owners,
    "hours": _with_hours,
    "delegates": _with_delegates,
}


def unknown(data: object, defined: Roster) -> list[Problem]:
    """Every `from` and `to` in decoded YAML that names a team or a rotation nobody defined."""
    return [
        Problem(
            path,
            f"there is no `{name}` in `{_SPEC[kind]}`",
            f"Add it to `{_SPEC[kind]}:`. A repository's policy may also name what the organisation's defines.",
        )
        for path, audience in _mentioned(data, ())
        for kind, _, name in [audience.partition(":")]
        if kind in _SPEC and name not in (defined.teams if kind == "team" else defined.rotations)
    ]


def _mentioned(data: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(data, list):
        for i, item in enumerate(data):
            yield from _mentioned(item, (*path, i))
    if not isinstance(data, Mapping):
        return
    for name, value in data.items():
        here: Path = (*path, str(name))
        if name in ("from", "to") or path == ("owners",):
            listed = (
                [((*here, i), v) for i, v in enumerate(value)] if isinstance(value, list) else []
            )
            for where, each in [(here, value), *listed]:
                if isinstance(each, str):
                    yield where, each.strip()
        else:
            yield from _mentioned(value, here)


def _each(
    value: object,
    section: str,
    read: Callable[[object, Path], T],
    problems: list[Problem],
    *,
    named: bool = True,
) -> dict[str, T]:
    """One problem for each entry that is wrong; the others are read."""
    found: dict[str, T] = {}
    entries = sections.mapping(value, (section,), ())
    if len(entries) > sections.MAX_ENTRIES:
        raise Wrong((section,), f"`{section}` has more than {sections.MAX_ENTRIES} entries")
    for name, item in entries.items():
        path: Path = (section, name)
        try:
            found[sections.name(name, path) if named else name] = read(item, path)
        except Wrong as e:
            problems.append(e.problem)
    return found


def _people(value: object, path: Path) -> tuple[str, ...]:
    logins = sections.texts(value, path)
    if not logins:
        raise Wrong(path, f"`{sections.shown(path)}` has nobody in it", "Write logins: [ann, bob].")
    for i, login in enumerate(logins):
        if not _LOGIN.fullmatch(login):
            raise Wrong((*path, i), f"`{login[:64]}` is not a login", "Write it as at sign-in.")
    return tuple(dict.fromkeys(login.lower() for login in logins))


def _owner(value: object, path: Path) -> str:
    audience = sections.text(value, path)
    if not is_audience(audience) or audience == OWNERS or audience.startswith("owner:"):
        raise Wrong(
            path,
            f"`{audience}` is nobody who can be asked",
            "Write reviewers, team:NAME, role:NAME, person:LOGIN or oncall:NAME.",
        )
    return audience


def _rotation(value: object, path: Path) -> Weekly | Calendar:
    found = sections.mapping(
        value, path, ("people", "starts", "zone", "every", "calendar", "refresh")
    )
    if ("calendar" in found) == ("people" in found):
        raise Wrong(
            path,
            f"`{sections.shown(path)}` needs either `people` or `calendar`",
            "`{people: [ann, bob], starts: 2026-01-05T09:00, zone: Europe/Berlin, every: 1w}`.",
        )
    other = ("starts", "zone", "every") if "calendar" in found else ("refresh",)
    for name in other:
        if name in found:
            raise Wrong((*path, name), f"`{name}` does not go with this kind of rotation")
    return _calendar(found, path) if "calendar" in found else _weekly(found, path)


def _weekly(found: Mapping[str, object], path: Path) -> Weekly:
    every = sections.seconds(found.get("every", "1w"), (*path, "every"))
    if every % DAY_S or every > MAX_EVERY_S:
        raise Wrong(
            (*path, "every"),
            f"`every` is {found.get('every')!r}",
            "Whole days or weeks, at most a year.",
        )
    return Weekly(
        people=_people(found["people"], (*path, "people")),
        starts=_starts(found.get("starts"), (*path, "starts")),
        zone=_zone(found.get("zone"), (*path, "zone")),
        days=every // DAY_S,
    )


def _calendar(found: Mapping[str, object], path: Path) -> Calendar:
    source = sections.text(found["calendar"], (*path, "calendar"))
    if not source.startswith(("https://", "/")) or not source.isprintable():
        raise Wrong(
            (*path, "calendar"),
            f"`{source[:80]}` is not taken",
            "An https:// address, or the whole path of a file on the server.",
        )
    refresh = sections.seconds(found.get("refresh", "1h"), (*path, "refresh"))
    if not MIN_REFRESH_S <= refresh <= 7 * DAY_S:
        raise Wrong((*path, "refresh"), f"`refresh` is {found['refresh']!r}", "From 5m to 7d.")
    return Calendar(source, refresh)


def _starts(value: object, path: Path) -> datetime:
    """Wall-clock time. YAML itself turns some ways to write it into a date or a time."""
    read: object = value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?", value):
        try:
            read = datetime.fromisoformat(value)
        except ValueError:
            read = None
    elif isinstance(value, date) and not isinstance(value, datetime):
        read = datetime.combine(value, time())
    if not isinstance(read, datetime) or read.tzinfo is not None or not 1970 <= read.year <= 2200:
        raise Wrong(
            path,
            f"`{sections.shown(path)}` is {value!r}",
            "Date and time of the first hand-over without a zone: 2026-01-05T09:00.",
        )
    return read.replace(microsecond=0)


def _zone(value: object, path: Path) -> str:
    """Only its form: whether there is such a zone is asked where zones are known."""
    if not isinstance(value, str) or not _ZONE.fullmatch(value):
        raise Wrong(
            path, f"`{sections.shown(path)}` is {value!r}", "A time zone like Europe/Berlin."
        )
    return value


def _hours(value: object, path: Path) -> Hours:
    found = sections.mapping(value, path, ("zone", "days", "from", "to"))
    return Hours(
        zone=_zone(found.get("zone"), (*path, "zone")),
        days=_days(found.get("days", "mon-fri"), (*path, "days")),
        start=_clock(found.get("from"), (*path, "from")),
        end=_clock(found.get("to"), (*path, "to")),
    )


def _days(value: object, path: Path) -> frozenset[int]:
    """`mon-fri`, `sat`, `[mon, wed, fri-sun]`; a range may go over the weekend."""
    days: set[int] = set()
    for item in sections.texts(value, path):
        first, _, last = item.lower().partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise Wrong(path, f"`{item[:40]}` is no day", f"{', '.join(DAYS)}, or mon-fri.")
        start = DAYS.index(first)
        length = (DAYS.index(last or first) - start) % 7 + 1
        days |= {(start + i) % 7 for i in range(length)}
    if not days:
        raise Wrong(path, f"`{sections.shown(path)}` has no day", "mon-fri")
    return frozenset(days)


def _clock(value: object, path: Path) -> int:
    """Minutes since midnight. YAML reads an unquoted 17:30 as that number itself."""
    if isinstance(value, int) and not isinstance(value, bool) and 600 <= value <= 1440:
        return value
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise Wrong(path, f"`{sections.shown(path)}` is {value!r}", 'A time of day: "09:00".')
    whole, minutes = value.split(":")
    return int(whole) * 60 + int(minutes)
