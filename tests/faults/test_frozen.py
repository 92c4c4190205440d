"""A process stands still and goes on later, when the others have gone on without it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.faults.installation import Installation, decision
from tests.faults.parts import DEADLINE_S
from tests.faults.stories import Mediated, go_on
from tests.faults.test_two_deciders import DECIDER, second
from tests.stillness import freeze

pytestmark = [pytest.mark.faults, pytest.mark.slow]


def test_a_decider_thaws_and_is_told_who_decided(install: Callable[..., Installation]) -> None:
    place = install()
    place.serve()
    shown = place.handoff(Mediated(place).ask()["handoff_id"])
    ready, go = place.root / "ready", place.root / "go"
    order = {
        "url": f"{place.url}/v1/handoffs/{shown['handoff_id']}/decisions",
        "token": place.names["operator"],
        "body": decision(shown, "approve", idempotency_key="frozen"),
        "ready": str(ready),
        "go": str(go),
    }
    words = [sys.executable, "-I", str(DECIDER), json.dumps(order)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as frozen:
        place.until(ready.exists, "the decider")
        freeze(frozen.pid)
        go.touch()
        place.decide(shown, "reject")
        frozen.send_signal(signal.SIGCONT)
        answer = json.loads(frozen.communicate(timeout=DEADLINE_S)[0])
    assert (answer["status"], answer["body"]["code"]) == (409, "already_decided")
    assert answer["body"]["decided_by"] == place.names["person_id"]
    place.prove()


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
@pytest.mark.postgres
def test_a_server_thaws_in_the_middle_of_a_decision_that_another_has_made(
    install: Callable[..., Installation],
) -> None:
    """It stands still before it asks for the write: the other server is not held up, and wins."""
    place = install()
    place.lasts_s = 600
    place.serve("decision.before_commit:stop")
    other = second(place)
    try:
        other.serve()
        shown = place.handoff(Mediated(place).ask()["handoff_id"])
        path = f"/v1/handoffs/{shown['handoff_id']}/decisions"
        waits = subprocess.Popen(
            [
                sys.executable,
                "-I",
                str(DECIDER),
                json.dumps(
                    {
                        "url": place.url + path,
                        "token": place.names["operator"],
                        "body": decision(shown, "approve", idempotency_key="frozen"),
                        "ready": str(place.root / "ready"),
                        "go": os.devnull,
                    }
                ),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        part = place.parts["server"]
        other.until(lambda: part.struck, "the server to stand still")
        won = other.decide(shown, "reject")
        part.lift()
        answer = json.loads(waits.communicate(timeout=DEADLINE_S)[0])
        assert (answer["status"], answer["body"]["code"]) == (409, "already_decided")
        assert answer["body"]["decided_at"] == won["decision"]["at"]
    finally:
        other.close()
    place.prove()
    assert len(place.events("handoff.decided")) == 1


@pytest.mark.parametrize("frozen", ["server", "runner"])
@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_an_agent_waits_for_what_is_frozen(
    install: Callable[..., Installation], frozen: str
) -> None:
    place = install()
    place.start()
    pid = place.parts[frozen].process.pid
    freeze(pid)
    agent = place.agent("s1")
    place.until(lambda: agent.events("asked"), "its question")
    assert agent.words == []
    os.kill(pid, signal.SIGCONT)
    go_on(place, agent)
    place.prove()
    assert agent.words[-1] == "allow"
    assert agent.lines == 1
