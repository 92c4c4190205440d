"""Turns, shifts and hours in every time zone, across every change of the clock."""

from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import available_timezones

from hypothesis import example, given
from hypothesis import strategies as st

from handfast.core.policy import document
from handfast.core.policy.availability import at_work, on_shift, turn
from handfast.core.policy.directory import READERS, Hours, Roster, Weekly, unknown
from handfast.engine.shifts import shifts
from handfast.engine.zones import to_utc, wall_clock

ZONES = st.sampled_from(sorted(z for z in available_timezones() if "/" in z))
WALLS = st.datetimes(
    min_value=datetime.fromisoformat("2000-01-01"), max_value=datetime.fromisoformat("2037-01-01")
).map(lambda w: w.replace(microsecond=0))
MOMENTS = st.datetimes(
    min_value=datetime.fromisoformat("1999-01-01"), max_value=datetime.fromisoformat("2040-01-01")
).map(lambda w: w.replace(tzinfo=UTC, microsecond=0))
PEOPLE = st.lists(
    st.sampled_from(["ann", "bob", "carl", "dora"]), min_size=1, max_size=4, unique=True
).map(tuple)
ROTATIONS = st.builds(Weekly, PEOPLE, WALLS, ZONES, st.integers(1, 60))
SECOND = timedelta(seconds=1)
BERLIN = "Europe/Berlin"
# They had no 30 December 2011: the turn of a day that never was is nobody's.
SKIPPED_A_DAY = ("Pacific/Apia", "Pacific/Fakaofo")


def _weekly(wall: str, zone: str, days: int = 1) -> Weekly:
    return Weekly(("ann", "bob", "carl"), datetime.fromisoformat(wall), zone, days)


@given(ROTATIONS, MOMENTS)
@example(_weekly("2026-03-27T02:30", BERLIN), datetime(2026, 3, 28, 12, tzinfo=UTC))
@example(_weekly("2026-10-23T02:30", BERLIN), datetime(2026, 10, 24, 12, tzinfo=UTC))
@example(_weekly("2011-12-28T09:00", "Pacific/Apia"), datetime(2011, 12, 29, 20, tzinfo=UTC))
def test_turns_follow_each_other_without_gap_or_overlap(rotation: Weekly, at: datetime) -> None:
    utc = partial(to_utc, name=rotation.zone)
    now = turn(rotation, at, utc)
    if now is None:
        assert at < utc(rotation.starts)
        return
    assert at < now.ends
    assert turn(rotation, now.ends - SECOND, utc) == now
    after = turn(rotation, now.ends, utc)
    assert after is not None
    following = rotation.people.index(now.login) + 1
    if rotation.zone not in SKIPPED_A_DAY:
        assert after.login == rotation.people[following % len(rotation.people)]


@given(ROTATIONS, st.integers(0, 400))
def test_a_hand_over_is_at_its_wall_clock_time_wherever_that_exists(
    rotation: Weekly, n: int
) -> None:
    wall = rotation.starts + n * timedelta(days=rotation.days)
    begins = to_utc(wall, rotation.zone)
    shown = wall_clock(begins, rotation.zone).replace(tzinfo=None)
    # In an hour that is left out it happens later by what the clock was moved, never earlier.
    assert timedelta() <= shown - wall <= timedelta(days=1)
    utc = partial(to_utc, name=rotation.zone)
    found = turn(rotation, begins, utc)
    assert found is not None
    if utc(wall + timedelta(days=rotation.days)) > begins:
        assert found.login == rotation.people[n % len(rotation.people)]
        before = turn(rotation, begins - SECOND, utc)
        assert before is None or before.ends == begins


def _ics(rotation: Weekly) -> bytes:
    """The same rotation as a calendar: one event for each person, in the rotation's zone."""
    lines = ["BEGIN:VCALENDAR"]
    for i, login in enumerate(rotation.people):
        begin = rotation.starts + i * timedelta(days=rotation.days)
        end = begin + timedelta(days=rotation.days)
        every = rotation.days * len(rotation.people)
        lines += [
            "BEGIN:VEVENT",
            f"UID:{i}",
            f"SUMMARY:{login}",
            f"DTSTART;TZID={rotation.zone}:{begin:%Y%m%dT%H%M%S}",
            f"DTEND;TZID={rotation.zone}:{end:%Y%m%dT%H%M%S}",
            f"RRULE:FREQ=DAILY;INTERVAL={every}",
            "END:VEVENT",
        ]
    return "\r\n".join([*lines, "END:VCALENDAR", ""]).encode()


@given(ROTATIONS, st.integers(0, 3_000))
@example(_weekly("2026-03-27T02:30", BERLIN), 27)
@example(_weekly("2026-10-23T02:30", BERLIN), 27)
@example(_weekly("2011-12-28T09:00", "Pacific/Apia"), 36)
@example(_weekly("2011-12-28T09:00", "Pacific/Apia"), 49)
def test_a_rotation_and_its_calendar_name_the_same_person(rotation: Weekly, hours: int) -> None:
    at = to_utc(rotation.starts, rotation.zone) + timedelta(hours=hours)
    found = turn(rotation, at, partial(to_utc, name=rotation.zone))
    assert found is not None
    margin = timedelta(days=2)
    assert on_shift(shifts(_ics(rotation), at - margin, at + margin), at) == (found.login,)


HOURS = st.builds(
    Hours,
    ZONES,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(0, 1440),
)


@given(HOURS)
def test_a_week_has_the_hours_that_were_stated(hours: Hours) -> None:
    """Counted minute by minute over a week of wall-clock time."""
    length = hours.end - hours.start if hours.end > hours.start else hours.end + 1440 - hours.start
    monday = datetime.fromisoformat("2026-06-01")
    worked = {
        day * 1440 + minute
        for day in range(7)
        for minute in range(0, 1440, 5)
        if at_work(hours, monday + timedelta(days=day, minutes=minute))
    }
    expected = {
        (day * 1440 + m) % 10_080
        for day in hours.days
        for m in range(hours.start, hours.start + length)
        if m % 5 == 0
    }
    assert worked == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.sampled_from(
        ["team:dba", "oncall:x", "2026-01-05T09:00", "1w", "UTC", "mon-fri", "09:00", "/x", "ann"]
    ),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["people", "starts", "zone", "every", "calendar", "from", "to", "days", "x"]),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(sorted(READERS)), JSON, max_size=5))
def test_whatever_a_file_says_of_people_is_read_or_a_problem(data: dict[str, object]) -> None:
    reading = document.read({"version": 1, **data})
    assert all(p.message and p.path for p in reading.problems)
    assert all(p.message for p in unknown(data, reading.policy.roster))
    assert reading.policy.roster.under(Roster()).teams == reading.policy.roster.teams
