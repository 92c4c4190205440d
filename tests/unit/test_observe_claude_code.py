"""Claude Code's tools become calls and facts; what is not understood is gated."""

from pathlib import Path

import pytest

from handfast.core.domain.action import Call, Effect, Facts, Verdict
from handfast.core.policy.builtin import judge
from handfast.observe.claude_code import read_call
from handfast.observe.scope import Scope
from tests.unit.observed_ground import build


@pytest.fixture(scope="module")
def scope(tmp_path_factory: pytest.TempPathFactory) -> Scope:
    return build(tmp_path_factory.mktemp("ground"))


def read(tool: str, scope: Scope, **arguments: object) -> tuple[Call, Facts]:
    up = str(Path(scope.worktree).parent)
    filled = {k: v.replace("UP", up) if isinstance(v, str) else v for k, v in arguments.items()}
    return read_call(tool, filled, scope)


TOOLS: list[tuple[str, dict[str, object], Effect, Verdict, str]] = [
    ("Bash", {"command": "ls"}, Effect.READ, Verdict.ALLOW, ""),
    ("Bash", {"command": "git push"}, Effect.NETWORK, Verdict.GATE, "git.push"),
    (
        "Bash",
        {"command": "ls", "dangerouslyDisableSandbox": True},
        Effect.READ,
        Verdict.GATE,
        "priv.sandbox",
    ),
    ("Bash", {"command": 7}, Effect.EXEC, Verdict.GATE, ""),
    ("Bash", {}, Effect.EXEC, Verdict.GATE, ""),
    ("Monitor", {"command": "rm -rf src"}, Effect.WRITE, Verdict.GATE, "fs.delete-tracked"),
    ("PowerShell", {"command": "ls"}, Effect.EXEC, Verdict.GATE, ""),
    ("Read", {"file_path": "UP/wt/README.md"}, Effect.READ, Verdict.ALLOW, ""),
    ("Read", {"file_path": "UP/home/.ssh/id_rsa"}, Effect.READ, Verdict.GATE, "secret.access"),
    ("Read", {"file_path": "UP/data/operator.token"}, Effect.READ, Verdict.DENY, "control-plane"),
    ("Read", {}, Effect.EXEC, Verdict.GATE, ""),
    ("Glob", {"pattern": "**/*.py"}, Effect.READ, Verdict.ALLOW, ""),
    ("Grep", {"pattern": "x", "path": "UP/wt/src"}, Effect.READ, Verdict.ALLOW, ""),
    ("Grep", {"pattern": "x", "path": "UP/wt/.env"}, Effect.READ, Verdict.GATE, "secret.access"),
    ("LS", {"path": "UP/wt"}, Effect.READ, Verdict.ALLOW, ""),
    ("Write", {"file_path": "UP/wt/new.py", "content": "x"}, Effect.WRITE, Verdict.ALLOW, ""),
    (
        "Write",
        {"file_path": "UP/scratch/x", "content": "x"},
        Effect.WRITE,
        Verdict.ALLOW,
        "fs.write-scratch",
    ),
    (
        "Write",
        {"file_path": "UP/other/x", "content": "x"},
        Effect.WRITE,
        Verdict.GATE,
        "fs.write-outside",
    ),
    (
        "Write",
        {"file_path": "UP/wt/out/x", "content": "x"},
        Effect.WRITE,
        Verdict.GATE,
        "fs.write-outside",
    ),
    (
        "Write",
        {"file_path": "UP/wt/../other/x", "content": "x"},
        Effect.WRITE,
        Verdict.GATE,
        "fs.write-outside",
    ),
    (
        "Write",
        {"file_path": "UP/wt/.git/hooks/pre-push", "content": "x"},
        Effect.WRITE,
        Verdict.GATE,
        "git.hooks",
    ),
    (
        "Write",
        {"file_path": "UP/wt/.claude/settings.json", "content": "{}"},
        Effect.WRITE,
        Verdict.DENY,
        "control-plane",
    ),
    (
        "Write",
        {"file_path": "UP/home/.claude/settings.json", "content": "{}"},
        Effect.WRITE,
        Verdict.DENY,
        "control-plane",
    ),
    (
        "Write",
        {"file_path": "UP/home/.claude/plans/p.md", "content": "x"},
        Effect.WRITE,
        Verdict.ALLOW,
        "fs.write-scratch",
    ),
    (
        "Write",
        {"file_path": "UP/data/keys/signing.key", "content": "x"},
        Effect.WRITE,
        Verdict.DENY,
        "control-plane",
    ),
    ("Write", {"file_path": "UP/wt/a\x00b", "content": "x"}, Effect.EXEC, Verdict.GATE, ""),
    ("Write", {"file_path": "UP/wt/a"}, Effect.EXEC, Verdict.GATE, ""),
    (
        "Edit",
        {"file_path": "UP/wt/README.md", "old_string": "a", "new_string": "b"},
        Effect.WRITE,
        Verdict.ALLOW,
        "",
    ),
    (
        "Edit",
        {"file_path": "UP/wt/.mcp.json", "old_string": "a", "new_string": "b"},
        Effect.WRITE,
        Verdict.DENY,
        "control-plane",
    ),
    ("MultiEdit", {"file_path": "UP/wt/README.md", "edits": []}, Effect.WRITE, Verdict.ALLOW, ""),
    (
        "NotebookEdit",
        {"notebook_path": "UP/wt/n.ipynb", "new_source": "x"},
        Effect.WRITE,
        Verdict.ALLOW,
        "",
    ),
    (
        "WebFetch",
        {"url": "https://example.org/a?b=c", "prompt": "p"},
        Effect.NETWORK,
        Verdict.ALLOW,
        "",
    ),
    (
        "WebFetch",
        {"url": "http://127.0.0.1:8480/v1"},
        Effect.NETWORK,
        Verdict.DENY,
        "control-plane",
    ),
    ("WebSearch", {"query": "q"}, Effect.NETWORK, Verdict.ALLOW, ""),
    ("Agent", {"prompt": "p", "description": "d"}, Effect.EXEC, Verdict.ALLOW, ""),
    ("Task", {"prompt": "p", "isolation": "remote"}, Effect.EXEC, Verdict.GATE, ""),
    ("Skill", {"skill": "s"}, Effect.EXEC, Verdict.ALLOW, ""),
    ("TodoWrite", {"todos": []}, Effect.READ, Verdict.ALLOW, ""),
    ("ExitPlanMode", {"plan": "p"}, Effect.READ, Verdict.ALLOW, ""),
    ("AskUserQuestion", {"questions": []}, Effect.READ, Verdict.ALLOW, ""),
    ("ToolSearch", {"query": "q"}, Effect.READ, Verdict.ALLOW, ""),
    ("KillShell", {"shell_id": "1"}, Effect.EXEC, Verdict.ALLOW, ""),
    ("CronCreate", {"prompt": "p"}, Effect.EXEC, Verdict.GATE, ""),
    ("EnterWorktree", {"name": "w"}, Effect.EXEC, Verdict.GATE, ""),
    (
        "mcp__github__create_pull_request",
        {"title": "t", "weight": 0.5},
        Effect.EXEC,
        Verdict.GATE,
        "",
    ),
    ("mcp__handfast__handoff_get", {"handoff_id": "ho_1"}, Effect.EXEC, Verdict.ALLOW, ""),
    ("mcp__handfast__approve", {}, Effect.EXEC, Verdict.GATE, ""),
    ("BrandNewTool", {"x": 1}, Effect.EXEC, Verdict.GATE, ""),
]


@pytest.mark.parametrize(
    ("tool", "arguments", "effect", "verdict", "hazard"),
    TOOLS,
    ids=[f"{row[0]}-{number}" for number, row in enumerate(TOOLS)],
)
def test_each_tool(
    tool: str,
    arguments: dict[str, object],
    effect: Effect,
    verdict: Verdict,
    hazard: str,
    scope: Scope,
) -> None:
    call, facts = read(tool, scope, **arguments)
    assert facts.effect is effect, facts.summary
    assert set(facts.hazards) == set(hazard.split()), facts.summary
    assert judge(facts).verdict is verdict, facts.summary
    assert call.digest.startswith("sha256:")
    assert call.tool == tool


def test_rewording_keeps_the_digest_and_another_command_changes_it(scope: Scope) -> None:
    first, _ = read("Bash", scope, command="git push", description="push", timeout=5)
    again, _ = read("Bash", scope, command="git push", description="send it", timeout=9)
    other, _ = read("Bash", scope, command="git push -f", description="push", timeout=5)
    assert first.digest == again.digest != other.digest


def test_the_folder_is_part_of_a_command_and_not_of_a_file_tool(scope: Scope) -> None:
    inner = scope.at("src")
    here, _ = read("Bash", scope, command="git push")
    there, _ = read("Bash", inner, command="git push")
    assert (here.cwd, there.cwd) == (".", "src")
    assert here.digest != there.digest
    one, _ = read("Write", scope, file_path="UP/wt/x", content="c")
    two, _ = read("Write", inner, file_path="UP/wt/x", content="c")
    assert one.digest == two.digest


def test_the_content_of_a_write_is_bound_but_not_kept(scope: Scope) -> None:
    one, _ = read("Write", scope, file_path="UP/wt/x", content="a secret text")
    two, _ = read("Write", scope, file_path="UP/wt/x", content="another")
    assert one.digest != two.digest
    assert "secret text" not in str(one.canonical())


def test_an_mcp_call_binds_every_argument(scope: Scope) -> None:
    one, _ = read("mcp__x__y", scope, amount=1.5, deep={"a": [1, None, True]})
    two, _ = read("mcp__x__y", scope, amount=1.6, deep={"a": [1, None, True]})
    assert one.digest != two.digest


def test_input_of_any_shape_is_gated_and_never_raises(scope: Scope) -> None:
    shapes: list[object] = [[], None, "text", {"command": None}, {1: 2}]
    for bad in shapes:
        call, facts = read_call("Bash", bad, scope)  # type: ignore[arg-type]  # what a broken harness may send
        assert judge(facts).verdict is Verdict.GATE
        assert call.digest.startswith("sha256:")


def test_a_failing_reader_gates(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("handfast.observe.claude_code.shell_facts", broken)
    _, facts = read("Bash", scope, command="ls")
    assert facts.opaque == ("analyser-failed",)
    assert judge(facts).verdict is Verdict.GATE


def test_hidden_characters_and_secrets_never_reach_the_page(scope: Scope) -> None:
    _, facts = read("mcp__x__y", scope, note="a\u202eb\u200b", token="ghp_" + "a" * 36)
    shown = " ".join((facts.summary, *facts.details))
    assert "\u202e" not in shown
    assert "\u200b" not in shown
    assert "ghp_aaaa" not in shown
    assert "[redacted" in shown
