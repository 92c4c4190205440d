"""The example agent of `handfast demo`: a plain script, not a model.

It does one small real piece of work on a real clone: an index of the decision records, and the
removal of their template. Before each call it asks the hook exactly as Claude Code does, so what
is shown of it is what the product does for a real agent. Standard library only.

Environment: HANDFAST_HOOK_URL and HANDFAST_TOKEN from the runner, HANDFAST_SESSION_ID for the
session, HANDFAST_FEEDBACK when a reviewer asked for changes.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

RECORDS = Path("docs/decisions")
INDEX = RECORDS / "README.md"
TEMPLATE = RECORDS / "0000-template.md"


class Session:
    """One session under the hook. A call is made only after an explicit allow."""

    def __init__(self) -> None:
        self._url = os.environ["HANDFAST_HOOK_URL"]
        self._token = os.environ["HANDFAST_TOKEN"]
        self._id = os.environ.get("HANDFAST_SESSION_ID", "example-session")
        self._calls = 0

    def _post(self, event: str, more: Mapping[str, object]) -> dict[str, object]:
        body = {"session_id": self._id, "cwd": str(Path.cwd()), "hook_event_name": event, **more}
        request = urllib.request.Request(  # noqa: S310 - the runner's own loopback address
            self._url,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return dict(json.loads(answer.read() or b"{}"))

    def ask(self, tool: str, arguments: dict[str, object]) -> tuple[str, str, str]:
        """(decision, reason, call id). Anything but a clear allow is a no."""
        self._calls += 1
        call_id = f"example_{os.getpid()}_{self._calls}"
        call = {"tool_name": tool, "tool_input": arguments, "tool_use_id": call_id}
        try:
            answer = self._post("PreToolUse", call)
        except (urllib.error.URLError, OSError, ValueError) as e:
            return "deny", f"the hook did not answer: {e}", call_id
        output = answer.get("hookSpecificOutput")
        if not isinstance(output, dict) or output.get("permissionDecision") != "allow":
            reason = output.get("permissionDecisionReason", "") if isinstance(output, dict) else ""
            return "deny", str(reason), call_id
        return "allow", "", call_id

    def run(self, command: str) -> bool:
        """A shell command. False when it was denied or failed."""
        say(f"asks to run: {command}")
        decision, reason, call_id = self.ask("Bash", {"command": command})
        if decision != "allow":
            say(f"not allowed: {reason}")
            return False
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        event = "PostToolUse" if done.returncode == 0 else "PostToolUseFailure"
        outcome: dict[str, object] = {
            "tool_response": {"stdout": done.stdout, "stderr": done.stderr}
        }
        if done.returncode:
            outcome = {"error": f"Exit code {done.returncode}\n{done.stderr}"}
        call = {"tool_name": "Bash", "tool_input": {"command": command}, "tool_use_id": call_id}
        self._post(event, {**call, **outcome})
        return done.returncode == 0

    def read(self, path: Path) -> str:
        arguments: dict[str, object] = {"file_path": str(path.absolute())}
        decision, reason, _ = self.ask("Read", arguments)
        if decision != "allow":
            say(f"not allowed to read {path}: {reason}")
            return ""
        return path.read_text()

    def write(self, path: Path, content: str) -> bool:
        say(f"asks to write: {path}")
        arguments: dict[str, object] = {"file_path": str(path.absolute()), "content": content}
        decision, reason, call_id = self.ask("Write", arguments)
        if decision != "allow":
            say(f"not allowed: {reason}")
            return False
        path.write_text(content)
        call = {"tool_name": "Write", "tool_input": arguments, "tool_use_id": call_id}
        self._post(
            "PostToolUse", {**call, "tool_response": {"type": "create", "filePath": str(path)}}
        )
        return True


def say(text: str) -> None:
    print(f"[example agent] {text}", flush=True)


def index(session: Session, *, with_status: bool) -> str:
    """A table of the decision records, read from the records themselves."""
    head = "| record | status |" if with_status else "| record |"
    rows = [head, "|---|---|" if with_status else "|---|"]
    for path in sorted(RECORDS.glob("[0-9]*.md")):
        if path.name == TEMPLATE.name:
            continue
        lines = session.read(path).splitlines()
        title = next((x.removeprefix("# ") for x in lines if x.startswith("# ")), path.stem)
        row = f"| [{title}]({path.name}) |"
        rows.append(f"{row} accepted |" if with_status else row)
    return "# Decision records\n\n" + "\n".join(rows) + "\n"


def main() -> int:
    session = Session()
    feedback = os.environ.get("HANDFAST_FEEDBACK", "")
    if feedback:
        say(f"a reviewer asks for changes: {feedback}")
    else:
        say("a plain script, not a model; every call goes through the hook")
        session.run("git log --oneline -3")
    if not session.write(INDEX, index(session, with_status=bool(feedback))):
        return 1
    session.run("git diff --check")
    if TEMPLATE.exists() and not feedback:
        if session.run(f"git rm -q {TEMPLATE}"):
            say("the template is removed")
        else:
            say("the template stays")
    session.run("git add -A && git commit -q -m 'Index the decision records'")
    say("done; the work goes to review")
    return 0


if __name__ == "__main__":
    sys.exit(main())
