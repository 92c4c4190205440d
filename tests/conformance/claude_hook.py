"""The hook's endpoint for Claude Code as an executor: a scripted harness that obeys what the hook answers.

Run as a program it makes one call in a process of its own, and kills itself where it is told to.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import httpx

from handfast.testing.gates.executor import Action, Attempt, Capabilities, Crash, Outcome, Way
from tests.conformance.crashing import killed
from tests.conformance.raw_api import reached

if TYPE_CHECKING:
    from handfast.testing.gates import Place

Json = dict[str, Any]
GATED = "git push -q nowhere main 2> /dev/null; "  # stops at the gate, and fails at once


class Harness:
    """What Claude Code does around a Bash call, as far as hooks see it."""

    def __init__(self, hook_url: str, token: str, repo: str, effects: str) -> None:
        self.hook_url, self.token = hook_url, token
        self.repo, self.effects = repo, effects

    def post(self, name: str, **fields: Any) -> Json:
        event = {
            "session_id": "s1",
            "cwd": self.repo,
            "transcript_path": "",
            "permission_mode": "default",
            "hook_event_name": name,
            **fields,
        }
        answer = httpx.post(
            self.hook_url,
            json=event,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=120,
            trust_env=False,
            verify=False,  # noqa: S501 - plain HTTP on loopback
        )
        found: Json = answer.raise_for_status().json()
        return found

    def command(self, action: Action) -> str:
        first = f"bash {action.operand}; " if action.operand else ""
        return f"{GATED}{first}echo {action.marker} >> {self.effects}"

    def bash(self, command: str, call_id: str, **fields: Any) -> tuple[Outcome, str]:
        """Ask the hook; run on `allow` alone, as the program does with a hook that blocks on failure."""
        about = {"tool_name": "Bash", "tool_input": {"command": command}, "tool_use_id": call_id}
        said = self.post("PreToolUse", **about, **fields)["hookSpecificOutput"]
        reason = str(said.get("permissionDecisionReason", ""))
        if said["permissionDecision"] != "allow":
            return Outcome.DENIED, reason
        reached(Crash.STARTED)
        ran = subprocess.run(
            ["bash", "-c", command], cwd=self.repo, capture_output=True, text=True, check=False
        )
        reached(Crash.RAN)
        response = {"stdout": ran.stdout, "stderr": ran.stderr, "interrupted": False}
        self.post("PostToolUse", **about, **fields, tool_response=response)
        return Outcome.RAN, reason


class ClaudeHook:
    """The real endpoint in front of the suite's server, and a harness that asks it before each call."""

    capabilities = Capabilities()

    def begin(self, place: "Place") -> None:
        from handfast.client import Client
        from handfast.engine.clock import SystemClock
        from handfast.runner.hooks.endpoint import HookEndpoint
        from handfast.runner.hooks.sessions import token_hash
        from handfast.runner.hooks.settings import HookSettings
        from handfast.runner.serving import RunnerServer

        self.place, self.calls = place, 0
        self.ids: dict[str, str] = {}
        subprocess.run(["git", "init", "-q"], cwd=place.repo, check=True)
        settings = HookSettings(place.of.engine.home, place.url, hook_timeout_s=0.4, confirm_s=0.0)
        client = Client(place.url, place.runner_token, tries=1, timeout_s=5)
        known = {token_hash(place.token): place.agent_id}
        endpoint = HookEndpoint(client, settings, SystemClock().now, installed=lambda: dict(known))
        self.opened = ExitStack()
        runner = self.opened.enter_context(RunnerServer(endpoint, port=0))
        self.harness = Harness(runner.hook_url, place.token, str(place.repo), str(place.effects))

    def end(self) -> None:
        self.opened.close()

    def next_id(self) -> str:
        self.calls += 1
        return f"toolu_{self.calls}"

    def attempt(self, action: Action) -> Attempt:
        return self.asks(self.harness.command(action), self.next_id())

    def asks(self, command: str, call_id: str, **fields: Any) -> Attempt:
        outcome, reason = self.harness.bash(command, call_id, **fields)
        named = re.search(r"ho_[0-9A-Za-z]+", reason)
        handoff_id = named.group(0) if named else ""
        if outcome is Outcome.RAN:
            return Attempt(outcome, self.recorded(), reason)
        if handoff_id and self.place.handoff(handoff_id)["waiting"]:
            self.ids[handoff_id] = call_id
            return Attempt(Outcome.WAITING, handoff_id, reason)
        return Attempt(Outcome.DENIED, handoff_id, reason)

    def recorded(self) -> str:
        """The case of what just ran, once its result is recorded: the runner delivers it by itself."""
        deadline = time.monotonic() + 120
        while True:
            cases = [c for c in self.place.cases() if c["status"] != "decided"]
            if all(c["effect"] for c in cases if c["status"] == "resumed"):
                return str(cases[0]["handoff_id"]) if cases else ""
            assert time.monotonic() < deadline, "the result was never recorded"
            time.sleep(0.02)

    def resume(self, action: Action, asked: Attempt) -> Attempt:
        return self.attempt(action)

    def replay(self, action: Action, asked: Attempt) -> Attempt:
        """A session resumed from its file: the same call with the same id."""
        return self.asks(self.harness.command(action), self.ids.get(asked.handoff_id, "toolu_x"))

    def crash(self, action: Action, asked: Attempt, at: Crash) -> None:
        told = {
            "hook_url": self.harness.hook_url,
            "token": self.harness.token,
            "repo": self.harness.repo,
            "effects": self.harness.effects,
            "marker": action.marker,
            "call_id": self.next_id(),
        }
        killed("tests.conformance.claude_hook", told, at)

    def answered_outside(self, action: Action) -> Attempt:
        """The harness's own permissions say yes: its mode lets everything through, its user was not asked."""
        return self.asks(
            self.harness.command(action), self.next_id(), permission_mode="bypassPermissions"
        )

    def ways_around(self) -> Mapping[str, Way]:
        def by(form: str, **fields: Any) -> Way:
            """`form` has `{}` where the command goes, quoted for a shell."""
            import shlex

            def way(action: Action) -> Attempt:
                command = form.replace("{}", shlex.quote(self.harness.command(action)))
                return self.asks(command, self.next_id(), **fields)

            return way

        return {
            "bash -c": by("bash -c {}"),
            "eval": by("eval {}"),
            "env -S": by("env -S 'bash -c' {}"),
            "through a pipe": by("printf %s {} | sh"),
            "in the background": by("nohup bash -c {} & wait"),
            "a script it writes": by("printf %s {} > go.sh && bash go.sh"),
            "python": by("python3 -c 'import os, sys; os.system(sys.argv[1])' {}"),
            "a sub-agent": by("bash -c {}", agent_id="a1", agent_type="general-purpose"),
            "another session": by("bash -c {}", session_id="s2"),
            "a retry": self.attempt,
        }


def main() -> None:
    told = json.loads(sys.argv[1])
    harness = Harness(told["hook_url"], told["token"], told["repo"], told["effects"])
    harness.bash(harness.command(Action(told["marker"])), told["call_id"])
    reached(Crash.ASKED)


if __name__ == "__main__":
    main()
