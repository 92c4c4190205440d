"""`handfast hook install`, `status` and `uninstall` through the real command."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Command, serving
from tests.repositories import git, new_repository


@pytest.fixture(scope="module")
def handfast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    folder = tmp_path_factory.mktemp("hook")
    handfast = Command(folder / "data", folder, {})
    with serving(handfast):
        yield handfast


def test_a_hook_is_installed_seen_and_taken_out(handfast: Command) -> None:
    repo = new_repository(handfast.folder / "repo")
    settings = repo / ".claude" / "settings.local.json"
    settings.parent.mkdir()
    settings.write_text('{"model": "mine"}\n')
    words = ("claude-code", "--project", "--folder", repo)
    done = handfast("hook", "install", *words, "--json")
    assert (done.code, done.json["changed"], done.json["mode"]) == (0, True, "observe")
    assert json.loads(settings.read_text())["model"] == "mine"
    assert settings.stat().st_mode & 0o077 == 0
    assert git(repo, "status", "--porcelain") == ""
    again = handfast("hook", "install", *words)
    assert (again.code, "stood already" in again.out) == (0, True)
    seen = handfast("hook", "status", "--folder", repo, "--json").json
    assert (seen["covered"], seen["why_not"], seen["mode"]) == (True, [], "observe")
    assert "is seen by the hook" in handfast("hook", "status", "--folder", repo).out
    gone = handfast("hook", "uninstall", *words, "--json")
    assert (gone.code, gone.json["token_revoked"]) == (0, True)
    assert json.loads(settings.read_text()) == {"model": "mine"}
    assert "is NOT covered" in handfast("hook", "status", "--folder", repo).out


def test_settings_that_cannot_be_read_are_left_alone(handfast: Command) -> None:
    repo = new_repository(handfast.folder / "broken")
    settings = repo / ".claude" / "settings.local.json"
    settings.parent.mkdir()
    settings.write_text("{not json")
    done = handfast("hook", "install", "claude-code", "--project", "--folder", repo, "--json")
    assert done.code == 2
    assert done.problem["code"] == "settings_unreadable"
    assert settings.read_text() == "{not json"


def test_where_to_install_must_be_said(handfast: Command) -> None:
    assert handfast("hook", "install", "claude-code").code == 2
    assert handfast("hook", "install", "claude-code", "--project", "--user").code == 2
    assert handfast("hook", "install", "other-code", "--user").code == 2


def test_without_a_server_nothing_is_installed(tmp_path: Path) -> None:
    repo = new_repository(tmp_path / "repo")
    alone = Command(tmp_path / "data", tmp_path, {})
    done = alone("hook", "install", "claude-code", "--project", "--folder", repo, "--json")
    assert (done.code, done.problem["code"]) == (5, "no_server")
    assert not (repo / ".claude").exists()
    seen = alone("hook", "status", "--folder", repo, "--json")
    assert (seen.code, seen.json["covered"]) == (0, False)
    assert not (tmp_path / "data").exists()


def test_the_doctor_names_what_is_wrong_and_the_remedy(handfast: Command, tmp_path: Path) -> None:
    repo = new_repository(handfast.folder / "patient")
    words = ("doctor", "--folder", repo, "--no-proof")
    sick = handfast(*words, "--json")
    assert (sick.code, sick.json["status"]) == (1, "fail")
    failed = {c["name"]: c["remedy"] for c in sick.json["checks"] if c["status"] == "fail"}
    assert "handfast hook install" in failed["settings"]
    assert handfast("hook", "install", "claude-code", "--project", "--folder", repo).code == 0
    well = handfast(*words)
    assert well.code == 0, well.out
    assert "fail" not in [line.split(" ")[0] for line in well.out.splitlines()]
    alone = Command(tmp_path / "data", tmp_path, {})("doctor", "--no-proof")
    assert alone.code == 1
    assert "handfast serve" in alone.out
    assert handfast("doctor", "--binary", "no-such-program").code == 2
