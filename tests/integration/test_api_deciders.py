"""Two people decide at the same moment from two processes: one wins, the other learns who and when."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.served import Served, decision

# Waits for a line on standard input, so that both processes have everything loaded when they start.
DECIDER = """
import httpx, sys
client = httpx.Client(base_url=sys.argv[1], headers={"Authorization": f"Bearer {sys.argv[2]}"}, timeout=30)
client.get("/healthz")
print("ready", flush=True)
body = sys.stdin.readline()
answer = client.post(sys.argv[3], content=body, headers={"Content-Type": "application/json"})
print(answer.status_code, answer.text, flush=True)
"""


def start(served: Served, path: str) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-c", DECIDER, served.url, served.tokens["operator"], path]
    started = subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def test_one_decision_wins_and_the_other_is_told(served: Served) -> None:
    handoff = served.stop()
    path = f"/v1/handoffs/{handoff['handoff_id']}/decisions"
    bodies = [json.dumps(decision(handoff, kind)) for kind in ("approve", "reject")]
    deciders = [start(served, path) for _ in bodies]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda p, b: p.communicate(b + "\n", 30)[0], deciders, bodies))
    found = {int(status): json.loads(body) for status, body in (a.split(" ", 1) for a in answers)}
    assert set(found) == {201, 409}
    won, lost = found[201], found[409]
    assert lost["code"] == "already_decided"
    assert lost["decided_by"] == won["decision"]["by"] == served.person_id
    assert lost["decided_by_name"] == "Noor Haddad"
    assert lost["decided_at"] == won["decision"]["at"]
    assert lost["decision"] == won["decision"]["kind"]
    events = served.engine.kernel.store.events(stream=f"handoff/{handoff['handoff_id']}")
    assert [e.type for e in events].count("handoff.decided") == 1
