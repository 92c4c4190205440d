"""Installing the hook: only our part of a settings file changes, and nothing else is lost."""

import json
import re
import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from handfast.client import Client
from handfast.core.domain.errors import UsageError
from handfast.engine.access import PrincipalKind
from handfast.runner import hook_status, state
from handfast.runner.doctor import examine, report
from handfast.runner.install import Installed, install, uninstall
from tests.hook_bench import HookBench, hook_bench

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HookBench]:
    monkeypatch.setenv("HOME", str(tmp_path / "account"))
    for name in ("CLAUDE_CONFIG_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(hook_status, "MANAGED", ())
    with hook_bench(tmp_path) as made:
        made.engine.access.ensure_file_token(made.home, PrincipalKind.OPERATOR)
        server_file = {"url": made.server.url, "pid": 1, "started_at": ""}
        (made.home / "server.json").write_text(json.dumps(server_file))
        yield made


@pytest.fixture
def client(bench: HookBench) -> Iterator[Client]:
    with Client.from_data_folder(bench.home) as made:
        yield made


def put(bench: HookBench, client: Client, scope: str = "project") -> Installed:
    return install(client, bench.home, bench.runner.url, scope=scope, project=bench.repo)


def local(bench: HookBench) -> Path:
    return bench.repo / ".claude" / "settings.local.json"


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def write(path: Path, settings: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(settings if isinstance(settings, str) else json.dumps(settings))


def test_the_hook_blocks_on_failure_and_holds_against_weaker_files(
    bench: HookBench, client: Client
) -> None:
    done = put(bench, client)
    settings = read(local(bench))
    gate = settings["hooks"]["PreToolUse"][0]
    for tool in ("Bash", "Write", "mcp__x__y", "Reader", "NewTool"):
        assert re.match(gate["matcher"], tool)
    for tool in ("Read", "Grep"):
        assert not re.match(gate["matcher"], tool)
    reads = settings["hooks"]["PreToolUse"][1]
    assert "onFailure" not in reads["hooks"][0]
    assert f"Read(/{bench.home}/*.token)" in settings["permissions"]["deny"]
    assert gate["hooks"][0]["onFailure"] == "block"
    assert gate["hooks"][0]["url"] == bench.runner.hook_url
    assert gate["hooks"][0]["timeout"] == 600
    assert settings["disableAllHooks"] is False
    assert "env" not in settings
    assert "onFailure" not in settings["hooks"]["SessionEnd"][0]["hooks"][0]
    assert stat.S_IMODE(local(bench).stat().st_mode) == 0o600
    assert done.changed
    assert done.mode == "enforce"
    token = gate["hooks"][0]["headers"]["Authorization"].removeprefix("Bearer ")
    assert bench.engine.access.principal(token).kind is PrincipalKind.AGENT


def test_other_settings_stay_and_uninstall_leaves_what_was_there(
    bench: HookBench, client: Client
) -> None:
    before = {
        "permissions": {"allow": ["Bash(ls:*)"]},
        "hooks": {
            "PreToolUse": [{"matcher": "Bash", "hooks": [{"type": "command", "command": "x"}]}]
        },
        "unknown": {"ü": [1, 2.5]},
    }
    write(local(bench), before)
    done = put(bench, client)
    settings = read(local(bench))
    assert settings["permissions"]["allow"] == ["Bash(ls:*)"]
    assert settings["hooks"]["PreToolUse"][0]["hooks"][0]["command"] == "x"
    assert any("other hooks" in note for note in done.notes)
    kept = list((bench.home / "backups").iterdir())
    assert [read(path) for path in kept] == [before]

    gone = uninstall(client, bench.home, scope="project", project=bench.repo)
    assert read(local(bench)) == before
    assert gone["token_revoked"]
    assert not uninstall(client, bench.home, scope="project", project=bench.repo)["changed"]


def test_installing_again_changes_nothing(bench: HookBench, client: Client) -> None:
    put(bench, client)
    first = local(bench).read_text()
    again = put(bench, client)
    assert not again.changed
    assert local(bench).read_text() == first
    assert len(state.installed_hooks(bench.home)) == 1


def test_a_revoked_token_is_replaced(bench: HookBench, client: Client) -> None:
    put(bench, client)
    old = state.installed_hooks(bench.home)[0]
    client.send(_revoke(old.token_id))
    assert put(bench, client).changed
    assert state.installed_hooks(bench.home)[0].token_id != old.token_id


def _revoke(token_id: str) -> Any:
    from handfast.client import calls

    return calls.revoke_token(token_id)


def test_a_file_of_ours_alone_is_removed(bench: HookBench, client: Client) -> None:
    put(bench, client)
    uninstall(None, bench.home, scope="project", project=bench.repo)
    assert not local(bench).exists()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{", "settings_unreadable"),
        ("[]", "settings_unreadable"),
        ({"disableAllHooks": True}, "hooks_disabled"),
        ({"hooks": []}, "settings_invalid"),
        ({"hooks": {"PreToolUse": {}}}, "settings_invalid"),
    ],
)
def test_a_file_that_cannot_take_the_hook_is_left_alone(
    bench: HookBench, client: Client, content: object, code: str
) -> None:
    write(local(bench), content)
    before = local(bench).read_text()
    with pytest.raises(UsageError) as refused:
        put(bench, client)
    assert refused.value.code == code
    assert local(bench).read_text() == before
    assert state.installed_hooks(bench.home) == []


def test_the_file_with_the_token_stays_out_of_commits(bench: HookBench, client: Client) -> None:
    put(bench, client)
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=bench.repo, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""


def test_a_linked_settings_file_stays_a_link(bench: HookBench, client: Client) -> None:
    target = bench.root / "dotfiles.json"
    target.write_text("{}")
    user = bench.root / "account" / ".claude" / "settings.json"
    user.parent.mkdir(parents=True)
    user.symlink_to(target)
    put(bench, client, "user")
    assert user.is_symlink()
    assert "hooks" in read(target)


def test_status_says_what_holds_and_what_does_not(bench: HookBench, client: Client) -> None:
    def why() -> list[str]:
        return list(hook_status.status(bench.home, bench.repo, client)["why_not"])

    assert why() == ["no settings file has the hook"]
    put(bench, client)
    assert why() == []
    project = bench.repo / ".claude" / "settings.json"
    write(project, {"disableAllHooks": True})
    assert why() == []  # ours is nearer
    settings = read(local(bench))
    write(local(bench), {**settings, "disableAllHooks": True})
    assert "disableAllHooks" in why()[0]
    write(local(bench), {**settings, "cleanupPeriodDays": "x"})
    assert "cleanupPeriodDays" in why()[0]
    settings["hooks"]["PreToolUse"][0]["hooks"][0]["timeout"] = "600"
    write(local(bench), settings)
    assert "timeout" in why()[0]
    bench.runner.stop()
    assert any("runner does not answer" in each for each in why())


def test_a_hook_in_the_users_settings_can_be_switched_off_by_a_project(
    bench: HookBench, client: Client
) -> None:
    put(bench, client, "user")
    write(bench.repo / ".claude" / "settings.json", {"disableAllHooks": True})
    found = hook_status.status(bench.home, bench.repo, client)
    assert not found["covered"]
    assert ".claude/settings.json" in found["why_not"][0]


def test_doctor_names_what_is_wrong_and_what_to_do(bench: HookBench, client: Client) -> None:
    found = {each.name: each for each in examine(bench.home, bench.repo, NOW)}
    assert found["settings"].status == "fail"
    put(bench, client)
    checks = examine(bench.home, bench.repo, NOW, prove=False)
    assert [each.detail for each in checks if each.status == "fail"] == []
    (bench.home / "operator.token").chmod(0o644)
    folder = examine(bench.home, bench.repo, NOW)[0]
    assert (folder.name, folder.status) == ("data folder", "fail")
    bench.server.stop()
    later = {each.name: each for each in examine(bench.home, bench.repo, NOW)}
    assert later["server"].status == "fail"
    assert report(list(later.values()))["status"] == "fail"
    assert all(each.remedy for each in later.values() if each.status == "fail")
