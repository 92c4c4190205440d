"""`handfast policy facts`: one answer a line whatever the line is, from the text alone unless told otherwise."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.unit.observed_ground import build

COMMAND = [sys.executable, "-m", "handfast", "policy", "facts"]
Answer = dict[str, object]


def ask(data: bytes, *options: str, cwd: Path | None = None, **environment: str) -> list[Answer]:
    ran = subprocess.run(
        [*COMMAND, *options],
        input=data,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]


def lines(*commands: str) -> bytes:
    return "".join(json.dumps(command) + "\n" for command in commands).encode()


def test_what_the_policy_stops_is_apart_from_what_it_allows() -> None:
    pushed, scratch, local, unread = ask(
        lines("git push -f", "echo x > /tmp/x", "pytest -q", "$X -rf y")
    )
    assert pushed["hazards"] == ["git.push-force", "git.push"]
    assert (scratch["hazards"], scratch["opaque"]) == ([], [])
    assert {"effect:write", "fs.write-scratch"} <= set(map(str, _list(scratch["facts"])))
    assert (local["hazards"], local["opaque"]) == ([], [])
    assert {"effect:exec", "exec.local"} <= set(map(str, _list(local["facts"])))
    assert unread["opaque"] == ["dynamic-command"]


def test_every_line_has_its_answer() -> None:
    odd = [
        b"not json",
        b"3",
        b"",
        b'{"a": 1}',
        b'"\xff"',
        b"[" * 100_000,
        b'"\\ud800"',
        b'"ls"\r',
        b'"rm -rf x"',
    ]
    answers = ask(b"\n".join(odd))
    assert len(answers) == len(odd)
    for answer in answers[:6]:
        assert answer["opaque"] == ["malformed"]
        assert answer["error"]
    assert answers[6]["opaque"] == ["control-characters"]
    assert [answers[7]["hazards"], answers[7]["opaque"]] == [[], []]
    assert answers[8]["hazards"] == ["fs.delete"]
    assert ask(b"") == []


def test_an_answer_comes_before_the_next_line_is_given() -> None:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as asked:
        assert asked.stdin is not None
        assert asked.stdout is not None
        for command, hazards in (("git push", ["git.push"]), ("ls", [])):
            asked.stdin.write(lines(command))
            asked.stdin.flush()
            assert json.loads(asked.stdout.readline())["hazards"] == hazards
        asked.stdin.close()


def test_the_text_alone_is_the_same_everywhere(tmp_path: Path) -> None:
    scope = build(tmp_path)
    asked = lines(
        "rm -rf build", "rm scratch.py", "rm src/app.py", "git checkout README.md", "git x", "make wipe", "npm run ship",
        "bash ship.sh", "cat ~/.ssh/id_rsa", "cd out && rm *", "rm s*", "psql -f drop.sql", "ls ~", "git push", "kill 1234",
    )  # fmt: skip
    inside = ask(
        asked, cwd=scope.worktree, HOME=str(scope.home), HANDFAST_HOME=str(tmp_path / "data")
    )
    elsewhere = ask(asked, cwd=tmp_path / "other", HOME="/nonexistent", HANDFAST_HOME="/tmp")
    assert inside == elsewhere
    assert str(tmp_path) not in json.dumps(inside)


def test_on_a_worktree_git_is_asked(tmp_path: Path) -> None:
    scope = build(tmp_path)
    options = ("--worktree", str(scope.worktree))
    untracked, tracked, script = ask(
        lines("rm -rf build", "rm src/app.py", "bash ship.sh"), *options, cwd=tmp_path
    )
    assert untracked["hazards"] == []
    assert tracked["hazards"] == ["fs.delete-tracked"]
    assert "git.push-force" in _list(script["hazards"])


def test_a_session_knows_what_the_run_made() -> None:
    run = lines(
        "ls src", "mkdir demo && echo x > demo/a.py", "rm -rf demo", "mkdir -p src && rm -rf src", "sed -i s/a/b/ src/a.py",
        "git checkout -- src/a.py", "git checkout -- src/b.py",
    )  # fmt: skip
    alone, session = ask(run), ask(run, "--session")
    assert [bool(answer["hazards"]) for answer in alone] == [
        False, False, True, True, False, True, True,
    ]  # fmt: skip
    assert [bool(answer["hazards"]) for answer in session] == [
        False, False, False, True, False, False, True,
    ]  # fmt: skip


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
