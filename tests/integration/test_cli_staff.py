"""The kill switch, people and on-call in the terminal."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from handfast.app import open_engine
from handfast.core.domain.events import Actor
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.access import PrincipalKind
from handfast.engine.people import NewPerson
from tests.commands import Command, serving

PIN = "123456"
OPERATOR = Actor("operator", "operator", "token")
SIGNED = [("Login", "ana"), ("PIN", PIN)]
POLICY = """\
version: 1
rotations: {pay: {people: [ana, bob], starts: 2020-01-06T09:00, zone: UTC, every: 1w}}
"""


@dataclass(frozen=True)
class World:
    home: Path
    handfast: Command

    def signed(self, *words: str) -> dict[str, object]:
        """A command with Ana's PIN, its JSON."""
        (self.home / "last-login").unlink(missing_ok=True)
        done = self.handfast.typed(*words, "--json", answers=SIGNED)
        assert (done.code, done.err) == (0, ""), done
        return dict(done.json)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("staff")
    home = folder / "data"
    engine = open_engine(home=home)
    for kind in (PrincipalKind.OPERATOR, PrincipalKind.RUNNER):
        engine.access.ensure_file_token(home, kind)
    engine.agents.add(OPERATOR, "claude", "claude-code", "ops")
    people = engine.people
    made = people.set_up(people.invite(), NewPerson("Ana", "ana", "long-enough-1", PIN))
    me = Actor("person", str(made["person_id"]), "browser")
    bob = NewPerson("Bob", "bob", "long-enough-1", "654321")
    people.set_up(people.invite_another(me, ["reviewer"]), bob)
    engine.policies.propose(me, ORGANISATION, POLICY)
    engine.close()
    handfast = Command(home, folder, {})
    with serving(handfast, "--no-runner"):
        yield World(home, handfast)


def test_a_kill_and_its_stages(world: World) -> None:
    refused = world.handfast("kill", "all", "--reason", "odd", "--json", stdin=f"ana\n{PIN}\n")
    assert (refused.code, refused.problem["code"]) == (4, "no_terminal")
    world.signed("kill", "all", "--reason", "odd deploys")
    assert "all agents are stopped by Ana: odd deploys" in world.handfast("kill", "status").out
    assert "STOPPED: all agents are stopped by Ana" in world.handfast("inbox").err
    with world.handfast.start("inbox", "--watch") as watching:
        assert watching.stderr is not None
        assert "STOPPED: all agents are stopped by Ana" in watching.stderr.readline()
        watching.send_signal(signal.SIGINT)
    assert "STOPPED: all agents are stopped by Ana" in world.handfast("hook", "status").out
    release = ("kill", "release", "--reason", "understood")
    world.signed(*release, "--stage", "review")
    unknown = world.handfast("kill", "release", "nobody", "--stage", "agents", "--reason", "x")
    assert (unknown.code, "there is no agent `nobody`" in unknown.err) == (3, True)
    stopped = world.signed("kill", "release", "claude", "--stage", "agents", "--reason", "try")
    assert [s["stage"] for s in stopped["items"]] == ["agents"]  # type: ignore[attr-defined]
    assert world.signed(*release, "--stage", "all") == {"items": []}
    assert world.handfast("kill", "status").out == "Nothing is stopped.\n"


def test_a_team_and_one_agent_are_stopped_by_name(world: World) -> None:
    world.signed("kill", "team", "ops", "--reason", "odd")
    world.signed("kill", "agent", "claude", "--reason", "odder")
    said = world.handfast("kill", "status").out
    assert "`team:ops` is stopped by Ana: odd" in said
    assert "agent `claude` is stopped by Ana: odder" in said
    early = world.handfast("agent", "reinstate", "claude", "--reason", "x")
    assert (early.code, "stopped by a person's kill" in early.err) == (4, True)
    world.signed("kill", "release", "--agent", "claude", "--reason", "fine")
    for stage in ("review", "all"):
        world.signed("kill", "release", "--team", "ops", "--stage", stage, "--reason", "fine")
    assert world.handfast("kill", "status").out == "Nothing is stopped.\n"
    assert "ops" in world.handfast("agent", "list").out


def test_people_are_listed_invited_and_get_roles(world: World) -> None:
    rows = world.handfast("person", "list").out.splitlines()
    assert [row.split("\t")[1:] for row in rows[1:]] == [
        ["Ana", "reviewer, operator, admin, auditor", "yes"],
        ["Bob", "reviewer", "yes"],
    ]
    link = world.signed("person", "invite", "--roles", "reviewer, operator")
    assert "/setup/" in str(link["url"])
    assert link["roles"] == ["operator", "reviewer"]
    assert world.signed("person", "roles", "bob", "reviewer,operator")["roles"] == [
        "operator",
        "reviewer",
    ]


def test_who_is_away_and_who_is_on_call(world: World) -> None:
    gone = world.signed(
        "person", "away", "--until", "2199-01-01T09:00", "--from", "2198-12-30", "--delegate", "bob"
    )
    assert len(gone["absences"]) == 1  # type: ignore[arg-type]
    assert world.signed("person", "away", "--back")["absences"] == []
    wrong = world.handfast("person", "away", "--until", "tomorrow")
    assert (wrong.code, "`--until` is `tomorrow`" in wrong.err) == (2, True)
    heads, row = world.handfast("oncall", "show").out.splitlines()
    assert heads == "rotation\ton call\tby\t(UTC)"
    now = row.split("\t")[1]
    other = "bob" if now == "Ana" else "ana"
    in_an_hour = "2199-01-01"
    shown = world.handfast.typed(
        "oncall", "override", "pay", other, "--until", in_an_hour, answers=SIGNED
    )
    assert "longer than 92 days" in shown.err
    from datetime import UTC, datetime, timedelta

    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    world.signed("oncall", "override", "pay", other, "--until", soon, "--reason", "a swap")
    assert world.handfast("oncall", "show").out.splitlines()[1].split("\t")[1:3] == [
        other.title(),
        "cover",
    ]
