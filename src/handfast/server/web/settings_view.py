"""Settings: who the reader is, who the others are, and what this installation is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from handfast.server.web.frame import Context, Shell, context
from handfast.server.web.reading import Record, flag, moment, records, text, texts

_ROLES = {
    "viewer": "reads everything, decides nothing",
    "reviewer": "decides what waits",
    "operator": "runs agents, publishes policy",
    "admin": "decides, publishes policy, gives roles",
    "auditor": "reads and exports the record",
}


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as others see them."""

    person_id: str
    name: str
    roles: tuple[tuple[str, str], ...]
    added_at: datetime | None
    away_until: datetime | None
    delegate: str
    has_pin: bool
    is_reader: bool
    disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunnerRow:
    """A registered runner."""

    name: str
    state: str
    tone: str
    host: str
    version: str
    heard_at: datetime | None
    runs: int


def person_row(person: Record, reader_id: str = "") -> PersonRow:
    """A person in one line."""
    return PersonRow(
        person_id=text(person, "person_id"),
        name=text(person, "name", "somebody without a name"),
        roles=tuple((role, _ROLES.get(role, "")) for role in texts(person, "roles", 20)),
        added_at=moment(person, "added_at"),
        away_until=moment(person, "away_until"),
        delegate=text(person, "delegate"),
        has_pin=flag(person, "has_pin") is True,
        is_reader=bool(reader_id) and text(person, "person_id") == reader_id,
        disabled_at=moment(person, "disabled_at"),
    )


def you_page(
    person: Record, views: Iterable[tuple[str, str]], *, shell: Shell, now: datetime
) -> Context:
    """For `settings.html`: the reader. `views` are (name, address) of their saved views."""
    return _settings(
        shell, now, "you", person=person_row(person, shell.person_id), views=tuple(views)
    )


def people_page(
    people: Iterable[Record],
    on_call: Iterable[Record],
    *,
    shell: Shell,
    now: datetime,
    may_disable: bool = False,
    error: str = "",
) -> Context:
    """For `settings_people.html`. `may_disable`: the reader may close and open accounts."""
    rows = tuple(person_row(person, shell.person_id) for person in people)
    shifts = tuple(
        (
            text(r, "rotation"),
            text(r, "scope"),
            ", ".join(texts(r, "people", 20)) or "nobody",
            moment(r, "until"),
            text(r, "problem"),
        )
        for r in on_call
    )
    return _settings(
        shell,
        now,
        "people",
        people=rows,
        shifts=shifts,
        may_disable=may_disable,
        error=error,
    )


def installation_page(
    facts: Iterable[tuple[str, str]], runners: Iterable[Record], *, shell: Shell, now: datetime
) -> Context:
    """For `settings_installation.html`."""
    rows = tuple(_runner(runner) for runner in runners)
    return _settings(shell, now, "installation", facts=tuple(facts), runners=rows)


def _settings(shell: Shell, now: datetime, section: str, **names: object) -> Context:
    return context(shell, now, nav="settings", section=section, **names)


def _runner(runner: Record) -> RunnerRow:
    state = text(runner, "state", "not known")
    tones = {"working": "open", "idle": "good", "silent": "bad"}
    return RunnerRow(
        name=text(runner, "name"),
        state=state,
        tone=tones.get(state, "quiet"),
        host=text(runner, "host"),
        version=text(runner, "version"),
        heard_at=moment(runner, "heard_at"),
        runs=len(records(runner, "runs", 1_000)),
    )
