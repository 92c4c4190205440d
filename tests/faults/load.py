"""Many agents and deciders at once, as threads that speak HTTP: what is going on while faults strike.

Each call has an effect that is counted outside the product: a line in a file. An agent that dies between
its start and its report leaves a doubt; a decider settles it as a person does, by looking at the file.
What was answered is kept for the checker (`Witness`).
"""

import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx

from tests.faults.checker import Json
from tests.faults.installation import Installation, decision, gated
from tests.faults.scripted_agent import AGAIN
from tests.served import _TLS

EFFECT = re.compile(r"effects/([\w-]+)")
PAUSE_S = 0.1
ANSWER_S = 15.0
ATTEMPTS = 6


@dataclass
class Work:
    """One call of one agent. `busy` while it may be writing its line."""

    path: Path
    busy: bool = False

    @property
    def lines(self) -> int:
        return len(self.path.read_text().splitlines()) if self.path.exists() else 0

    def write(self) -> None:
        with self.path.open("a") as file:
            file.write("ran\n")


@dataclass
class Load:
    """`servers` are the addresses that agents and deciders use, by chance. Seeded: who does what is the
    same each time; when it happens is not."""

    place: Installation
    seed: int
    servers: Sequence[str] = ()
    crashing: float = 0.1
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    works: dict[str, Work] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _agents: list[threading.Thread] = field(default_factory=list)
    _deciders: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, *, hooked: int, executing: int, deciders: int = 2, calls: int = 3) -> None:
        (self.place.root / "effects").mkdir(exist_ok=True)
        for number in range(hooked):
            self._run(self._agents, _Hooked(self, f"h{number}", calls))
        for number in range(executing):
            self._run(self._agents, _Executing(self, f"e{number}", calls))
        for number in range(deciders):
            self._run(self._deciders, _Decider(self, f"d{number}"))

    def _run(self, among: list[threading.Thread], speaker: "_Speaker") -> None:
        def guarded() -> None:
            try:
                with speaker:
                    speaker.work()
            except Exception as error:  # noqa: BLE001 - the edge of a thread: the round fails with it
                self.problems.append(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=guarded, daemon=True)
        among.append(thread)
        thread.start()

    @property
    def over(self) -> bool:
        """Whether every agent is done."""
        return not any(thread.is_alive() for thread in self._agents)

    def give_up(self) -> None:
        """Agents stop at their next step; what they leave open stays for the checker."""
        self._over.set()

    def stop(self) -> None:
        self._over.set()
        for thread in (*self._agents, *self._deciders):
            thread.join(60)
            if thread.is_alive():
                self.problems.append("a thread of the load does not end")

    # -- for the threads

    @property
    def stopping(self) -> bool:
        return self._over.is_set()

    def pause(self, seconds: float) -> None:
        self._over.wait(seconds)

    def work(self, name: str) -> Work:
        with self._lock:
            return self.works.setdefault(name, Work(self.place.root / "effects" / name))

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def answered(self, kind: str, **fields: object) -> None:
        with self._lock:
            self.place.witness.answered(kind, **fields)
            self.counts[kind] += 1

    def decided(self, handoff_id: str, key: str, kind: str) -> None:
        with self._lock:
            self.place.witness.decided(handoff_id, key, kind)
            self.counts["handoff.decided"] += 1

    def belongs(self, handoff: Json) -> Work | None:
        """The call that a handoff is about, known by the file that it names."""
        found = EFFECT.search(json.dumps(handoff))
        if found is None:
            return None
        work = self.work(found[1])
        self.place.effects.setdefault(handoff["action_digest"], work.path)
        return work


class _Speaker:
    """One thread's way to the servers."""

    def __init__(self, load: Load, name: str) -> None:
        self.load, self.name = load, name
        self.place = load.place
        self.random = random.Random(f"{load.seed}/{name}")  # noqa: S311 - no secret
        self._servers = list(load.servers) or [load.place.url]
        self._client = httpx.Client(timeout=ANSWER_S, trust_env=False, verify=_TLS)
        self._hook = httpx.Client(timeout=600, trust_env=False, verify=_TLS)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._hook.close()

    def work(self) -> None:
        raise NotImplementedError

    def send(
        self, method: str, path: str, body: Json | None = None, *, token: str, key: str = ""
    ) -> httpx.Response | None:
        """Once. None when nobody answered, or the server said that it cannot."""
        server = self.random.choice(self._servers)
        url, headers = server + path, self.place.credentials(token)
        if key:
            headers["Idempotency-Key"] = key
        try:
            answer = self._client.request(method, url, json=body, headers=headers)
        except httpx.HTTPError:
            self.load.count("unanswered")
            return None
        if answer.status_code >= 500:
            self.load.count(f"status {answer.status_code}")
            return None
        return answer

    def sure(
        self, method: str, path: str, body: Json | None = None, *, token: str, key: str = ""
    ) -> httpx.Response | None:
        """With one key until it is answered. None when the load is stopped before."""
        while not self.load.stopping:
            answer = self.send(method, path, body, token=token, key=key)
            if answer is not None:
                return answer
            self.load.pause(PAUSE_S)
        return None


class _Hooked(_Speaker):
    """Asks at the runner's hook, runs what it may itself, and says so, as `scripted_agent` does."""

    def __init__(self, load: Load, name: str, calls: int) -> None:
        super().__init__(load, name)
        self._calls = calls

    def work(self) -> None:
        for number in range(self._calls):
            self._call(self.load.work(f"{self.name}-{number}"))
        self._post("SessionEnd", reason="other")

    def _call(self, work: Work) -> None:
        attempts = 0
        for asked in count():
            if self.load.stopping or attempts == ATTEMPTS:
                return
            key = f"toolu_{work.path.name}_{asked}"
            tool_input = {"command": gated(work.path)}
            about: Json = {"tool_name": "Bash", "tool_use_id": key, "tool_input": tool_input}
            said = self._post("PreToolUse", **about)
            word = said.get("permissionDecision", "failed")
            self.load.count(f"hook {word}")
            if word == "allow":
                self._effect(work, about)
                return
            reason = said.get("permissionDecisionReason", "")
            if word != "failed" and not any(text in reason for text in AGAIN):
                return
            attempts += word != "failed"
            self.load.pause(PAUSE_S)

    def _effect(self, work: Work, about: Json) -> None:
        """It may die before the line, or after it and before it says so."""
        work.busy = True
        dies = self.random.random() if self.load.crashing else 1.0
        if dies > self.load.crashing / 2:
            work.write()
        work.busy = False
        if dies > self.load.crashing:
            response = {"stdout": "", "stderr": "", "interrupted": False}
            self._post("PostToolUse", **about, tool_response=response)

    def _post(self, event: str, **fields: object) -> Json:
        body = {
            "session_id": self.name,
            "cwd": str(self.place.repo),
            "transcript_path": "",
            "permission_mode": "bypassPermissions",
            "hook_event_name": event,
            **fields,
        }
        headers = {"Authorization": f"Bearer {self.place.names['agent']}"}
        try:
            answer = self._hook.post(self.place.hook, json=body, headers=headers)
            found: Json = answer.json().get("hookSpecificOutput", {})
        except (httpx.HTTPError, ValueError, AttributeError):
            return {}
        return found


class _Executing(_Speaker):
    """Asks over the API, redeems its grants itself, and reports what came of them."""

    def __init__(self, load: Load, name: str, calls: int) -> None:
        super().__init__(load, name)
        self._calls = calls
        self._run_id = ""

    def work(self) -> None:
        body = {"session_id": self.name, "cwd": str(self.place.repo), "mode": "enforce"}
        made = self.sure("POST", "/v1/runs", body, token="agent", key=f"run-{self.name}")
        if made is None:
            return
        assert made.status_code in (200, 201), made.text
        self._run_id = made.json()["run_id"]
        for number in range(self._calls):
            work = self.load.work(f"{self.name}-{number}")
            for attempt in range(ATTEMPTS):
                if self.load.stopping or self._attempt(work, attempt):
                    break

    def _attempt(self, work: Work, attempt: int) -> bool:
        """Whether there is nothing left to do."""
        key = f"{work.path.name}-{attempt}"
        call = {"tool": "Bash", "arguments": {"command": gated(work.path)}, "cwd": "."}
        body = {"key": key, "call": call, "executor": "mediated"}
        path = f"/v1/runs/{self._run_id}/actions"
        asked = self.sure("POST", path, body, token="agent", key=key)
        if asked is None:
            return True
        assert asked.status_code == 200, asked.text
        if asked.json()["verdict"] != "wait":
            return True
        handoff_id = asked.json()["handoff_id"]
        self.load.answered("handoff.requested", handoff_id=handoff_id)
        handoff = self._settled(handoff_id)
        if handoff is None:
            return True
        decided = (handoff["decision"] or {}).get("kind", "")
        if handoff["kind"] == "doubt":
            return False
        if decided != "approve":
            return bool(decided)  # what nobody decided is asked again
        return self._execute(work, handoff, key)

    def _settled(self, handoff_id: str) -> Json | None:
        """The handoff when it waits no more."""
        while not self.load.stopping:
            path = f"/v1/handoffs/{handoff_id}/wait?timeout_s=2"
            answer = self.send("GET", path, token="agent")
            if answer is None:
                self.load.pause(PAUSE_S)
            elif (found := answer.json())["decided"]:
                handoff: Json = found["handoff"]
                return handoff
        return None

    def _execute(self, work: Work, handoff: Json, key: str) -> bool:
        grant_id = handoff["grant"]["grant_id"]
        body = {"action_digest": handoff["action_digest"], "executor": "mediated"}
        work.busy = True
        try:
            path = f"/v1/grants/{grant_id}/redeem"
            taken = self.sure("POST", path, body, token="agent", key=f"redeem-{key}")
            if taken is None or taken.status_code != 200:
                self.load.count("redeem refused")
                return False
            start_id = taken.json()["start_id"]
            self.load.answered("grant.redeemed", start_id=start_id, grant_id=grant_id)
            dies = self.random.random()
            if dies < self.load.crashing / 2:
                return False
            work.write()
        finally:
            work.busy = False
        if dies < self.load.crashing:
            return False
        self._report(grant_id, start_id, handoff["action_digest"])
        return True

    def _report(self, grant_id: str, start_id: str, digest: str) -> None:
        body = {"start_id": start_id, "outcome": "verified", "executed_digest": digest}
        answer = self.sure("POST", f"/v1/grants/{grant_id}/effect", body, token="agent")
        if answer is not None:
            assert answer.status_code == 200, answer.text
            outcome = answer.json()["outcome"]
            self.load.answered("effect.recorded", start_id=start_id, outcome=outcome)


class _Decider(_Speaker):
    """Ana, at one of her places: decides what waits, by chance, and settles doubts by looking."""

    def work(self) -> None:
        while not self.load.stopping:
            listed = self.send("GET", "/v1/handoffs?status=waiting&limit=100", token="operator")
            waiting = listed.json()["items"] if listed is not None else []
            self.random.shuffle(waiting)
            for handoff in waiting:
                if not self.load.stopping:
                    self._decide(handoff["handoff_id"])
            self.load.pause(PAUSE_S)

    def _decide(self, handoff_id: str) -> None:
        shown = self.send("GET", f"/v1/handoffs/{handoff_id}", token="operator")
        if shown is None or shown.status_code != 200:
            return
        handoff = shown.json()
        work = self.load.belongs(handoff)
        kind, more = self._choice(handoff, work)
        if not kind:
            return
        key = f"{self.name}-{handoff_id}"
        body = decision(handoff, kind, **more)
        path = f"/v1/handoffs/{handoff_id}/decisions"
        answer = self.sure("POST", path, body, token="session", key=key)
        if answer is None:
            return
        if answer.status_code == 401:  # a clock that jumped has ended the session
            answer = self.sure("POST", path, body, token="operator", key=key)
        if answer is None:
            return
        if answer.status_code == 201:
            self.load.decided(handoff_id, key, kind)
        else:
            assert answer.status_code == 409, answer.text
            self.load.count(f"decision {answer.json()['code']}")

    def _choice(self, handoff: Json, work: Work | None) -> tuple[str, Json]:
        """Nothing while the line may just be written: a person would ask."""
        if handoff["kind"] != "doubt":
            return ("approve" if work is None or self.random.random() < 0.8 else "reject"), {}
        if work is None or work.busy:
            return "", {}
        return "answer", {"answer": "it_ran" if work.lines else "it_did_not_run"}


def rest(load: Load, within_s: float) -> list[str]:
    """Wait until all agents are done and the log is at rest. Gives what is wrong then."""
    place = load.place
    deadline = time.monotonic() + within_s
    while not load.over and time.monotonic() < deadline and not load.problems:
        place.mend()
        time.sleep(0.05)
    found = ["the agents are not done"] if not load.over else []
    wrong = place.wrong()
    while wrong and time.monotonic() < deadline:
        place.mend()
        time.sleep(0.2)
        wrong = place.wrong()
    return [*load.problems, *found, *wrong]
