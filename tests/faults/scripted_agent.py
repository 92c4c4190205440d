"""A scripted agent: behaves at the hook as Claude Code 2.1 with `onFailure: block` was seen to behave.

Asks before the call; runs it only on an explicit allow; a hook that failed, or said anything else, means
that the call was not run; says what came of it, once, and does not care whether that arrived. It asks
again, as a new call, when the hook failed or the reason tells it to. Standard library only: nothing of
the product. The one argument is JSON; what it leaves out comes from the environment that a runner gives
its agents. What happened is appended to the journal, a line an event.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

AGAIN = ("again, unchanged", "issue it again")
PAUSE_S = 0.1


class Agent:
    def __init__(self, order: dict) -> None:  # type: ignore[type-arg]  # JSON
        self.order = {
            "hook": os.environ.get("HANDFAST_HOOK_URL"),
            "token": os.environ.get("HANDFAST_TOKEN"),
            "session": os.environ.get("HANDFAST_SESSION_ID"),
            "cwd": str(Path.cwd()),
            "asks": 20,
            **order,
        }
        self.journal = Path(order["journal"])

    def note(self, event: str, **fields: object) -> None:
        line = json.dumps({"event": event, "at": time.monotonic(), **fields})
        with self.journal.open("a") as file:
            file.write(line + "\n")

    def post(self, name: str, **fields: object) -> object:
        body = {
            "session_id": self.order["session"],
            "cwd": self.order["cwd"],
            "transcript_path": "",
            "permission_mode": "bypassPermissions",
            "hook_event_name": name,
            **fields,
        }
        headers = {
            "Authorization": f"Bearer {self.order['token']}",
            "Content-Type": "application/json",
        }
        request = urllib.request.Request(self.order["hook"], json.dumps(body).encode(), headers)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=600) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def about(self, key: str) -> dict:  # type: ignore[type-arg]  # JSON
        tool_input = {"command": self.order["command"], "description": f"attempt {key}"}
        return {"tool_name": "Bash", "tool_use_id": key, "tool_input": tool_input}

    def ask(self, key: str) -> tuple[str, str]:
        """The hook's word and its reason. Anything unexpected is a failure, never an allow."""
        self.note("asked", key=key)
        try:
            answer = self.post("PreToolUse", **self.about(key))
            said = answer["hookSpecificOutput"]  # type: ignore[index]  # checked by the except
            word, reason = said["permissionDecision"], said.get("permissionDecisionReason", "")
            if said["hookEventName"] != "PreToolUse" or word not in ("allow", "deny", "defer"):
                raise ValueError(f"not an answer: {said}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            word, reason = "failed", str(error)
        self.note("answered", key=key, word=word, reason=reason)
        return word, reason

    def run(self, key: str) -> None:
        ran = subprocess.run(
            ["bash", "-c", self.order["command"]],
            cwd=self.order["cwd"],
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        self.note("ran", key=key, code=ran.returncode)
        response = {"stdout": ran.stdout + ran.stderr, "stderr": "", "interrupted": False}
        name, extra = "PostToolUse", {"tool_response": response}
        if ran.returncode:
            name, extra = "PostToolUseFailure", {"error": f"Exit code {ran.returncode}"}  # type: ignore[dict-item]  # text
        self.tell(name, **self.about(key), **extra)

    def tell(self, name: str, **fields: object) -> None:
        try:
            self.post(name, **fields)
        except (OSError, ValueError) as error:
            self.note("untold", name=name, why=str(error))
        else:
            self.note("told", name=name)

    def work(self) -> None:
        for number in range(1, self.order["asks"] + 1):
            key = f"toolu_{os.getpid()}_{number}"
            word, reason = self.ask(key)
            if word == "allow":
                self.run(key)
                break
            if word != "failed" and not any(text in reason for text in AGAIN):
                break
            time.sleep(PAUSE_S)
        self.tell("SessionEnd", reason="other")


if __name__ == "__main__":
    Agent(json.loads(sys.argv[1])).work()
