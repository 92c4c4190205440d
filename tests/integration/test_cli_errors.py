"""Bad input at the command line: each a message with the next step, its own exit code, nothing half-written."""

import json
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import Command
from tests.repositories import commit, git, new_repository, state_of

BRIEF = "intent: Make it better.\n"


@pytest.fixture
def handfast(tmp_path: Path) -> Command:
    return Command(tmp_path / "data", tmp_path, {})


BRIEFS = {
    "not yaml": ("intent: [a, b\nrisk: low\n", "line 2, column 5", "template"),
    "tabs": ("intent: x\n\tacceptance: y\n", "line 2, column 1", "template"),
    "a name twice": ("intent: x\nrisk: low\nrisk: high\n", "line 3, column 1: `risk`", "template"),
    "unknown field": ("intent: x\naceptance: [y]\n", "`aceptance` is not a field", "acceptance"),
    "unknown field inside": ("intent: x\nscope: {path: [a]}\n", "`scope.path`", "paths"),
    "no intent": ("acceptance: [x]\n", "`intent` is missing", "one sentence"),
    "empty": ("", "`brief` is not a mapping", ""),
    "a list": ("- intent\n", "`brief` is not a mapping", ""),
    "bad risk": ("intent: x\nrisk: huge\n", "`risk` is 'huge'", "low, medium, high, critical"),
    "bad amount": ("intent: x\nbudget: {cost_usd: five}\n", "`budget.cost_usd`", "5.00"),
    "not a list": ("intent: x\nnon_goals: none\n", "`non_goals` is not a list", "- "),
    "program": ("intent: !!python/object/apply:os.system [id]\n", "line 1, column 9", "template"),
}


@pytest.mark.parametrize(("text", "says", "hint"), BRIEFS.values(), ids=BRIEFS.keys())
def test_a_broken_brief_names_the_place_or_the_field(
    handfast: Command, tmp_path: Path, text: str, says: str, hint: str
) -> None:
    (tmp_path / "brief.yaml").write_text(text)
    done = handfast("brief", "check", "brief.yaml", "--json")
    assert done.code == 2
    assert done.out == ""
    assert done.problem["detail"].startswith("`brief.yaml`: ")
    assert says in done.problem["detail"]
    assert hint in done.problem["hint"]


def test_a_brief_that_cannot_be_read(handfast: Command, tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"intent: \xff\xfe")
    (tmp_path / "huge.yaml").write_text("intent: |\n" + "  x\n" * 100_000)
    for name, says in [
        ("absent.yaml", "No such file"),
        (".", "directory"),
        ("binary.yaml", "UTF-8"),
        ("huge.yaml", "bytes"),
    ]:
        done = handfast("brief", "check", name)
        assert done.code == 2
        assert says in done.err


def test_the_template_is_a_brief(handfast: Command, tmp_path: Path) -> None:
    assert handfast("brief", "new", "brief.yaml").code == 0
    assert handfast("brief", "new", "brief.yaml").code == 2
    checked = handfast("brief", "check", "brief.yaml", "--json")
    assert checked.code == 0
    assert checked.json["brief"]["scope"]["paths"] == ["src/**", "tests/**"]
    assert "intent" in handfast("brief", "check", "brief.yaml").out


def missing(_: Path) -> None:
    """No folder at all."""


def a_file(path: Path) -> None:
    path.write_text("x")


def no_git(path: Path) -> None:
    path.mkdir()


def no_commits(path: Path) -> None:
    path.mkdir()
    git(path, "init", "-q")


def dirty(path: Path) -> None:
    new_repository(path)
    (path / "README").write_text("changed\n")


def detached(path: Path) -> None:
    new_repository(path)
    git(path, "checkout", "-q", "--detach")


REPOSITORIES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "missing": (missing, "repository_missing", "does not exist"),
    "a file": (a_file, "repository_missing", "is not a folder"),
    "not git": (no_git, "repository_not_git", "is not a git repository"),
    "no commits": (no_commits, "repository_empty", "has no commits"),
    "dirty": (dirty, "repository_dirty", "not committed"),
    "detached": (detached, "target_branch_unknown", "no branch is checked out"),
}


@pytest.mark.parametrize(("make", "code", "says"), REPOSITORIES.values(), ids=REPOSITORIES.keys())
def test_a_run_on_an_unfit_repository_changes_nothing(
    handfast: Command, tmp_path: Path, make: Callable[[Path], None], code: str, says: str
) -> None:
    (tmp_path / "brief.yaml").write_text(BRIEF)
    repo = tmp_path / "repo"
    make(repo)
    done = handfast("run", "--repo", repo, "--brief", "brief.yaml", "--json", "--", "claude")
    assert done.code == 2
    assert done.problem["code"] == code
    assert says in done.problem["detail"]
    assert done.problem["hint"]
    assert not handfast.home.exists()


def test_a_run_without_a_server_says_how_to_start_one(handfast: Command, tmp_path: Path) -> None:
    (tmp_path / "brief.yaml").write_text(BRIEF)
    repo = new_repository(tmp_path / "repo")
    before = state_of(repo)
    done = handfast("run", "--repo", repo, "--brief", "brief.yaml", "--json", "--", "claude")
    assert done.code == 5
    assert done.problem["code"] == "no_server"
    assert "handfast serve" in done.problem["hint"]
    assert state_of(repo) == before
    assert not handfast.home.exists()


def test_a_run_needs_its_parts(handfast: Command, tmp_path: Path) -> None:
    commit(new_repository(tmp_path / "repo"), {"a": "b"})
    assert "agent's command is missing" in handfast("run", "--repo", "repo").err
    assert "`--brief` is missing" in handfast("run", "--repo", "repo", "--", "claude").err
    assert handfast("run", "--mode", "loose", "--", "claude").code == 2


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.is_file() and not p.name.endswith(("-shm", "-wal"))
    }


def change(handfast: Command, statement: str) -> None:
    """Behind the product's back. Exactly one row."""
    c = sqlite3.connect(handfast.home / "handfast.db", isolation_level=None)
    assert c.execute(statement).rowcount == 1
    c.close()


def test_a_newer_database_is_left_alone(handfast: Command) -> None:
    assert handfast("agent", "add", "one").code == 0
    change(handfast, "UPDATE alembic_version SET version_num = '9999'")
    before = files(handfast.home)
    done = handfast("agent", "add", "two", "--json")
    assert done.code == 5
    assert done.problem["code"] == "schema_version"
    assert "newer" in done.problem["hint"]
    assert files(handfast.home) == before


@pytest.mark.parametrize(
    "command", [("agent", "list"), ("serve", "--port", "0"), ("audit", "head")]
)
def test_another_installations_key_is_refused(
    handfast: Command, tmp_path: Path, command: tuple[str, ...]
) -> None:
    assert handfast("agent", "add", "one").code == 0
    other = Command(tmp_path / "other", tmp_path, {})
    assert other("agent", "add", "one").code == 0
    for name in ("signing.key", "signing.pub"):
        (handfast.home / "keys" / name).write_bytes((other.home / "keys" / name).read_bytes())
    done = handfast(*command, "--json")
    assert done.code == 6
    assert done.problem["code"] == "integrity"
    assert "signing key is not the one" in done.problem["detail"]
    assert not (handfast.home / "server.json").exists()


def test_a_damaged_state_is_found_by_replay(handfast: Command) -> None:
    assert handfast("agent", "add", "one").code == 0
    change(
        handfast,
        "UPDATE state SET doc = CAST(replace(CAST(doc AS TEXT), 'one', 'two') AS BLOB)"
        " WHERE kind = 'agent'",
    )
    done = handfast("run", "replay", "--all", "--verify", "--json")
    assert done.code == 6
    wrong = [item for item in done.json["items"] if not item["same"]]
    assert [item["stream"].partition("/")[0] for item in wrong] == ["agent"]


@pytest.mark.parametrize("option", ["--port", "--runner-port"])
def test_a_taken_port_is_named(handfast: Command, option: str) -> None:
    other = "--runner-port" if option == "--port" else "--port"
    free = "0" if other == "--runner-port" else free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = handfast("serve", option, port, other, free, "--json")
    assert done.code == 2
    assert done.out == ""
    assert done.problem["code"] == "port_taken"
    assert str(port) in done.problem["detail"]
    assert "--port" in done.problem["hint"] or "another port" in done.problem["hint"]
    assert not (handfast.home / "server.json").exists()


def free_port() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def test_other_machines_are_let_in_only_on_purpose(handfast: Command) -> None:
    done = handfast("serve", "--host", "0.0.0.0", "--port", "0", "--runner-port", "0", "--json")
    assert done.code == 2
    assert "--allow-remote" in done.problem["hint"]


def test_a_data_folder_that_cannot_be_made(handfast: Command, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file is in the way")
    done = handfast("agent", "add", "one", "--json")
    assert done.code == 5
    assert "HANDFAST_HOME" in done.problem["hint"]
    assert (tmp_path / "data").read_text() == "a file is in the way"


def test_a_database_that_cannot_be_opened(handfast: Command) -> None:
    (handfast.home / "handfast.db").mkdir(parents=True)
    done = handfast("agent", "add", "two", "--json")
    assert done.code == 5
    assert done.problem["hint"]


def test_looking_makes_no_installation(handfast: Command) -> None:
    for words in (("inbox",), ("run", "list"), ("task", "list"), ("audit", "head")):
        done = handfast(*words, "--json")
        assert done.code == 2
        assert "handfast serve" in done.problem["hint"]
    assert not handfast.home.exists()


def test_a_server_that_died_is_not_asked(handfast: Command) -> None:
    assert handfast("agent", "add", "one").code == 0
    stale = {"url": "http://127.0.0.1:9", "pid": 2**22 + 1, "started_at": "2026-01-01T00:00:00Z"}
    (handfast.home / "server.json").write_text(json.dumps(stale))
    done = handfast("agent", "list", "--json")
    assert done.code == 0
    assert [a["name"] for a in done.json["items"]] == ["one"]


def test_the_life_of_a_token_without_a_server(handfast: Command) -> None:
    assert handfast("agent", "add", "claude", "--json").json["agent_id"].startswith("ag_")
    again = handfast("agent", "add", "claude")
    assert (again.code, "already" in again.err) == (3, True)
    issued = handfast(
        "agent", "token", "claude", "--scope", "read", "--expires", "15m", "--json"
    ).json
    assert issued["token"].startswith("hfa_")
    stored = b"".join(files(handfast.home).values())
    assert issued["token"].rpartition("_")[2].encode() not in stored
    assert handfast("agent", "revoke", issued["token_id"]).code == 0
    assert handfast("agent", "suspend", "claude", "--reason", "a test").code == 0
    assert handfast("agent", "token", "claude").code == 3
    assert handfast("agent", "reinstate", "claude", "--reason", "over").code == 0
    assert handfast("agent", "token", "nobody").code == 3
    assert handfast("agent", "token", "claude", "--expires", "soon").code == 2
    decider = handfast("agent", "token", "claude", "--scope", "decide")
    assert (decider.code, "an agent cannot hold" in decider.err) == (3, True)
