"""The environments of a brief are a gate: a call that touches another one, or deploys to one nobody can tell, waits."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.brief import Brief, Scope
from handfast.core.domain.canonical import JSON
from handfast.core.domain.publication import ORGANISATION
from handfast.engine.gating import Proposal
from handfast.engine.tasks import NewTask
from handfast.observe import scope as observed
from handfast.observe.claude_code import read_call
from tests.engine_room import OPERATOR, RUNNER, Room
from tests.worked import Work, another_run

# Somebody switched the built-in rule for deploying off: only the brief stops these calls.
OFF = "version: 1\nbuiltin: {off: [deploy, migration]}\n"


def limited(room: Room, *environments: str) -> Work:
    room.engine.policies.propose(room.me, ORGANISATION, OFF)
    new = NewTask(Brief("x", scope=Scope(environments=environments)), "/repo", "main", "0" * 40)
    return another_run(room, cast("str", room.engine.tasks.create(OPERATOR, new)["task_id"]))


def asked(
    work: Work,
    named: tuple[str, ...] = (),
    hazards: tuple[str, ...] = ("deploy",),
    tool: str = "Bash",
    arguments: Mapping[str, JSON] | None = None,
    effect: Effect = Effect.NETWORK,
) -> dict[str, object]:
    work.made += 1
    call = Call(tool, arguments or {"command": f"x {work.made}"})
    facts = Facts(effect, "x", hazards, environments=named)
    proposal = Proposal(work.run_id, f"k{work.made}", call, facts)
    return work.room.engine.actions.propose(RUNNER, proposal)


def test_an_environment_outside_the_brief_waits_and_is_named(room: Room) -> None:
    work = limited(room, "staging", "qa")
    assert asked(work, ("staging",))["verdict"] == "allow"
    assert asked(work, ("Staging", "qa"))["verdict"] == "allow"
    left = asked(work, ("staging", "prod"))
    assert left["verdict"] == "wait"
    h = work.room.engine.views.handoff(cast("str", left["handoff_id"]))
    assert cast("list[str]", h["rules"])[-1] == "outside-the-brief"
    why = cast("str", h["why_now"])
    assert "environments outside of the brief's scope (`staging`, `qa`): `prod`" in why


def test_only_looking_at_another_environment_waits_too(room: Room) -> None:
    assert asked(limited(room, "staging"), ("prod",), ())["verdict"] == "wait"


def test_a_deploying_call_whose_environment_cannot_be_told_waits(room: Room) -> None:
    work = limited(room, "staging")
    for named in ((), ("*",), ("staging", "*")):
        told = asked(work, named)
        assert (told["verdict"], "cannot be told" in str(told["reason"])) == ("wait", True)
    assert asked(work, (), ("db.migrate",))["verdict"] == "wait"
    assert asked(work, (), (), "redeploy_shop", {"id": 1})["verdict"] == "wait"
    assert asked(work, (), ())["verdict"] == "allow"


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        ({"environment": "staging"}, "allow"),
        ({"targetEnv": ["staging"]}, "allow"),
        ({"environment": "prod"}, "wait"),
        ({"request": {"Stage": "prod"}}, "wait"),
        ({"environment": 3}, "wait"),
        ({"environments": ["staging", "prod"]}, "wait"),
        ({"service": "web"}, "wait"),
    ],
)
def test_the_arguments_of_a_tool_name_the_environment(
    room: Room, arguments: dict[str, JSON], verdict: str
) -> None:
    told = asked(limited(room, "staging"), (), ("deploy",), "deploy", arguments)
    assert told["verdict"] == verdict


@pytest.mark.parametrize(
    ("command", "verdict"),
    [
        ("pytest -q tests/test_a.py", "allow"),
        ("echo x > src/a.py", "allow"),
        ("echo x > tests/a.py", "wait"),
        ("pytest -q && echo x > tests/a.py", "wait"),
        ("echo x | tee tests/a.py", "wait"),
        ("npm run build > tests/log.txt", "wait"),
        ("curl -s https://example.com/a -o tests/a.json", "wait"),
    ],
)
def test_a_file_outside_the_paths_waits_whatever_else_the_call_does(
    room: Room, tmp_path: Path, command: str, verdict: str
) -> None:
    new = NewTask(Brief("x", scope=Scope(paths=("src/**",))), "/repo", "main", "0" * 40)
    task_id = cast("str", room.engine.tasks.create(OPERATOR, new)["task_id"])
    work = another_run(room, task_id)
    place = observed.Scope(worktree=tmp_path, cwd=tmp_path)
    call, facts = read_call("Bash", {"command": command}, place)
    assert facts.opaque == facts.hazards == (), "only the brief could stop it"
    proposal = Proposal(work.run_id, "k", call, facts)
    assert work.room.engine.actions.propose(RUNNER, proposal)["verdict"] == verdict


def test_without_environments_in_the_brief_nothing_is_asked(room: Room) -> None:
    assert asked(limited(room), ("prod",))["verdict"] == "allow"


def test_each_way_out_of_the_scope_is_said(room: Room) -> None:
    new = NewTask(Brief("x", scope=Scope((), ("Edit",), ("staging",))), "/repo", "main", "0" * 40)
    work = another_run(room, cast("str", room.engine.tasks.create(OPERATOR, new)["task_id"]))
    reason = str(asked(work, ("prod",))["reason"])
    assert "other tools only" in reason
    assert "`prod`" in reason
