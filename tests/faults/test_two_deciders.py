"""Two deciders at the same moment, in two processes and through two servers: one wins, one hears of it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.checker import Json
from tests.faults.installation import Installation, decision, free_port
from tests.faults.parts import DEADLINE_S

pytestmark = [pytest.mark.faults, pytest.mark.slow]

DECIDER = Path(__file__).with_name("decider.py")
ROUNDS = 5


def second(place: Installation) -> Installation:
    """Another server for the same database, with the same keys."""
    root = place.root / "second"
    root.mkdir()
    shutil.copytree(place.home, root / "data", ignore=shutil.ignore_patterns("server.json"))
    return replace(place, root=root, parts={}, agents=[], server_port=free_port())


def decide_at_once(place: Installation, servers: list[Installation], handoff: Json) -> list[Json]:
    folder = place.root / handoff["handoff_id"]
    folder.mkdir()
    processes = []
    for number, server in enumerate(servers):
        order = {
            "url": f"{server.url}/v1/handoffs/{handoff['handoff_id']}/decisions",
            "token": place.names["operator"],
            "body": decision(
                handoff, "approve", idempotency_key=f"{handoff['handoff_id']}-{number}"
            ),
            "ready": str(folder / f"ready-{number}"),
            "go": str(folder / "go"),
        }
        words = [sys.executable, "-I", str(DECIDER), json.dumps(order)]
        processes.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
    place.until(lambda: len(list(folder.glob("ready-*"))) == len(servers), "the deciders")
    (folder / "go").touch()
    return [json.loads(process.communicate(timeout=DEADLINE_S)[0]) for process in processes]


def test_one_wins_and_the_other_is_told(install: Callable[..., Installation]) -> None:
    place = install()
    place.start()
    other = second(place)
    try:
        other.serve()
        for number in range(ROUNDS):
            agent = place.agent(f"s{number}")
            waiting = place.until(place.waiting, "the case")[0]
            place.expect(agent.effects)
            handoff = place.handoff(waiting["handoff_id"])
            answers = decide_at_once(place, [place, other], handoff)
            won, lost = sorted(answers, key=lambda answer: int(answer["status"]))
            assert (won["status"], lost["status"]) == (201, 409), answers
            assert lost["body"]["code"] == "already_decided"
            assert lost["body"]["decided_by"] == place.names["person_id"]
            assert lost["body"]["decided_at"] == won["body"]["decision"]["at"]
            assert lost["body"]["decision"] == "approve"
            place.until(lambda agent=agent: agent.over, "the agent's end")  # type: ignore[misc]  # bound now
            assert (agent.words, agent.lines) == (["allow"], 1)
    finally:
        other.close()
    place.prove()
    assert len(place.events("handoff.decided")) == ROUNDS
