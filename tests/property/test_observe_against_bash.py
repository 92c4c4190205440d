"""What bash really runs is among what the reader lists, or the command is opaque.

Random nestings of shell syntax run in a real bash whose PATH holds only stand-ins that log their arguments.
"""

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from handfast.observe import shell
from handfast.observe.case import Case
from handfast.observe.commands import Simple
from handfast.observe.scope import Scope
from tests.unit.observed_ground import git

LOGGED = ("git", "rm", "npm", "kubectl")
STAND_IN = """#!/bin/bash
name="${0##*/}"
case "$name" in
  bash|sh) exec /bin/bash "$@";;
  cat) exec /bin/cat "$@";;
  env|timeout|xargs) exec /usr/bin/"$name" "$@";;
esac
line="$name"
for each in "$@"; do line="$line"$'\\x1f'"$each"; done
printf '%s\\x1e' "$line" >> "$LOG"
"""
SIMPLE = [
    "git push -f o m",
    "rm -rf zz",
    "npm publish",
    "kubectl delete pod",
    "echo hi",
    "true",
    "false",
]
NESTINGS = [
    "{a}; {b}",
    "{a}\n{b}",
    "{a} \n\t{b}",
    "X=1 # note\n{a}",
    "{a} > /dev/null\n{b}",
    "export Z=1\n{a}",
    "{a} && {b}",
    "{a} || {b}",
    "{a} | {b}",
    "{a} | bash <<E{n}\n{b}\nE{n}\n",
    "({a})",
    "{{ {a}; }}",
    "if {a}; then {b}; else {a}; fi",
    "for i in 1 2; do {a}; done",
    "while false; do {b}; done; {a}",
    "case x in x) {a};; *) {b};; esac",
    "f() {{ {a}; }}; f",
    "bash -c '{q}'",
    "eval '{q}'",
    "bash <<< '{q}'",
    "bash <<'E{n}'\n{a}\nE{n}\n",
    "cat <<E{n}\n$({a})\nE{n}\n",
    "echo $({a})",
    'echo "$({a})"',
    "! {a}",
    "{a} &\nwait",
    "cat <({a})",
    "X=$({a})",
    "{a} > /dev/null 2>&1",
    "# note\n{a}",
    "{a} # note",
    "echo ${{u:-$({a})}}",
    "[[ -n $({a}) ]] || {b}",
    "timeout 5 env A=b bash -c '{q}'",
]


def spelled(word: str, draw: random.Random) -> str:
    spellings: list[Callable[[], str]] = [
        lambda: word,
        lambda: f"'{word}'",
        lambda: f'"{word}"',
        lambda: "\\" + word,
        lambda: "$'" + "".join(f"\\x{ord(c):02x}" for c in word) + "'",
        lambda: word[0] + '""' + word[1:],
    ]
    return draw.choice(spellings)()


def command(depth: int, draw: random.Random) -> str:
    if depth == 0:
        return " ".join(spelled(word, draw) for word in draw.choice(SIMPLE).split())
    inner = command(depth - 1, draw)
    quoted = inner.replace("'", "'\\''")
    return draw.choice(NESTINGS).format(a=inner, b=command(depth - 1, draw), q=quoted, n=depth)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_bash_runs_nothing_that_is_not_listed(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, worktree, log = tmp_path / "bin", tmp_path / "wt", tmp_path / "log"
    programs.mkdir()
    worktree.mkdir()
    git(worktree, "init", "-q")
    for name in (*LOGGED, "bash", "sh", "cat", "env", "timeout", "xargs"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    listed: set[tuple[str, ...]] = set()
    original = shell._program

    def noting(simple: Simple, case: Case) -> None:
        listed.add(tuple(word.text for word in simple.argv))
        original(simple, case)

    monkeypatch.setattr(shell, "_program", noting)
    draw = random.Random(seed)  # noqa: S311 - the same nestings every time
    scope = Scope(worktree=worktree, cwd=worktree, home=tmp_path)
    compared = 0
    for _ in range(40):
        text = command(draw.randrange(1, 5), draw)
        log.write_text("")
        subprocess.run(
            ["/bin/bash", "-c", text],
            cwd=worktree,
            env={"PATH": str(programs), "LOG": str(log), "HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        ran = {tuple(entry.split("\x1f")) for entry in log.read_text().split("\x1e") if entry}
        listed.clear()
        facts = shell.shell_facts(text, scope)
        if not facts.opaque:
            compared += 1
            assert ran <= listed, text
    assert compared > 10
