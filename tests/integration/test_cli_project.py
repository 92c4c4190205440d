"""Projects and the end of somebody's sessions, in the terminal."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from handfast.app import open_engine
from handfast.core.domain.errors import NotPermitted
from handfast.core.domain.events import Actor
from handfast.core.domain.events_work import Mode
from handfast.engine.access import PrincipalKind
from handfast.engine.facade import Engine
from handfast.engine.people import NewPerson
from handfast.engine.runs import Session
from tests.commands import Command, serving
from tests.prepared import quick_hashes

PIN, PASSWORD = "123456", "long-enough-1"
OPERATOR = Actor("operator", "operator", "token")
RUNNER = Actor("runner", "runner", "token")


@dataclass(frozen=True)
class World:
    """`reader` looks at the same database as the server."""

    home: Path
    handfast: Command
    reader: Engine
    ids: dict[str, str] = field(default_factory=dict)

    def signed(self, *words: str, login: str = "ana", pin: str = PIN) -> Any:
        (self.home / "last-login").unlink(missing_ok=True)
        return self.handfast.typed(*words, "--json", answers=[("Login", login), ("PIN", pin)])

    def sees(self, login: str) -> bool:
        knowing, person = self.reader.knowing, self.ids[login]
        return knowing.sees_with(knowing.sight(person), person, f"run/{self.ids['run']}")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    home = tmp_path / "data"
    engine = open_engine(home=home)
    for kind in (PrincipalKind.OPERATOR, PrincipalKind.RUNNER):
        engine.access.ensure_file_token(home, kind)
    agent = str(engine.agents.add(OPERATOR, "claude", "claude-code")["agent_id"])
    people = engine.people
    with quick_hashes():
        ana = people.set_up(people.invite(), NewPerson("Ana", "ana", PASSWORD, PIN))
        me = Actor("person", str(ana["person_id"]), "browser")
        ids = {"ana": me.id}
        for login, role in (("bob", "reviewer"), ("cleo", "reviewer"), ("dora", "admin")):
            made = NewPerson(login.title(), login, PASSWORD, "654321")
            done = people.set_up(people.invite_another(me, [role]), made)
            ids[login] = str(done["person_id"])
    session = Session(agent, "claude-code", "s", "/srv/pay", Mode.ENFORCE, repository="/srv/pay")
    ids["run"] = str(engine.runs.session(RUNNER, session)["run_id"])
    handfast = Command(home, tmp_path, {})
    with serving(handfast, "--no-runner"):
        yield World(home, handfast, engine, ids)
    engine.close()


HEADS = "project\trepositories\tmembers\n"
SET = ("project", "set", "payments", "--repository", "/srv/pay", "--repository", "/srv/bank")


def test_a_project_is_set_listed_replaced_and_removed(world: World) -> None:
    handfast = world.handfast
    assert handfast("project", "list").out == HEADS
    assert world.sees("cleo"), "while there is no project everybody sees everything"
    done = world.signed(*SET, "--member", "bob", "--team", "oncall")
    assert (done.code, done.err, done.json["repositories"]) == (0, "", ["/srv/bank", "/srv/pay"])
    assert handfast("project", "list").out.splitlines()[1:] == [
        "payments\t/srv/bank, /srv/pay\tBob, team:oncall"
    ]
    assert [world.sees(each) for each in ("bob", "cleo", "dora")] == [True, False, False]
    assert world.signed(*SET, "--member", "cleo").code == 0
    assert [world.sees(each) for each in ("bob", "cleo")] == [False, True]
    gone = world.signed("project", "remove", "payments")
    assert (gone.code, gone.json["repositories"], gone.json["members"]) == (0, [], [])
    assert handfast("project", "list").out == HEADS
    seen = [world.sees(each) for each in ("bob", "cleo", "dora")]
    assert seen == [False, False, True], "need-to-know stays; an admin can say whose it is"


def test_what_is_not_there_is_not_removed_and_begins_nothing(world: World) -> None:
    gone = world.handfast("project", "remove", "nothing")
    assert (gone.code, "there is no project `nothing`" in gone.err) == (3, True)
    assert world.sees("cleo")


def test_only_an_admin_with_a_terminal_sets_projects_and_signs_out(world: World) -> None:
    piped = world.handfast(*SET, "--json", stdin=f"ana\n{PIN}\n")
    assert (piped.code, piped.problem["code"]) == (4, "no_terminal")
    assert "Bob" not in world.handfast("project", "list").out
    for words in (SET, ("person", "sign-out", "ana"), ("person", "disable", "cleo")):
        assert world.signed(*words, login="bob", pin="654321").code == 4
    assert world.handfast("project", "list").out == HEADS


def test_an_admin_ends_every_session_and_token_of_somebody(world: World) -> None:
    people, bob = world.reader.people, Actor("person", world.ids["bob"], "browser")
    with quick_hashes():
        secrets = [people.sign_in("bob", PASSWORD).secret for _ in range(2)]
    world.reader.own_tokens.issue(bob, "scripts", ("read",))
    assert [people.of_session(each) for each in secrets] == [bob.id] * 2
    done = world.signed("person", "sign-out", "bob")
    assert (done.code, done.json) == (0, {"ended": 2, "tokens": 1})
    assert [people.of_session(each) for each in secrets] == ["", ""]
    assert world.signed("person", "sign-out", "nobody").code == 3


def test_an_admin_closes_an_account_and_opens_it_again(world: World) -> None:
    people = world.reader.people
    with quick_hashes():
        secret = people.sign_in("bob", PASSWORD).secret
    done = world.signed("person", "disable", "bob")
    assert (done.code, bool(done.json["disabled_at"]), done.json["roles"]) == (
        0,
        True,
        ["reviewer"],
    )
    assert people.of_session(secret) == ""
    assert "disabled since" in world.handfast("person", "list").out
    with quick_hashes(), pytest.raises(NotPermitted, match="disabled"):
        people.sign_in("bob", PASSWORD)
    again = world.signed("person", "enable", world.ids["bob"])
    assert (again.code, again.json["disabled_at"]) == (0, "")
    with quick_hashes():
        assert people.sign_in("bob", PASSWORD).person_id == world.ids["bob"]
