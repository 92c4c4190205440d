"""The page about briefs runs as it stands there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Command, serving
from tests.repositories import new_repository

PAGE = (Path(__file__).parents[2] / "docs" / "briefs.md").read_text(encoding="utf-8")
BRIEFS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SESSION = "\n".join(re.findall(r"```console\n(.*?)\n```", PAGE, re.DOTALL))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Command]:
    handfast = Command(tmp_path / "data", tmp_path, {})
    new_repository(tmp_path / "shop")
    whole, part = BRIEFS
    (tmp_path / "brief.yaml").write_text(whole)
    (tmp_path / "part.yaml").write_text(part)
    (tmp_path / "narrow.yaml").write_text(part.replace("docs/**", "src/docs"))
    with serving(handfast):
        yield handfast


def test_the_commands_say_what_the_page_shows(place: Command) -> None:
    ids: dict[str, str] = {}
    lines = SESSION.splitlines()
    for at, line in enumerate(lines):
        if not line.startswith("$ handfast "):
            continue
        words = [ids.get(word, word) for word in line.removeprefix("$ handfast ").split()]
        done = place(*words)
        says = lines[at + 1] if at + 1 < len(lines) and lines[at + 1][0] != "$" else ""
        assert (done.code, says in done.out + done.err) == (2 if says else 0, True), done
        if words[:2] == ["task", "add"] and not says:
            ids["PART" if "TASK" in ids else "TASK"] = done.out.strip()
    shown = place("task", "show", ids["PART"], "--json").json
    assert shown["parent"] == ids["TASK"]
    assert shown["brief"]["scope"]["paths"] == ["src/docs"]
    assert shown["brief"]["budget"]["tool_calls"] == 120
    assert "no new dependency" in shown["brief"]["non_goals"]
    assert place("brief", "check", "narrow.yaml", "--parent", ids["TASK"]).code == 0
    assert place("run", "--task", ids["TASK"], "--repo", "shop", "--", "true").code == 2
    run = place("run", "--task", ids["PART"], "--detach", "--", "true")
    assert run.code == 0, run
    assert place("run", "show", run.out.strip(), "--json").json["task_id"] == ids["PART"]
