"""What agents and people do while faults strike: three ways from a call to its effect, played to the end.

`hooked`: an agent asks at the runner's hook and runs its call itself. `executed`: it asks over the API
and runs what it may through `handfast exec`. `Run`: the runner starts the agent and merges its work.
"""

from pathlib import Path
from shlex import quote

from tests.faults.checker import Json
from tests.faults.installation import AGENT, Agent, Installation, gated
from tests.faults.matrix import Case, Kind
from tests.repositories import git

# An agent of a run works for longer than its runner goes without a heartbeat: a third of the lease.
WORKS_S = 1

# Each start notes whether the processes of the one before are still there, and leaves one behind in a
# session of its own, as agents' shells do.
WITNESS = """
for pid in $(cat {root}/pids 2> /dev/null); do
  if kill -0 $pid 2> /dev/null; then echo alive; else echo gone; fi >> {root}/earlier
done
echo start >> {root}/starts
setsid sleep 300 < /dev/null > /dev/null 2>&1 &
echo $$ $! > {root}/pids
"""


class Mediated:
    """An agent that asks over the API and runs what it may through `handfast exec`."""

    def __init__(self, place: Installation) -> None:
        self.place = place
        self.effects = place.root / "effects"
        body = {"session_id": "s1", "cwd": str(place.repo), "mode": "enforce"}
        made = place.sure(lambda: place.call("POST", "/v1/runs", body, token="agent", key="run"))
        self.run_id = made.json()["run_id"]
        self._asked = 0

    def ask(self) -> Json:
        self._asked += 1
        key = f"t{self._asked}"
        call = {"tool": "Bash", "arguments": {"command": gated(self.effects)}, "cwd": "."}
        body = {"key": key, "call": call, "executor": "mediated"}
        path = f"/v1/runs/{self.run_id}/actions"
        answer = self.place.sure(
            lambda: self.place.call("POST", path, body, token="agent", key=key)
        )
        assert answer.status_code == 200, answer.text
        self.place.expect(self.effects)
        found: Json = answer.json()
        return found

    def granted(self) -> str:
        """Ask, and have it approved. Gives the grant's id."""
        asked = self.ask()
        assert asked["verdict"] == "wait"
        decided = self.place.decide({"handoff_id": asked["handoff_id"]})
        return str(decided["grant"]["grant_id"])

    @property
    def lines(self) -> int:
        return len(self.effects.read_text().splitlines()) if self.effects.exists() else 0

    def again(self, grant_id: str) -> None:
        """The same `exec`, until it is answered by a server that is there."""
        self.place.until(
            lambda: "server_unreachable" not in self.place.exec(grant_id).err, "an answer"
        )

    def settle_doubt(self) -> None:
        """Equal calls wait on the doubt until a person has looked; then the work is done, once."""
        doubt = self.place.until(lambda: self.place.waiting("doubt"), "a doubt")[0]
        attached = self.ask()
        assert (attached["verdict"], attached["handoff_id"]) == ("wait", doubt["handoff_id"])
        if self.lines:
            self.place.decide(doubt, "answer", answer="it_ran")
            assert self.ask()["verdict"] == "deny"
            return
        self.place.decide(doubt, "answer", answer="it_did_not_run")
        assert self.place.exec(self.granted()).code == 0


def go_on(place: Installation, agent: Agent) -> list[str]:
    """Decide whatever waits until the agent is done. Gives the kinds of what was decided."""
    kinds: list[str] = []

    def decided() -> bool:
        if agent.over:
            return True
        for handoff in place.waiting():
            place.expect(agent.effects)
            if handoff["kind"] == "doubt":
                ran = "it_ran" if agent.lines else "it_did_not_run"
                place.decide(handoff, "answer", answer=ran)
            else:
                place.decide(handoff)
            kinds.append(handoff["kind"])
        return False

    place.until(decided, "the agent's end")
    return kinds


class Run:
    """A run of a scripted agent in a worktree of its own, without a harness that the runner knows."""

    def __init__(self, place: Installation, script: str, name: str = "") -> None:
        self.place = place
        task = {
            "brief": {"intent": "make it better", "risk": "low"},
            "repository": str(place.repo),
            "target_branch": "main",
        }
        made = place.sure(lambda: place.call("POST", "/v1/tasks", task, key=f"task{name}"))
        command = ["bash", "-c", (WITNESS.format(root=place.root) if not name else "") + script]
        run = {
            "task_id": made.json()["task_id"],
            "agent_id": place.names["agent_id"],
            "command": command,
            "harness": "none",
            "contained": "off",  # the script leaves its traces beside the worktree
        }
        queued = place.sure(lambda: place.call("POST", "/v1/runs", run, key=f"run{name}"))
        assert queued.status_code == 201, queued.text
        self.run_id = queued.json()["run_id"]

    @property
    def state(self) -> Json:
        return self.place.get(f"/v1/runs/{self.run_id}")

    @property
    def pids(self) -> list[int]:
        return [int(word) for word in self.lines("pids")]

    def lines(self, name: str) -> list[str]:
        path = self.place.root / name
        return path.read_text().split() if path.exists() else []

    def recorded(self) -> bool:
        """Whether it has started, and the server knows: a moment later, when the machine is busy."""
        return bool(self.lines("starts")) and self.state["status"] == "running"

    def waiting(self, kind: str) -> Json:
        return self.place.until(lambda: self.place.waiting(kind), f"a waiting {kind}")[0]

    def merged(self) -> None:
        """The review is approved, once or after a broken-off merge again, and the run ends merged."""
        how = self.ended()
        assert how == "merged", f"{how}: {self.place.story()}"
        assert git(self.place.repo, "show", "main:work.txt") == "work"

    def ended(self) -> str:
        """The run's outcome, with every review of it approved. Nothing half-done is left."""

        def done() -> bool:
            for review in self.place.waiting("review"):
                self.place.decide(review)
            return str(self.state["status"]) == "ended"

        self.place.until(done, "the run's end")
        assert git(self.place.repo, "status", "--porcelain") == ""
        return str(self.state["outcome"])


def agent_of(place: Installation, command: str) -> str:
    """A script that does its work through the hook."""
    order = f'{{"journal": "{place.root}/run.journal", "command": "{command}"}}'
    return f"python3 -I {AGENT} {quote(order)}\necho work > work.txt\n"


def there(pid: int) -> bool:
    """Whether the process is alive; one that only waits to be reaped is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def executed(agent: Mediated, fault: str = "") -> None:
    """Ask and execute until the effect is there. The first `exec` is armed with `fault`."""
    place = agent.place
    while not agent.lines:
        asked = agent.ask()
        assert asked["verdict"] == "wait", asked
        handoff = place.handoff(asked["handoff_id"])
        if handoff["kind"] == "doubt":
            place.decide(handoff, "answer", answer="it_did_not_run")
            continue
        grant_id = place.decide(handoff)["grant"]["grant_id"]
        place.exec(grant_id, fault)
        fault = ""

        def settled(handoff: Json = handoff, grant_id: str = grant_id) -> bool:
            status = place.handoff(handoff["handoff_id"])["status"]
            if status == "decided":
                place.exec(grant_id)
            return bool(status == "closed")

        place.until(settled, "the end of the start")


def play(place: Installation, case: Case, kind: Kind) -> None:
    """One story with one fault in it, to the end: the effect is there exactly once, and all is proved."""
    fault = case.fault(kind)
    armed = {case.part: fault} if case.part != "exec" else {}
    if case.story == "executed":
        place.serve(armed.get("server", ""))
        agent = Mediated(place)
        executed(agent, fault if case.part == "exec" else "")
        lines = agent.lines
    elif case.story == "hooked":
        place.start(**armed)
        asking = place.agent("s1")
        go_on(place, asking)
        lines = asking.lines
    else:
        place.start(**armed)
        run = Run(place, f"echo work > work.txt\nsleep {WORKS_S}\n")
        outcome = run.ended()
        merged = git(place.repo, "log", "--format=%s", "main").count("make it better")
        assert (outcome, merged) in (("merged", 1), ("failed", 0))
        lines = len(run.lines("starts"))
    if armed:
        place.until(lambda: fault in place.restarts, f"the fault {fault}")
    place.prove()
    assert lines == 1 or (case.story == "run" and lines == 0), place.story()
