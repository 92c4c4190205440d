"""Every command of the catalogue: there, described, documented, quick to list."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from handfast.cli.catalogue import COMMANDS, GROUPS, Entry
from handfast.cli.entry import build, run
from tests.commands import Command

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
IDS = [e.words for e in COMMANDS]


@pytest.fixture
def handfast(tmp_path: Path) -> Command:
    return Command(tmp_path / "data", tmp_path, {})


@pytest.mark.parametrize("entry", COMMANDS, ids=IDS)
def test_a_command_is_there_and_answers_in_json(entry: Entry) -> None:
    module, _, name = entry.target.partition(":")
    assert hasattr(import_module(f"handfast.cli.{module}"), name)
    app = build()
    for word in entry.words.split():
        app = app[word]
    assert "--json" in [name for a in app.assemble_argument_collection() for name in a.names]


@pytest.mark.parametrize("entry", COMMANDS, ids=IDS)
def test_a_command_has_a_heading_and_an_example(entry: Entry) -> None:
    part = re.search(
        rf"^### `handfast {re.escape(entry.words)}`$(.*?)(?=^##|\Z)", DOCS, re.MULTILINE | re.DOTALL
    )
    assert part, f"docs/cli.md has no heading ### `handfast {entry.words}`"
    assert f"handfast {entry.words}" in part[1], "its part has no example"


@pytest.mark.parametrize("entry", COMMANDS, ids=IDS)
def test_a_commands_help_fits_the_terminal_in_two_columns(
    entry: Entry, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*entry.words.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"Usage: handfast {entry.words}")
    assert [line for line in lines if len(line) > 80] == []
    listed = lines[next(i for i, line in enumerate(lines) if line == "Options:") + 1 :]
    # A name stands at the second column, its words and what wraps of them at the thirty-first.
    assert [line for line in listed if line and not re.match(r"  \S| {30}\S", line)] == []
    assert "STR" not in " ".join(lines)
    assert "--empty-" not in " ".join(lines)


def test_no_heading_without_a_command() -> None:
    headed = re.findall(r"^### `handfast (.+)`$", DOCS, re.MULTILINE)
    assert sorted(headed) == sorted(IDS)
    assert {e.group for e in COMMANDS} == set(GROUPS)


def test_help_lists_every_command_without_loading_a_parser(handfast: Command) -> None:
    code = "import sys; from handfast.cli import main; main(['--help']); print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=handfast.environment, capture_output=True, text=True, check=True
    )  # fmt: skip
    shown, _, loaded = ran.stdout.rstrip("\n").rpartition("\n")
    assert [words for words in IDS if f"  {words} " not in shown] == []
    assert {"cyclopts", "rich", "httpx", "sqlalchemy", "fastapi"} & set(loaded.split()) == set()


def test_a_command_to_a_server_loads_no_heavy_library(handfast: Command) -> None:
    """What a person waits for before the request leaves."""
    code = (
        "import sys; from handfast.cli import main; main(['handoff', 'list']);print(*sys.modules)"
    )
    environment = {
        **handfast.environment,
        "HANDFAST_URL": "http://127.0.0.1:9",
        "HANDFAST_TOKEN": "hfo_none",
    }
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "no server answers" in ran.stderr
    heavy = {"httpx", "sqlalchemy", "fastapi", "cryptography", "handfast.core.domain.events"}
    assert heavy & set(ran.stdout.split()) == set()


def test_a_wrong_command_is_a_usage_error(handfast: Command) -> None:
    done = handfast("handoff", "aprove", "--json")
    assert done.code == 2
    assert done.problem["code"] == "usage"
    assert 'Did you mean "approve"' in done.problem["detail"]
    assert handfast("--version").out.strip() == "0.3.0"
    assert handfast("nonsense").code == 2


def test_a_reader_that_leaves_early_sees_no_traceback() -> None:
    program = """
import os
from handfast.cli import main
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 1)
raise SystemExit(main(["--help"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
