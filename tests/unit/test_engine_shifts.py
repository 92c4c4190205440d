"""Shifts out of iCalendar files, and the copies of them that stay in force."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from handfast.core.domain.errors import UsageError
from handfast.core.policy.availability import on_shift
from handfast.core.policy.directory import Calendar
from handfast.engine import shifts as module
from handfast.engine.calendars import Calendars
from handfast.engine.shifts import shifts

HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//\r\nX-WR-TIMEZONE:Europe/Berlin\r\n"
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


def _file(*events: str) -> bytes:
    body = "".join(
        "BEGIN:VEVENT\r\n" + "\r\n".join(e.strip().splitlines()) + "\r\nEND:VEVENT\r\n"
        for e in events
    )
    return (HEAD + body + "END:VCALENDAR\r\n").encode()


WEEKS = """UID:weeks
SUMMARY:On call
ATTENDEE;CN=Ann:mailto:Ann@Example.com
DTSTART;TZID=Europe/Berlin:20260302T090000
DTEND;TZID=Europe/Berlin:20260309T090000
RRULE:FREQ=WEEKLY;INTERVAL=2;UNTIL=20260501T000000Z
EXDATE;TZID=Europe/Berlin:20260413T090000"""
MOVED = """UID:weeks
SUMMARY:bob
RECURRENCE-ID;TZID=Europe/Berlin:20260330T090000
DTSTART;TZID=Europe/Berlin:20260331T090000
DTEND;TZID=Europe/Berlin:20260406T090000"""


def test_repetition_goes_by_wall_clock_with_its_exceptions() -> None:
    found = shifts(_file(WEEKS, MOVED), START, END)
    assert [(s.starts.isoformat(), s.ends.isoformat(), s.logins) for s in found] == [
        ("2026-03-02T08:00:00+00:00", "2026-03-09T08:00:00+00:00", ("ann@example.com",)),
        ("2026-03-16T08:00:00+00:00", "2026-03-23T08:00:00+00:00", ("ann@example.com",)),
        ("2026-03-31T07:00:00+00:00", "2026-04-06T07:00:00+00:00", ("bob",)),
        ("2026-04-27T07:00:00+00:00", "2026-05-04T07:00:00+00:00", ("ann@example.com",)),
    ]
    assert on_shift(found, datetime(2026, 3, 20, tzinfo=UTC)) == ("ann@example.com",)
    assert on_shift(found, datetime(2026, 3, 30, 12, tzinfo=UTC)) == ()


def test_whole_days_and_times_without_a_zone_are_in_the_calendars() -> None:
    days = "UID:1\nSUMMARY:ann\nDTSTART;VALUE=DATE:20260329\nDTEND;VALUE=DATE:20260330"
    floating = "UID:2\nSUMMARY:bob\nDTSTART:20260701T220000\nDURATION:PT12H"
    more = floating.replace("UID:2", "UID:3") + "\nRDATE:20260703T220000"
    found = shifts(_file(days, floating, more), START, END)
    assert [(s.starts.isoformat(), (s.ends - s.starts) / timedelta(hours=1)) for s in found] == [
        ("2026-03-28T23:00:00+00:00", 23),
        ("2026-07-01T20:00:00+00:00", 12),
        ("2026-07-01T20:00:00+00:00", 12),
        ("2026-07-03T20:00:00+00:00", 12),
    ]


def test_what_names_nobody_or_is_cancelled_is_no_shift() -> None:
    plain = "DTSTART:20260701T220000\nDURATION:PT12H"
    assert shifts(_file(f"UID:1\n{plain}"), START, END) == ()
    assert shifts(_file(f"UID:1\nSUMMARY:ann\nSTATUS:CANCELLED\n{plain}"), START, END) == ()
    assert shifts(_file("UID:1\nSUMMARY:ann\nDTSTART:20260701T220000"), START, END) == ()


def test_a_shift_that_began_before_the_window_is_in_it() -> None:
    (found,) = shifts(
        _file(WEEKS), datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC)
    )
    assert found.starts == datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>sign in</html>",
        b"\xff\xfe\x00",
        b"BEGIN:VCALENDAR\r\n",
        b"BEGIN:VEVENT\r\nEND:VEVENT\r\n",
        _file("UID:1\nSUMMARY:a\nDTSTART:not a time\nDTEND:20260101T000000"),
        _file("UID:1\nSUMMARY:a\nDTSTART:20260101T000000\nDURATION:PT1H\nRRULE:FREQ=SECONDLY"),
        _file("UID:1\nSUMMARY:a\nDTSTART:20260101T000000\nDURATION:PT1H\nRRULE:FREQ=NEVER"),
        _file("UID:1\nSUMMARY:a\nDTSTART;TZID=Mars/One:20260101T000000\nDURATION:PT1H"),
        _file().replace(b"Europe/Berlin", b"Mars/One"),
    ],
)
def test_a_file_that_cannot_be_read_whole_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError):
        shifts(data, START, END)


def test_too_many_shifts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SHIFTS", 50)
    daily = "UID:1\nSUMMARY:a\nDTSTART:20200101T000000\nDURATION:PT1H\nRRULE:FREQ=DAILY"
    with pytest.raises(UsageError, match="more than 50 shifts"):
        shifts(_file(daily), START, END)


def test_the_last_good_copy_stays_in_force(tmp_path: Path) -> None:
    calendar, at = Calendar("https://c.example/x.ics", 3600), datetime(2026, 3, 3, tzinfo=UTC)
    calendars = Calendars(tmp_path)
    assert calendars.on_call(calendar, at) == ()
    assert calendars.due(calendar, at)
    calendars.keep(calendar.source, _file(WEEKS), at)
    assert calendars.on_call(calendar, at) == ("ann@example.com",)
    assert not calendars.due(calendar, at + timedelta(minutes=59))
    assert calendars.due(calendar, at + timedelta(hours=1))
    with pytest.raises(UsageError):
        calendars.keep(calendar.source, b"<html>sign in</html>", at + timedelta(hours=1))
    calendars.failed(calendar.source, "it answered with a page")
    assert calendars.on_call(calendar, at + timedelta(hours=2)) == ("ann@example.com",)
    copy = calendars.copy(calendar.source)
    assert (copy.fetched_at, copy.problem) == (at, "it answered with a page")
    calendars.keep(calendar.source, _file(WEEKS.replace("Ann@", "eve@")), at + timedelta(hours=3))
    assert calendars.on_call(calendar, at) == ("eve@example.com",)
    assert calendars.copy(calendar.source).problem == ""
    assert Calendars(tmp_path).on_call(calendar, at) == ("eve@example.com",)
    assert oct(next((tmp_path / "calendars").iterdir()).stat().st_mode)[-3:] == "600"


def test_a_damaged_copy_means_nobody(tmp_path: Path) -> None:
    calendar, at = Calendar("/srv/x.ics", 3600), datetime(2026, 3, 3, tzinfo=UTC)
    Calendars(tmp_path).keep(calendar.source, _file(WEEKS), at)
    next((tmp_path / "calendars").iterdir()).write_bytes(b"BEGIN:VCAL")
    assert Calendars(tmp_path).on_call(calendar, at) == ()
