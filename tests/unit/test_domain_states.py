"""Small aggregates, packages, fault points and errors: the rules that no larger test states."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from handfast.core.domain import agent, errors, faults, installation, person, task
from handfast.core.domain import events_org as o
from handfast.core.domain import events_work as w
from handfast.core.domain.completeness import missing
from handfast.core.domain.errors import HandfastError, InvalidTransition, UsageError
from handfast.core.domain.events_handoff import HandoffKind
from handfast.core.domain.events_work import BodyRef, Mode, TaskOutcome
from handfast.core.domain.ids import AgentId, PersonId, TaskId, TokenId
from handfast.core.domain.package import Package, ReviewedWork, ShowKind, WhatWillHappen
from handfast.engine.faults import arm_from_environment
from handfast.testing.clock import START, FrozenClock

BODY = BodyRef("bo_1", "hmac-sha256:00", 3)
AGENT = AgentId("ag_1")
REGISTERED = o.AgentRegistered(AGENT, "claude", "claude-code")


def _errors() -> list[type[HandfastError]]:
    found = [HandfastError]
    for cls in found:
        found.extend(c for c in cls.__subclasses__() if c.__module__ == errors.__name__)
    return found


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [cls.default_code for cls in _errors()]
    assert len(codes) == len(set(codes)) >= 18


def test_an_error_carries_what_to_do() -> None:
    error = errors.Unavailable("gone", hint="wait", details={"n": 1})
    assert (error.retryable, error.code, error.hint, error.details) == (
        True,
        "unavailable",
        "wait",
        {"n": 1},
    )
    assert str(error) == error.message == "gone"
    assert not errors.Unavailable("gone", retryable=False).retryable


@pytest.mark.parametrize(
    ("fold", "event"),
    [
        (agent.evolve, o.AgentSuspended(AGENT)),
        (person.evolve, o.SignedOut(PersonId("pe_1"), "s")),
        (task.evolve, w.TaskClosed(TaskId("task_1"), TaskOutcome.MERGED)),
        (installation.evolve, o.ServerStarted("1")),
    ],
)
def test_a_stream_begins_with_its_creation(fold: Callable[..., object], event: object) -> None:
    with pytest.raises(ValueError, match="first event"):
        fold(None, event, START)


def test_suspending_and_reinstating_twice_says_it_once() -> None:
    state = agent.evolve(None, REGISTERED, START)
    assert agent.reinstate(state, "x") == []
    for event in agent.suspend(state, "odd"):
        state = agent.evolve(state, event, START)
    assert (state.suspended, state.suspended_why) == (True, "odd")
    assert agent.suspend(state, "again") == []
    for event in agent.reinstate(state, "fine"):
        state = agent.evolve(state, event, START)
    assert state == agent.evolve(None, REGISTERED, START)


def test_tokens_come_and_go_by_their_id() -> None:
    state = agent.evolve(None, REGISTERED, START)
    for n in (1, 2):
        issued = o.AgentTokenIssued(AGENT, TokenId(f"tok_{n}"), ("read",), START)
        state = agent.evolve(state, issued, START)
    state = agent.evolve(state, o.AgentTokenRevoked(AGENT, TokenId("tok_1")), START)
    assert state.tokens == ("tok_2",)


def test_there_is_no_scope_for_deciding() -> None:
    agent.check_scopes(tuple(agent.AGENT_SCOPES))
    agent.check_scopes(())
    with pytest.raises(InvalidTransition, match="decide"):
        agent.check_scopes(("decide", "read"))
    assert not agent.AGENT_SCOPES & {"decide", "approve", "admin"}


@pytest.mark.parametrize(
    ("roles", "may"),
    [
        ((), False),
        (("viewer", "operator", "auditor"), False),
        (("reviewer",), True),
        (("viewer", "admin"), True),
    ],
)
def test_only_some_roles_decide(roles: tuple[str, ...], may: bool) -> None:
    added = o.PersonAdded(PersonId("pe_1"), BODY, "digest", roles)
    assert person.evolve(None, added, START).may_decide is may


def test_a_task_keeps_its_first_outcome() -> None:
    created = w.TaskCreated(TaskId("task_1"), "/repo", "main", "0" * 40, BODY, "sha256:x")
    state = task.evolve(None, created, START)
    for event in task.close(state, TaskOutcome.MERGED):
        state = task.evolve(state, event, START)
    assert state.outcome is TaskOutcome.MERGED
    assert task.close(state, TaskOutcome.FAILED) == []


def test_a_pause_of_the_hook_ends_to_the_microsecond() -> None:
    state = installation.evolve(None, o.InstallationCreated("origin", "key"), START)
    assert not state.paused(START)
    until = START + timedelta(minutes=5)
    state = installation.evolve(state, o.HookPaused(until), START)
    assert state.paused(until - timedelta(microseconds=1))
    assert not state.paused(until)
    assert not installation.evolve(state, o.HookResumed(), START).paused(START)
    assert installation.evolve(state, o.HookModeSet("enforce"), START).hook_mode is Mode.ENFORCE


WHOLE = Package(
    "Push main", WhatWillHappen(ShowKind.COMMAND, "git push"), "a rule", "Should it run?", "waits"
)


@pytest.mark.parametrize("part", ["ask", "why_now", "open_question", "state"])
def test_a_package_without_a_part_is_incomplete(part: str) -> None:
    assert missing(HandoffKind.APPROVAL, WHOLE) == ()
    assert missing(HandoffKind.APPROVAL, replace(WHOLE, **{part: " \n"})) == (part,)  # type: ignore[arg-type]


def test_a_package_of_finished_work_names_its_commit() -> None:
    nothing = WhatWillHappen(ShowKind.DIFF, "")
    lacking = missing(HandoffKind.REVIEW, replace(WHOLE, what_will_happen=nothing))
    assert lacking == ("what_will_happen", "commit", "target_branch")
    work = ReviewedWork("a" * 40, "b" * 40, "main")
    assert missing(HandoffKind.REVIEW, replace(WHOLE, review=work)) == ()


def test_fault_points_are_named_and_do_nothing_unless_armed() -> None:
    hits: list[int] = []
    faults.fault_point("store.before_commit")
    with pytest.raises(ValueError, match="unknown fault point"):
        faults.arm("no.such_point", lambda: None)
    faults.arm("store.before_commit", lambda: hits.append(1))
    try:
        faults.fault_point("store.before_commit")
        faults.fault_point("store.after_commit")
    finally:
        faults.disarm("store.before_commit")
    faults.disarm("store.before_commit")
    faults.fault_point("store.before_commit")
    assert hits == [1]


@pytest.mark.parametrize(
    "text", ["nowhere:kill", "store.before_commit", "store.before_commit:explode"]
)
def test_a_fault_that_is_not_known_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("HANDFAST_FAULT", text)
    with pytest.raises(UsageError, match="HANDFAST_FAULT"):
        arm_from_environment()


def test_a_fault_acts_once_at_its_turn() -> None:
    program = (
        "from handfast.core.domain.faults import fault_point\n"
        "from handfast.engine.faults import arm_from_environment\n"
        "arm_from_environment()\n"
        "for n in range(5):\n"
        "    try:\n"
        "        fault_point('store.before_commit')\n"
        "    except RuntimeError:\n"
        "        print(n)\n"
    )
    source = str(faults.__file__).partition("/handfast/core/")[0]
    environment = {"HANDFAST_FAULT": "store.before_commit:raise:3", "PYTHONPATH": source}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2"]


def test_a_thread_stands_still_at_its_point_and_not_behind_it() -> None:
    """Struck in a thread beside a sleeping main thread, twenty times: nothing may be said after it."""
    program = (
        "import os, threading\n"
        "from handfast.core.domain.faults import fault_point\n"
        "from handfast.engine.faults import arm_from_environment\n"
        "def reach():\n"
        "    arm_from_environment()\n"
        "    fault_point('store.before_commit')\n"
        "    os.write(1, b'on')\n"
        "for _ in range(20):\n"
        "    thread = threading.Thread(target=reach)\n"
        "    thread.start()\n"
        "    thread.join()\n"
    )
    source = str(faults.__file__).partition("/handfast/core/")[0]
    environment = {"HANDFAST_FAULT": "store.before_commit:stop", "PYTHONPATH": source}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    ) as process:
        assert process.stdout is not None
        try:
            for _ in range(20):
                _, status = os.waitpid(process.pid, os.WUNTRACED)
                assert os.WIFSTOPPED(status)
                assert select.select([process.stdout], [], [], 0)[0] == []
                process.send_signal(signal.SIGCONT)
                assert process.stdout.read(2) == b"on"
        finally:
            process.kill()


def test_the_frozen_clock_moves_only_forward() -> None:
    clock = FrozenClock()
    assert clock.now() == clock.now() == START
    assert clock.move(1.5) == START + timedelta(seconds=1.5)
    with pytest.raises(ValueError, match="back"):
        clock.move(-1)
