"""Who is who in a policy file: what it takes, and the line and column of what it does not."""

from datetime import datetime

import pytest

from handfast.core.policy.directory import Calendar, Hours, Roster, Weekly
from handfast.policyfile.load import check, load

WHOLE = """\
version: 1
teams: {dba: [ann, Bob, ann]}
rotations:
  payments: {people: [ann, bob], starts: 2026-01-05T09:00, zone: Europe/Berlin, every: 2w}
  days: {people: ann, starts: 2026-01-05, zone: UTC, every: 1d}
  nights: {calendar: "https://calendar.example/nights.ics", refresh: 30m}
owners: {"@acme/dba": team:dba}
hours: {Ann: {zone: Europe/Berlin, days: [mon-wed, sat], from: "09:00", to: 17:30}}
gates:
  - {id: a, when: call.tool == "x", require: {from: [team:dba, "oncall:nights"]}}
"""


def test_the_sections_are_read() -> None:
    roster = load(WHOLE, known=Roster()).policy.roster
    assert roster.teams == {"dba": ("ann", "bob")}
    assert roster.rotations == {
        "payments": Weekly(
            ("ann", "bob"), datetime.fromisoformat("2026-01-05T09:00"), "Europe/Berlin", 14
        ),
        "days": Weekly(("ann",), datetime.fromisoformat("2026-01-05"), "UTC", 1),
        "nights": Calendar("https://calendar.example/nights.ics", 1800),
    }
    assert roster.owners == {"@acme/dba": "team:dba"}
    assert roster.hours == {
        "ann": Hours("Europe/Berlin", frozenset({0, 1, 2, 5}), 9 * 60, 17 * 60 + 30)
    }


@pytest.mark.parametrize(
    ("name", "audience"),
    [
        ("@acme/dba", "role:admin"),
        ("@acme/web", "team:web"),
        ("@ann", "person:ann"),
        ("ann@example.com", "person:ann@example.com"),
        ("@", ""),
        ("a b", ""),
    ],
)
def test_an_owner_is_mapped_or_named_by_convention(name: str, audience: str) -> None:
    assert Roster(owners={"@acme/dba": "role:admin"}).owner(name) == audience


def test_a_repository_adds_names_and_changes_none() -> None:
    organisation = Roster(teams={"dba": ("ann",)}, owners={"@x": "team:dba"})
    repository = Roster(teams={"dba": ("eve",), "web": ("eve",)}, owners={"@x": "person:eve"})
    both = repository.under(organisation)
    assert both.teams == {"dba": ("ann",), "web": ("eve",)}
    assert both.owners == {"@x": "team:dba"}


@pytest.mark.parametrize(
    ("line", "column", "says"),
    [
        ("teams: {dba: []}", 9, "nobody in it"),
        ("teams: {dba: [ann, 'a b']}", 20, "`a b` is not a login"),
        ("teams: [dba]", 1, "not a mapping"),
        ("owners: {'@a/b': owners}", 10, "nobody who can be asked"),
        ("owners: {'@a/b': team:none}", 10, "no `none` in `teams`"),
        ("rotations: {p: {people: [ann]}}", 13, "`rotations.p.starts` is None"),
        ("rotations: {p: {people: [a], calendar: /x}}", 13, "either `people` or `calendar`"),
        ("rotations: {p: {calendar: 'http://x/y'}}", 17, "`http://x/y` is not taken"),
        ("rotations: {p: {calendar: /x, every: 1w}}", 31, "`every` does not go with"),
        (
            "rotations: {p: {people: [a], starts: 2026-01-05T09:00, zone: Mars/One}}",
            56,
            "no time zone `Mars/One`",
        ),
        (
            "rotations: {p: {people: [a], starts: 2026-01-05T09:00, zone: UTC, every: 36h}}",
            67,
            "`every` is '36h'",
        ),
        (
            "rotations: {p: {people: [a], starts: 2026-02-30T09:00, zone: UTC}}",
            30,
            "`rotations.p.starts` is",
        ),
        ("hours: {ann: {zone: UTC, from: '9', to: '17:00'}}", 26, "`hours.ann.from` is '9'"),
        ("hours: {ann: {zone: UTC, days: moon, from: '09:00', to: '17:00'}}", 26, "`moon` is no"),
        ("hours: {ann: {zone: ../etc, from: '09:00', to: '17:00'}}", 15, "`hours.ann.zone` is"),
    ],
)
def test_a_wrong_entry_is_a_problem_at_its_place(line: str, column: int, says: str) -> None:
    (problem,) = check(f"version: 1\n{line}\n")
    assert (problem.line, problem.column) == (2, column)
    assert says in problem.message


def test_everything_wrong_is_said_at_once() -> None:
    text = "version: 1\nteams: {a: [], b: [c d], c: [ann]}\nowners: {x: owners}\n"
    assert [(p.line, p.column) for p in check(text)] == [(2, 9), (2, 20), (3, 10)]


ASKS = """\
version: 1
gates:
  - {id: a, when: call.tool == "x", require: {from: team:dba}}
  - {id: b, when: call.tool == "y", require: {from: [person:ann, "oncall:payments"]}}
"""


def test_a_team_or_rotation_that_nobody_defines_is_a_problem() -> None:
    found = [(p.line, p.column, p.message) for p in check(ASKS)]
    assert found == [
        (3, 47, "there is no `dba` in `teams`"),
        (4, 66, "there is no `payments` in `rotations`"),
    ]
    known = Roster(teams={"dba": ("ann",)}, rotations={"payments": Calendar("/x")})
    assert check(ASKS, known=known) == []


def test_what_is_in_force_loads_when_another_file_no_longer_defines_a_name() -> None:
    assert len(load(ASKS).policy.gates) == 2
