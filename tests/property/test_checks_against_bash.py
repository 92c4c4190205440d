"""What a call's exit code shows, held against bash: a check that 'decides' did run and did pass when the call ended with 0."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from handfast.core.domain.claim_words import CheckKind
from handfast.observe.checks import parts_of

FAKE = """#!/bin/bash
n=$(($(cat "$HANDFAST_COUNT" 2>/dev/null || echo 0) + 1)); echo $n > "$HANDFAST_COUNT"
code=$(echo "$HANDFAST_CODES" | cut -d, -f$n)
echo "$(basename "$0") ${code:-0}" >> "$HANDFAST_RAN"
exit ${code:-0}
"""
PIECES = st.sampled_from(
    [
        "pytest -q",
        "ruff check .",
        "mypy src",
        "true",
        "false",
        "echo 5 passed",
        "cat",
        "exit 0",
        "exit 1",
        "set -e",
        "set -n",
        "set -- x",
        "set +e",
        "set -o pipefail",
        "set -euo pipefail",
        "! pytest",
        "(pytest)",
        "{ pytest; }",
        "if pytest; then echo ok; fi",
        "while pytest; do break; done",
        "pytest() { true; }",
        "alias pytest=true",
        "trap 'exit 0' EXIT",
        "eval pytest",
        "exec true",
        "time pytest",
        "command pytest",
        "timeout 5 pytest",
        "env A=1 pytest",
        "A=1 pytest -x",
        "pytest 2>&1",
        "pytest > /dev/null",
        "# pytest",
        "$(echo true) pytest",
        "echo \\ # pytest",
        "'pytest' -q",
        "py'test'",
        "unset x",
        "",
    ]
)
JOINTS = st.sampled_from(
    ["; ", "\n", " && ", " || ", " | ", " & ", " &&\n", " \\\n", "\\\n", " |& "]
)


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bin")
    for name in ("pytest", "ruff", "mypy"):
        (folder / name).write_text(FAKE)
        (folder / name).chmod(0o755)
    return folder


def ran(fakes: Path, command: str, codes: list[int]) -> tuple[int, list[str]]:
    """The exit code of the call, and each check that ran with its own."""
    log, count = fakes / "ran", fakes / "count"
    log.unlink(missing_ok=True)
    count.unlink(missing_ok=True)
    environment = {
        "PATH": f"{fakes}:{os.environ['PATH']}",
        "HANDFAST_RAN": str(log),
        "HANDFAST_COUNT": str(count),
        "HANDFAST_CODES": ",".join(map(str, codes)),
    }
    done = subprocess.run(
        ["bash", "-c", command],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    return done.returncode, log.read_text().splitlines() if log.exists() else []


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    pieces=st.lists(PIECES, min_size=1, max_size=4),
    joints=st.lists(JOINTS, min_size=4, max_size=4),
    codes=st.lists(st.sampled_from([0, 1]), min_size=6, max_size=6),
)
@example(["pytest", "-x"], ["\\\n"] * 4, [1] * 6)
@example(["set -e", "pytest", "echo ok", "true"], ["; ", " && ", "; ", "; "], [1] * 6)
@example(["set -o pipefail", "pytest", "cat"], ["; ", " | ", "; ", "; "], [1] * 6)
@example(["true", "pytest", "ruff check ."], [" || ", " && ", "; ", "; "], [0] * 6)
@example(["pytest", "true"], [" & ", "; ", "; ", "; "], [1] * 6)
def test_a_check_that_decides_has_passed_when_the_call_ended_with_0(
    fakes: Path, pieces: list[str], joints: list[str], codes: list[int]
) -> None:
    command = pieces[0] + "".join(j + p for j, p in zip(joints, pieces[1:], strict=False))
    decide = [p for p in parts_of(command) if p.decides and p.kinds]
    if not decide:
        return
    code, log = ran(fakes, command, codes)
    if code:
        return
    for kind, name in (
        (CheckKind.TESTS, "pytest"),
        (CheckKind.LINT, "ruff"),
        (CheckKind.TYPES, "mypy"),
    ):
        wanted = sum(kind in part.kinds for part in decide)
        assert log.count(f"{name} 0") >= wanted, (command, log)


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize(
    "command",
    [
        "pytest -q",
        "cd src && pytest -q",
        "set -o pipefail; pytest | tail -3",
        "set -e; pytest; echo done",
        "ruff check . && pytest",
        "# all\npytest",
        "timeout 9 pytest tests/unit",
    ],
)
def test_what_people_write_is_read(fakes: Path, command: str, code: int) -> None:
    (fakes / "src").mkdir(exist_ok=True)
    assert any(p.decides and CheckKind.TESTS in p.kinds for p in parts_of(command))
    assert ran(fakes, f"cd {fakes}; {command}", [code] * 4)[0] == code
