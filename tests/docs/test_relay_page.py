"""The page about deliveries: its program runs, and it names every topic there is."""

import re
from pathlib import Path

from handfast.engine.relay.routing import Routes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "relay.md").read_text(encoding="utf-8")


def test_the_program_makes_routes_as_it_is_shown() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {}
    exec(compile(block, "docs/relay.md", "exec"), names)  # noqa: S102 - the page's own program
    routes = names["routes"]
    assert isinstance(routes, Routes)
    assert [s.crontab for s in routes.schedules] == ["17 3 * * *"]
    assert routes.flow("handoff.requested").bounded


def test_every_topic_that_is_posted_is_in_the_table() -> None:
    posted = {
        topic
        for path in (ROOT / "src" / "handfast").rglob("*.py")
        for topic in re.findall(r"\.post\(\s*\"([a-z]+\.[a-z_]+)\"", path.read_text("utf-8"))
    }
    assert {"handoff.requested", "run.queued"} <= posted
    assert {topic for topic in posted if f"| `{topic}` |" not in PAGE} == set()
