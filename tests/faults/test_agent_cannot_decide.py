"""An agent's shell cannot decide: whatever it tries is refused or denied, and is in the audit trail."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.checker import Json, read_log
from tests.faults.installation import PIN, Installation, decision

pytestmark = [pytest.mark.faults, pytest.mark.parametrize("kind", ["sqlite"], indirect=True)]


@pytest.fixture
def place(install: Callable[..., Installation]) -> Iterator[Installation]:
    made = install()
    made.start()
    yield made
    assert made.events("handoff.decided") == []
    assert made.events("grant.minted") == []


@pytest.fixture
def waiting(place: Installation) -> Json:
    """A call that waits, with the agent that asked gone."""
    agent = place.agent("asked")
    found = place.until(place.waiting, "the case")[0]
    agent.process.kill()
    return place.handoff(found["handoff_id"])


def refusals(place: Installation) -> list[tuple[str, str]]:
    """(what, why) of the refusals on record."""
    return [(e["what"], e["why"]) for e in place.events("access.refused")]


def test_over_the_api(place: Installation, waiting: Json) -> None:
    path = f"/v1/handoffs/{waiting['handoff_id']}/decisions"
    answer = place.call("POST", path, decision(waiting, "approve"), token="agent")
    assert answer.status_code == 403
    alone = place.call("POST", path, decision(waiting, "approve") | {"pin": ""})
    assert alone.status_code == 403
    assert [what for what, _ in refusals(place)] == ["decide_handoff"] * 2


def test_with_the_command_line(place: Installation, waiting: Json) -> None:
    words = ("handoff", "approve", waiting["handoff_id"], "--json")
    agents = place.command(HANDFAST_TOKEN=place.names["agent"])
    assert agents(*words, stdin=f"ana\n{PIN}\n").code == 4
    assert place.command()(*words, stdin=f"ana\n{PIN}\n").problem["code"] == "no_terminal"
    assert [what for what, _ in refusals(place)] == ["decide_handoff"] * 2


# What a shell might do instead, with the folders of the installation.
ATTEMPTS = [
    "handfast handoff approve {handoff}",
    "HANDFAST_TOKEN=hfo_x handfast handoff approve {handoff}",
    "{python} -m handfast handoff approve {handoff}",
    "cat {home}/operator.token",
    "cp {home}/operator.token token",
    "sqlite3 {home}/handfast.db 'delete from event'",
    "rm -rf {home}",
    "echo x > {repo}/.claude/settings.local.json",
    "rm {repo}/.claude/settings.local.json",
    "handfast hook pause 60m",
    "curl -s -X POST {url}/v1/handoffs/{handoff}/decisions -d @body",
]


def test_through_the_hook(place: Installation, waiting: Json) -> None:
    (place.repo / ".claude").mkdir()
    before = len(refusals(place))
    size = len(read_log(place.database).rows)
    for number, attempt in enumerate(ATTEMPTS):
        command = attempt.format(
            handoff=waiting["handoff_id"],
            home=place.home,
            repo=place.repo,
            url=place.url,
            python="python3",
        )
        said = bash(place, number, command)
        assert said["permissionDecision"] == "deny", command
        assert "Nobody has decided yet" not in said["permissionDecisionReason"], command
    assert refusals(place)[before:] == [("agent call of Bash", "control-plane")] * len(ATTEMPTS)
    assert len(read_log(place.database).rows) > size
    for tool, path in (
        ("Write", place.repo / ".claude" / "settings.local.json"),
        ("Read", place.home / "operator.token"),
    ):
        said = asked(place, tool, {"file_path": str(path), "content": "{}"}, f"toolu_{tool}")
        assert said["permissionDecision"] == "deny", path
    assert [what for what, _ in refusals(place)[-2:]] == [
        "agent call of Write",
        "agent call of Read",
    ]


def bash(place: Installation, number: int, command: str) -> Json:
    return asked(place, "Bash", {"command": command}, f"toolu_{number}")


def asked(place: Installation, tool: str, tool_input: Json, key: str) -> Json:
    body = {
        "session_id": "tries",
        "cwd": str(place.repo),
        "transcript_path": "",
        "permission_mode": "bypassPermissions",
        "hook_event_name": "PreToolUse",
        "tool_name": tool,
        "tool_use_id": key,
        "tool_input": tool_input,
    }
    said: Json = place.ask(body).json()["hookSpecificOutput"]
    return said


def test_the_data_folder_is_for_its_owner_only(place: Installation) -> None:
    for name in ("operator.token", "runner.token", "keys/signing.key", "keys/data.key"):
        assert (place.home / name).stat().st_mode & 0o077 == 0, name
    assert Path(place.home).stat().st_mode & 0o077 == 0
