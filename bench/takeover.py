"""Seconds until work goes on after kill -9 of a runner or of a server, with default settings.

    python -m bench.takeover

Real processes: servers, runners with a home, a data folder and a clone of their own, an origin that they fetch
from. The agent notes the time of each of its starts. A figure is the time from the kill (from the decision,
for a run that waited) to that start on the other side; it holds all there is: the lease that runs out, the
fetch, the worktree, the process. PostgreSQL is used where the machine has it, for two servers at once.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx

from bench.figures import Figure, Room, at_most
from handfast.app import open_engine
from handfast.engine.people import NewPerson
from tests import postgres

Json = dict[str, Any]
LOGIN, PASSWORD, PIN = "bench", "correct horse battery", "402613"
WITHIN_S = 60.0
# Knows the words that Claude Code is started with; works until it is ended.
AGENT = """#!/bin/sh
date +%s.%N >> "$PLACE/starts"
exec sleep 300
"""


WITHIN = 10.0
MEANS = "seconds until the agent works again elsewhere; default settings, real processes"


def figures(room: Room) -> Iterator[Figure]:
    """What a kill -9 of a runner or of a server costs."""
    for name, seconds in takeover(room.folder, 1 if room.quick else 3):
        figure = Figure(name.strip(), seconds, "s", MEANS)
        yield figure if name.startswith(" ") else at_most(figure, WITHIN)


def takeover(folder: Path, times: int = 3) -> Iterator[tuple[str, float]]:
    """Each figure `times` times. Raises AssertionError when work does not go on within a minute."""
    for n in range(times):
        yield "kill -9 of a runner in the middle of a run", _runner_killed(folder / f"run{n}")
    for n in range(times):
        name = "kill -9 of a runner at a pause: from the decision"
        yield name, _runner_killed_at_a_pause(folder / f"pause{n}")
    for n in range(times):
        whole, start = _server_killed(folder / f"one{n}")
        yield "kill -9 of the only server, started again at once", whole
        yield "  of that, until the server answers", start
    binaries = postgres.binaries()
    if binaries is None:
        return
    with postgres.running(binaries) as database:
        for n in range(times):
            name = "kill -9 of one of two servers on one PostgreSQL"
            yield name, _one_of_two_killed(folder / f"two{n}", database.create())


class _Place:
    """Processes and folders of one figure; everything has ended afterwards."""

    def __init__(self, folder: Path, database: str = "") -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.database = database or f"sqlite:///{folder / 'handfast.db'}"
        self.urls: list[str] = []
        self._ended = ExitStack()
        self._prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.close()

    def _prepare(self) -> None:
        engine = open_engine(self.database, self.folder / "server")
        engine.people.set_up(engine.people.invite(), NewPerson("Bench", LOGIN, PASSWORD, PIN))
        engine.close()
        repository = self.folder / "origin.git"
        for words in (
            ["init", "-q", "-b", "main", "made"],
            ["-C", "made", "commit", "-q", "--allow-empty", "-m", "first"],
            ["clone", "-q", "--bare", "made", str(repository)],
        ):
            subprocess.run(["git", *_ME, *words], cwd=self.folder, check=True)
        self.origin = f"file://{repository}"
        agent = self.folder / "claude"
        agent.write_text(AGENT)
        agent.chmod(0o755)

    def server(self, home: str = "server", port: int = 0) -> "subprocess.Popen[bytes]":
        """A second one has the same keys in a folder of its own."""
        if home != "server":
            (self.folder / home).mkdir()
            shutil.copytree(self.folder / "server" / "keys", self.folder / home / "keys")
            for token in ("operator.token", "runner.token"):
                if (self.folder / "server" / token).exists():
                    shutil.copy(self.folder / "server" / token, self.folder / home / token)
        words = ["serve", "--no-runner", "--port", str(port), "--json"]
        process = self._start(words, {"HANDFAST_HOME": str(self.folder / home)})
        self.urls.append(str(_said(process)["url"]))
        return process

    def runner(self, name: str) -> "subprocess.Popen[bytes]":
        token = self.call("POST", "/v1/runners", {"name": name})["token"]
        home = self.folder / name
        home.mkdir()
        words = ["runner", "--port", "0", "--json"]
        for url in self.urls:
            words += ["--server", url]
        own = {
            "HOME": str(home),
            "HANDFAST_HOME": str(home / "data"),
            "HANDFAST_HOST": name,
            "HANDFAST_RUNNER_TOKEN": str(token),
            "HANDFAST_AGENT_ENV": "PLACE",
            "PLACE": str(self.folder),
        }
        process = self._start(words, own)
        _said(process)
        self.until(lambda: self._state(name) == "idle", f"{name} at work")
        return process

    def _state(self, name: str) -> str:
        items = self.call("GET", "/v1/runners")["items"]
        return next(str(r["state"]) for r in items if r["name"] == name)

    def _start(self, words: list[str], more: dict[str, str]) -> "subprocess.Popen[bytes]":
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HANDFAST_")}
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "handfast", *words],
                env={**kept, "HANDFAST_DATABASE_URL": self.database, **more},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._ended.callback(_end, process)
        return process

    def call(self, method: str, path: str, body: Json | None = None) -> Json:
        token = (self.folder / "server" / "operator.token").read_text().strip()
        with httpx.Client(timeout=30, trust_env=False) as client:
            headers = {"Authorization": f"Bearer {token}"}
            answer = client.request(method, self.urls[-1] + path, json=body, headers=headers)
        answer.raise_for_status()
        found: Json = answer.json()
        return found

    def order(self) -> str:
        agents = self.call("GET", "/v1/agents")["items"]
        if not agents:
            agents = [self.call("POST", "/v1/agents", {"name": "a", "harness": "claude-code"})]
        brief = {"intent": "work", "risk": "low"}
        task = {"brief": brief, "repository": self.origin, "target_branch": "main"}
        run = {
            "task_id": self.call("POST", "/v1/tasks", task)["task_id"],
            "agent_id": agents[0]["agent_id"],
            "harness": "claude-code",
            "command": [str(self.folder / "claude")],
            "contained": "off",
        }
        return str(self.call("POST", "/v1/runs", run)["run_id"])

    def starts(self) -> list[float]:
        path = self.folder / "starts"
        return [float(line) for line in path.read_text().split()] if path.exists() else []

    def started(self, times: int) -> float:
        """When the agent was started for the n-th time."""
        self.until(lambda: len(self.starts()) >= times, f"start {times}")
        return self.starts()[times - 1]

    def until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not holds():
            log = (self.folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, f"{what} did not come about: {log}"
            time.sleep(0.02)


_ME = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")


def _runner_killed(folder: Path) -> float:
    with _Place(folder) as place:
        place.server()
        first = place.runner("ada")
        run_id = place.order()
        place.started(1)
        place.until(lambda: place.call("GET", f"/v1/runs/{run_id}")["status"] == "running", "it")
        place.runner("bob")
        killed_at = _kill(first)
        return place.started(2) - killed_at


def _runner_killed_at_a_pause(folder: Path) -> float:
    with _Place(folder) as place:
        place.server()
        first = place.runner("ada")
        run_id = place.order()
        place.started(1)
        runner = (place.folder / "server" / "runner.token").read_text().strip()
        asked = _question(place, run_id, runner)
        # The agent ends, as Claude Code does when its call is put off; its runner pauses the run.
        pid = int(place.call("GET", f"/v1/runs/{run_id}")["process"]["pid"])
        os.kill(pid, 15)
        place.until(
            lambda: place.call("GET", f"/v1/runs/{run_id}")["status"] == "paused", "a pause"
        )
        _kill(first)
        place.runner("bob")
        decided_at = _decide(place, asked)
        return place.started(2) - decided_at


def _server_killed(folder: Path) -> tuple[float, float]:
    with _Place(folder) as place:
        server = place.server()
        place.runner("ada")
        port = int(place.urls[0].rpartition(":")[2])
        killed_at = _kill(server)
        place.server(port=port)
        answers_at = time.time()
        place.order()
        return place.started(1) - killed_at, answers_at - killed_at


def _one_of_two_killed(folder: Path, database: str) -> float:
    with _Place(folder, database) as place:
        first = place.server()
        place.server("second")
        place.runner("ada")
        killed_at = _kill(first)
        place.order()
        return place.started(1) - killed_at


def _question(place: _Place, run_id: str, token: str) -> Json:
    with httpx.Client(timeout=30, trust_env=False) as client:
        answer = client.post(
            f"{place.urls[-1]}/v1/runs/{run_id}/questions",
            json={"question": "Which one?"},
            headers={"Authorization": f"Bearer {token}"},
        )
    answer.raise_for_status()
    return place.call("GET", f"/v1/handoffs/{answer.json()['handoff_id']}")


def _decide(place: _Place, asked: Json) -> float:
    digest = asked["presented_digest"]
    body = {"kind": "answer", "answer": "this", "presented_digest": digest, "reason": "looked"}
    place.call(
        "POST",
        f"/v1/handoffs/{asked['handoff_id']}/decisions",
        {**body, "person": LOGIN, "pin": PIN},
    )
    return time.time()


def _said(process: "subprocess.Popen[bytes]") -> Json:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "it did not start"
    found: Json = json.loads(line)
    return found


def _kill(process: "subprocess.Popen[bytes]") -> float:
    process.kill()
    process.wait()
    return time.time()


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="handfast-takeover-") as name:
        for what, seconds in takeover(Path(name)):
            print(f"{what:<58} {seconds:>8.2f} s", flush=True)


if __name__ == "__main__":
    main()
