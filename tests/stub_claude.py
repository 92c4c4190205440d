"""Stands in for Claude Code where a test needs a session that survives its machine: same words, files and
results, one Bash call that the hook judges. Standard library only; the installed program is tested elsewhere.
"""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path


def main() -> int:
    words = sys.argv[1:]
    settings = json.loads(Path(words[words.index("--settings") + 1]).read_text())
    resumed = "--resume" in words
    session = words[words.index("--resume" if resumed else "--session-id") + 1]
    cwd = str(Path.cwd())
    slug = "".join(c if c.isalnum() else "-" for c in cwd)
    folder = Path(os.environ["HOME"]) / ".claude" / "projects" / slug
    path = folder / f"{session}.jsonl"
    if resumed and not path.exists():
        sys.stderr.write(f"No conversation found with session ID: {session}\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    history = path.read_text().splitlines() if path.exists() else []
    path.write_text("\n".join([*history, json.dumps({"start": len(history) + 1})]) + "\n")
    if any("ran" in json.loads(line) for line in history):
        return result("end_turn", f"starts of this session: {len(history)}")
    command = os.environ["STUB_COMMAND"]
    call = {"tool_name": "Bash", "tool_use_id": "toolu_1", "tool_input": {"command": command}}
    said = post(settings, "PreToolUse", session, call)["hookSpecificOutput"]
    if said["permissionDecision"] == "defer":
        return result("tool_deferred", "")
    if said["permissionDecision"] != "allow":
        return result("end_turn", f"not allowed: {said.get('permissionDecisionReason')}")
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    post(settings, "PostToolUse", session, {**call, "tool_response": {"stdout": ran.stdout}})
    with path.open("a") as lines:
        lines.write(json.dumps({"ran": command}) + "\n")
    if "STUB_REST" in os.environ:
        subprocess.run(["bash", "-c", os.environ["STUB_REST"]], check=False)
    return result("end_turn", f"starts of this session: {len(history) + 1}")


def post(settings: dict, event: str, session: str, more: dict) -> dict:  # type: ignore[type-arg]  # JSON
    hook = settings["hooks"][event][0]["hooks"][0]
    body = {"session_id": session, "cwd": str(Path.cwd()), "hook_event_name": event, **more}
    headers = {"Content-Type": "application/json", **hook["headers"]}
    request = urllib.request.Request(hook["url"], json.dumps(body).encode(), headers)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
        return dict(json.loads(answer.read() or b"{}"))


def result(stop: str, text: str) -> int:
    found = {"type": "result", "subtype": "success", "stop_reason": stop, "result": text}
    sys.stdout.write(json.dumps({**found, "num_turns": 1, "total_cost_usd": 0.01}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
