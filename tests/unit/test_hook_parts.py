"""The hook's pure parts: what is read of a call, what came of it, what is answered, what is kept."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from handfast.client import Client
from handfast.client.request import Request
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.errors import UsageError
from handfast.runner import hook_settings as settings
from handfast.runner.hooks import answers
from handfast.runner.hooks.payload import Event, read_event, session_root, slug
from handfast.runner.hooks.results import HEAD_CHARS, TAIL_CHARS, bounded, outcome_of
from handfast.runner.hooks.rules import Rules
from handfast.runner.hooks.shown import shown_change
from handfast.runner.hooks.spool import SEGMENT_BYTES, Spool


def event(name: str = "PostToolUse", tool: str = "Bash", **fields: Any) -> Event:
    return of({"hook_event_name": name, "tool_name": tool, **fields})


def of(fields: dict[str, Any]) -> Event:
    body = {
        "session_id": "s",
        "cwd": "/repo",
        "hook_event_name": "PostToolUse",
        "tool_name": "Bash",
        "tool_use_id": "t1",
        "tool_input": {},
        **fields,
    }
    return read_event(json.dumps(body).encode())


# -- payload


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hook_event_name", ""),
        ("session_id", None),
        ("session_id", 7),
        ("session_id", "a\nb"),
        ("session_id", "x" * 1000),
        ("cwd", "relative"),
        ("tool_name", ""),
        ("tool_use_id", None),
        ("tool_input", "ls"),
        ("permission_mode", []),
    ],
)
def test_a_field_that_is_not_as_expected_is_refused(field: str, value: object) -> None:
    with pytest.raises(UsageError) as refused:
        of({field: value})
    assert refused.value.details["field"] == field


def test_the_root_of_a_session_is_found_from_its_transcript() -> None:
    transcript = f"/home/ana/.claude/projects/{slug('/home/ana/my.repo')}/1.jsonl"
    assert session_root(Path("/home/ana/my.repo/src/deep"), transcript) == Path("/home/ana/my.repo")
    assert session_root(Path("/tmp/elsewhere"), transcript) == Path("/tmp/elsewhere")
    assert session_root(Path("/tmp"), "") == Path("/tmp")


# -- results


def test_exit_codes_are_said_only_where_they_are_known() -> None:
    good = outcome_of(event(tool_response={"stdout": "a", "stderr": "b", "interrupted": False}))
    assert (good.exit_code, good.failed, good.output) == (0, False, "a\nb")
    nothing = {"stdout": "", "returnCodeInterpretation": "No matches found"}
    assert outcome_of(event(tool_response=nothing)).exit_code is None
    cut = outcome_of(event(tool_response={"stdout": "x", "interrupted": True}))
    assert (cut.exit_code, cut.failed) == (None, True)
    bad = outcome_of(event("PostToolUseFailure", error="Exit code 143\nCommand timed out"))
    assert (bad.exit_code, bad.failed, bad.output) == (143, True, "Command timed out")
    other = outcome_of(event("PostToolUseFailure", "Edit", error="Exit code 1 is in the text"))
    assert other.exit_code is None


def test_a_command_in_the_background_has_no_outcome_yet() -> None:
    assert not outcome_of(event(tool_response={"backgroundTaskId": "b1"})).known


def test_output_is_bounded_and_redacted() -> None:
    secret = "AKIA" + "ABCDEFGHIJKLMNOP"
    assert secret not in bounded(f"key {secret}")
    text = "h" * HEAD_CHARS + "m" * 50_000 + "t" * TAIL_CHARS
    shown = bounded(text)
    assert len(shown) < HEAD_CHARS + TAIL_CHARS + 100
    assert shown.startswith("hh")
    assert shown.endswith("tt")
    assert "50,000 characters left out" in shown
    huge = bounded("x" * 5_000_000)
    assert len(huge) < HEAD_CHARS + TAIL_CHARS + 100


# -- answers


def test_a_reason_cannot_carry_hidden_characters() -> None:
    body = answers.refused("ok\x1b[2J\u202eevil", "ho_1").body()
    reason = body["hookSpecificOutput"]["permissionDecisionReason"]
    assert "\x1b" not in reason
    assert "\u202e" not in reason
    assert "ho_1" in reason


# -- changes as a person reads them


def test_a_new_file_is_shown_as_added(tmp_path: Path) -> None:
    shown = shown_change("Write", {"file_path": "new.txt", "content": "a\nb"}, tmp_path)
    assert shown is not None
    assert shown["kind"] == "diff"
    assert shown["text"].startswith("--- /dev/null\n+++ b/new.txt\n")
    assert "+b\n\\ No newline at end of file" in shown["text"]


def test_an_edit_that_does_not_apply_is_shown_as_its_parts(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("one\n")
    fields = {"file_path": "f", "old_string": "two", "new_string": "three"}
    shown = shown_change("Edit", fields, tmp_path)
    assert shown is not None
    assert shown["kind"] == "text"
    assert "two" in shown["text"]


def test_a_large_change_is_sent_whole(tmp_path: Path) -> None:
    """The server bounds what is shown and names the rest; a cut here would be no diff and name nothing."""
    content = "".join(f"line {n}\n" for n in range(40_000))
    shown = shown_change("Write", {"file_path": "new.txt", "content": content}, tmp_path)
    assert shown is not None
    assert (shown["kind"], shown["text"].count("\n+line ")) == ("diff", 40_000)


def test_a_change_too_large_to_be_sent_says_so_first(tmp_path: Path) -> None:
    content = "x" * 3_000_000
    shown = shown_change("Write", {"file_path": "new.txt", "content": content}, tmp_path)
    assert shown is not None
    assert shown["kind"] == "text"
    assert shown["text"].startswith("new.txt: only the first 100,000 of 3,000,0")


# -- the spool


def test_records_are_kept_in_order_over_restarts(tmp_path: Path) -> None:
    first = Spool(tmp_path, 10_000_000)
    for number in range(5):
        first.add({"n": number})
    entries = first.next(3)
    assert [each.fields["n"] for each in entries] == [0, 1, 2]
    first.done(entries[1])
    second = Spool(tmp_path, 10_000_000)
    second.add({"n": 5})
    seen: list[int] = []
    while entries := second.next(2):
        seen += [each.fields["n"] for each in entries]
        second.done(entries[-1])
    assert seen == [2, 3, 4, 5]
    assert second.empty
    assert second.status()["bytes"] == 0


def test_a_torn_last_line_is_left_behind(tmp_path: Path) -> None:
    Spool(tmp_path, 10_000).add({"n": 1})
    with next(tmp_path.glob("0*.jsonl")).open("ab") as file:
        file.write(b'{"n": 2, "torn')
    spool = Spool(tmp_path, 10_000)
    spool.add({"n": 3})
    seen: list[int] = []
    while entries := spool.next():
        seen += [each.fields["n"] for each in entries]
        spool.done(entries[-1])
    assert seen == [1, 3]


def test_the_spool_is_bounded_and_says_what_it_dropped(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1_000)
    kept = sum(spool.add({"kind": "read", "text": "x" * 90}) for _ in range(50))
    assert kept < 12
    assert spool.status()["dropped"] == 50 - kept
    assert spool.add({"kind": "result"}, needed=True)
    assert Spool(tmp_path, 1_000).status()["dropped"] == 50 - kept


def test_segments_are_given_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10 * SEGMENT_BYTES)
    for _ in range(12):
        spool.add({"text": "x" * (SEGMENT_BYTES // 4)})
    assert len(list(tmp_path.glob("0*.jsonl"))) > 1
    while entries := spool.next():
        spool.done(entries[-1])
    assert list(tmp_path.glob("0*.jsonl")) == []
    assert spool.add({"n": 1})
    assert [each.fields for each in spool.next()] == [{"n": 1}]


def test_a_refused_record_is_kept_apart(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    spool.add({"n": 1})
    spool.done(spool.next()[0], refused=True)
    assert spool.empty
    assert spool.status()["refused"] == 1
    assert json.loads((tmp_path / "refused.jsonl").read_text()) == {"n": 1}


# -- settings


def test_install_then_uninstall_gives_the_same_settings() -> None:
    rules = settings.guard_rules(Path("/data"))
    files: tuple[dict[str, Any], ...] = (
        {},
        {"hooks": {}},
        {"permissions": {"deny": ["Bash"]}, "hooks": {"PreToolUse": [{"hooks": []}]}},
        {"permissions": {}},
    )
    for before in files:
        made = settings.with_hook(before, "http://127.0.0.1:1/hooks/claude-code", "t", 600, rules)
        assert made == settings.with_hook(
            made, "http://127.0.0.1:1/hooks/claude-code", "t", 600, rules
        )
        gone = settings.without_hook(made, rules)
        gone.pop("disableAllHooks")
        assert gone in (before, {k: v for k, v in before.items() if v})


def test_a_run_of_ours_is_blocked_whole() -> None:
    made = settings.run_settings("http://127.0.0.1:1/hooks/claude-code", "hfs_x", 86_400)
    assert [group["matcher"] for group in made["hooks"]["PreToolUse"]] == ["*"]
    assert settings.our_hook(made) == settings.OurHook(
        "http://127.0.0.1:1/hooks/claude-code", "hfs_x", blocks=True, covers_all=True
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"hooks": []},
        {"hooks": {"PreToolUse": [{"hooks": [{"type": "http", "timeout": "600"}]}]}},
        {"hooks": {"PreToolUse": [{"hooks": [{"type": "http", "timeout": 0}]}]}},
        {"permissions": {"defaultMode": "yolo"}},
        {"cleanupPeriodDays": "x"},
        {"disableAllHooks": "no"},
        {"env": []},
    ],
)
def test_what_makes_the_whole_file_void_is_named(wrong: dict[str, Any]) -> None:
    assert len(settings.invalid_parts(wrong)) == 1


def test_a_list_of_allowed_addresses_may_leave_ours_out() -> None:
    url = "http://127.0.0.1:8484/hooks/claude-code"
    assert settings.blocks_url({"allowedHttpHookUrls": []}, url)
    assert settings.blocks_url({"allowedHttpHookUrls": ["https://x.example/*"]}, url)
    assert not settings.blocks_url({"allowedHttpHookUrls": ["http://127.0.0.1:8484/*"]}, url)
    assert not settings.blocks_url({}, url)


# -- policies known here


class _Slow(Client):
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked = 0

    async def asend(self, request: Request[Any]) -> Any:
        self.asked += 1
        await self.go.wait()
        gate = "version: 1\ngates:\n  - {id: keys, when: 'call.command == \"cat key\"', deny: no}\n"
        return {"digest": "sha256:1", "books": [{"text": gate}]}


def test_reads_that_come_at_once_all_wait_until_the_policies_are_first_known() -> None:
    """An agent's first reads come in parallel: none may pass because another one is still asking."""

    async def both() -> tuple[list[bool], int]:
        client = _Slow()
        rules = Rules(client, lambda: datetime(2026, 1, 1, tzinfo=UTC))
        call = Call("Bash", {"command": "cat key"})
        reads = [
            asyncio.ensure_future(rules.concern("/repo", call, Facts(Effect.READ, "reads", ())))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        client.go.set()
        return await asyncio.gather(*reads), client.asked

    assert asyncio.run(both()) == ([True, True, True], 1)
