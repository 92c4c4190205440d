"""Approved is bound to what it depends on: for each kind of operand, approve, change it, try to run it.

It is refused, nothing ran, and the next question shows both forms.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from handfast.client import Client
from handfast.core.domain.errors import StaleDecision
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.publication import ORGANISATION
from handfast.runner.execute import execute_grant
from tests.hook_bench import HookBench, hook_bench

ALL_SHELL = """\
version: 1
gates:
  - id: all
    when: call.command.contains("ran.txt") || call.command.startsWith("git push")
    require: {}
"""
RAN = "; echo ran >> ran.txt"


@dataclass(frozen=True)
class Kind:
    """`files` are there when it is approved, `changes` are written afterwards; `operand` is what changed."""

    name: str
    command: str
    operand: str
    files: dict[str, str]
    changes: dict[str, str]
    git: tuple[str, ...] = ()


KINDS = [
    Kind("shell script", "bash x.sh", "x.sh", {"x.sh": "true\n"}, {"x.sh": "false\n"}),
    Kind("fed script", "bash < x.sh", "x.sh", {"x.sh": "true\n"}, {"x.sh": "false\n"}),
    Kind("sourced", "source x.sh", "x.sh", {"x.sh": "true\n"}, {"x.sh": "false\n"}),
    Kind("executable", "./run", "run", {"run": "#!/bin/sh\n"}, {"run": "#!/bin/sh\nfalse\n"}),
    Kind("inside bash -c", "bash -c './x.sh'", "x.sh", {"x.sh": "true\n"}, {"x.sh": "false\n"}),
    Kind("python", "python3 x.py", "x.py", {"x.py": "1\n"}, {"x.py": "2\n"}),
    Kind("node", "node x.js", "x.js", {"x.js": "1\n"}, {"x.js": "2\n"}),
    Kind("not there yet", "python3 x.py", "x.py", {}, {"x.py": "2\n"}),
    Kind("make", "make a", "Makefile", {"Makefile": "a:\n\ttrue\n"}, {"Makefile": "a:\n\tfalse\n"}),
    Kind(
        "another makefile wins",
        "make a",
        "GNUmakefile",
        {"Makefile": "a:\n"},
        {"GNUmakefile": "a:\n"},
    ),
    Kind(
        "included script",
        "make a",
        "t.sh",
        {"Makefile": "a:\n\t./t.sh\n", "t.sh": "1"},
        {"t.sh": "2"},
    ),
    Kind("just", "just a", "justfile", {"justfile": "a:\n  true\n"}, {"justfile": "a:\n  false\n"}),
    Kind("task", "task a", "Taskfile.yml", {"Taskfile.yml": "1"}, {"Taskfile.yml": "2"}),
    Kind(
        "package script",
        "npm run a",
        "package.json",
        {"package.json": "{}"},
        {"package.json": "[]"},
    ),
    Kind("sql file", "psql -f x.sql", "x.sql", {"x.sql": "select 1"}, {"x.sql": "select 2"}),
    Kind(
        "compose", "docker compose up", "compose.yaml", {"compose.yaml": "a"}, {"compose.yaml": "b"}
    ),
    Kind("tree", "terraform apply", "tree:.", {"main.tf": "a"}, {"main.tf": "b"}),
    Kind("new file in the tree", "terraform apply", "tree:.", {}, {"extra.tf": "b"}),
    Kind(
        "git ref",
        "git push nowhere main",
        "git:main",
        {},
        {},
        ("commit", "-q", "--allow-empty", "-m", "x"),
    ),
]


@contextmanager
def made(tmp_path: Path) -> Iterator[HookBench]:
    with hook_bench(tmp_path, hook_timeout_s=0.2) as bench:
        subprocess.run(["git", "branch", "-M", "main"], cwd=bench.repo, check=True)
        bench.engine.policies.propose(bench.person, ORGANISATION, ALL_SHELL)
        yield bench


def write(bench: HookBench, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = bench.repo / name
        path.write_text(text)
        path.chmod(0o755)


def changed(bench: HookBench, handoff_id: object) -> dict[str, Any]:
    view: Any = bench.engine.views.handoff(str(handoff_id))
    found: dict[str, Any] = view["package"]["changed"]
    return found


def _both_are_files(kind: Kind) -> bool:
    return kind.operand in kind.files and kind.operand in kind.changes


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_a_changed_operand_is_a_new_question(tmp_path: Path, kind: Kind) -> None:
    command = kind.command + RAN
    with made(tmp_path) as bench:
        write(bench, kind.files)
        assert bench.bash(command)["permissionDecision"] == "deny"
        approved = bench.decide_next("approve")
        write(bench, kind.changes)
        if kind.git:
            subprocess.run(["git", *kind.git], cwd=bench.repo, check=True)
        with Client(bench.server.url, bench.token) as client, pytest.raises(StaleDecision):
            execute_grant(client, approved.replace("ho_", "gr_"), stream=lambda *_: None)
        assert bench.bash(command)["permissionDecision"] == "deny"
        assert not (bench.repo / "ran.txt").exists()
        (asked,) = bench.waiting()
        found = changed(bench, asked["handoff_id"])
        assert (found["handoff_id"], found["approved"], found["before"]) == (approved, True, "")
        (operand,) = [o for o in found["operands"] if o["path"] == kind.operand]
        assert operand["before"] != operand["after"]
        assert bool(operand["diff"]) == _both_are_files(kind)
        assert bench.engine.views.handoff(approved)["outcome"] == "stale"


def test_the_change_of_a_script_is_shown_line_by_line_without_its_secrets(tmp_path: Path) -> None:
    """Stored with the question it was asked about, and gone when that is erased."""
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2
    old = f"#!/bin/sh\nexport GITHUB_TOKEN={token}\nrsync -a build/ web:/srv/\n"
    with made(tmp_path) as bench:
        write(bench, {"ship.sh": old})
        bench.bash("bash ship.sh" + RAN)
        approved = bench.decide_next("approve")
        write(bench, {"ship.sh": old.replace("rsync -a", "rsync -a --delete")})
        bench.bash("bash ship.sh" + RAN)
        asked = str(bench.waiting()[0]["handoff_id"])
        (operand,) = changed(bench, asked)["operands"]
        assert "-rsync -a build/ web:/srv/\n+rsync -a --delete build/ web:/srv/" in operand["diff"]
        assert token not in operand["diff"]
        kept = bench.engine.kernel.state(Handoff, approved).operand_texts
        assert kept is not None
        assert token not in bench.engine.kernel.vault.text(kept)
        bench.engine.kernel.store.erase_body(kept.body_id)
        write(bench, {"ship.sh": old.replace("web:", "elsewhere:")})
        bench.bash("bash ship.sh" + RAN)
        assert changed(bench, str(bench.waiting()[0]["handoff_id"]))["operands"]


def test_changed_words_are_shown_side_by_side(tmp_path: Path) -> None:
    with made(tmp_path) as bench:
        bench.bash("echo one >> ran.txt", "t1")
        approved = bench.decide_next("approve")
        bench.bash("echo two >> ran.txt", "t1")
        found = changed(bench, bench.waiting()[0]["handoff_id"])
        assert (found["handoff_id"], found["before"]) == (approved, "echo one >> ran.txt")


def test_an_unchanged_operand_runs(tmp_path: Path) -> None:
    """The other way round, so that the refusals above are not for another reason."""
    with made(tmp_path) as bench:
        write(bench, {"x.sh": "true\n"})
        bench.bash("bash x.sh" + RAN)
        approved = bench.decide_next("approve")
        with Client(bench.server.url, bench.token) as client:
            execute_grant(client, approved.replace("ho_", "gr_"), stream=lambda *_: None)
        assert (bench.repo / "ran.txt").exists()


@pytest.mark.parametrize(
    ("command", "image"),
    [
        ("docker run --rm -v a:b -e X=1 alpine sh", "image:alpine:latest"),
        ("podman run -it --name n quay.io/x/y:1 sh", "image:quay.io/x/y:1"),
        ("docker pull localhost:5000/x", "image:localhost:5000/x:latest"),
        ("docker run x@sha256:" + "0" * 64, ""),
    ],
)
def test_an_image_tag_is_named_as_what_may_move(tmp_path: Path, command: str, image: str) -> None:
    from handfast.observe.claude_code import read_call
    from handfast.observe.operands import rehash
    from handfast.observe.scope import Scope

    scope = Scope(tmp_path, tmp_path)
    call, facts = read_call("Bash", {"command": command}, scope)
    assert [o.path for o in call.operands] == ([image] if image else [])
    assert any("another image later" in d for d in facts.details) == bool(image)
    assert rehash(call, scope) == call
