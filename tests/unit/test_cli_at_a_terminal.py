"""What a person meets at the command line: lists that fit, and refusals that name the remedy before a PIN is typed."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from handfast.cli.entry import run
from handfast.cli.failures import report
from handfast.cli.queue_list import counted, stacked
from handfast.core.domain.errors import NotFound

ITEM: dict[str, object] = {
    "handoff_id": "ho_01m8cdmsv44v16jhxgppwgetn0",
    "risk": "critical",
    "ask": "force-pushes branch main to origin: replaces remote history",
    "agent_name": "claude-billing",
    "repository": "/srv/git/shop.git",
    "requested_at": "2026-11-26T17:14:00Z",
    "due_at": "2026-11-26T19:14:00Z",
    "waiting": True,
    "status": "routed",
    "holder_name": "",
}


def _lines(item: dict[str, object], width: int) -> list[str]:
    out = StringIO()
    Console(file=out, width=width, highlight=False).print(stacked([item]))
    return [line.strip() for line in out.getvalue().splitlines() if line.strip()]


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_waiting_case_keeps_its_width_and_its_id_whole(width: int) -> None:
    lines = _lines(ITEM, width)
    assert lines[0].startswith("critical  Force-pushes branch main")
    assert "claude-billing in shop, decide by 2026-11-26 19:14 UTC" in " ".join(lines)
    assert lines[-1] == ITEM["handoff_id"]
    assert len(lines) <= 5


def test_a_list_that_was_cut_does_not_say_that_it_is_all() -> None:
    assert [counted(n, 50) for n in (0, 1, 49, 50)] == [
        "Nothing waits",
        "1 waiting",
        "49 waiting",
        "The first 50 that wait",
    ]


def test_a_case_that_is_held_or_over_says_so() -> None:
    assert "held by Noor" in " ".join(_lines(ITEM | {"holder_name": "Noor"}, 100))
    over = ITEM | {"waiting": False, "status": "closed"}
    assert "claude-billing in shop, closed" in _lines(over, 100)


@pytest.mark.parametrize("kind", ["handoff", "run", "task", "agent"])
def test_what_is_not_found_says_what_lists_them(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report(NotFound(f"there is no {kind} `x`"), as_json=False)
    assert f"`handfast {kind} list" in capsys.readouterr().err
    report(NotFound(f"there is no {kind} `x`", hint="Look there."), as_json=False)
    assert capsys.readouterr().err.endswith("  Look there.\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["handoff", "show"], "See `handfast handoff show --help`."),
        (["handoff", "shw"], "See `handfast handoff --help`."),
        (["run", "list", "--limit", "x"], "See `handfast run list --help`."),
        (["hook", "pause", "9h"], "Give whole minutes, at most 8 hours"),
        (["hook", "install", "claude-code", "--project", "--folder", "/no/where"], "no folder"),
        (["hook", "status", "--folder", "/no/where"], "no folder"),
    ],
)
def test_a_wrong_command_line_is_refused_with_what_to_do(
    words: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HANDFAST_HOME", str(tmp_path))
    monkeypatch.setenv("HANDFAST_URL", "http://127.0.0.1:9")
    assert run(words) == 2
    assert said in capsys.readouterr().err
