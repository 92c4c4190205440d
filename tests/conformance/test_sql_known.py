"""What somebody may know of, as a condition of the database: on each it says what `Sight.covers` says."""

from pathlib import Path

import pytest

from handfast.core.domain.brief import Brief
from handfast.core.domain.events_work import Mode
from handfast.core.domain.project import Sight
from handfast.engine.overrides import Emergency
from handfast.engine.runs import Session
from handfast.engine.tasks import NewTask
from handfast.storage.api import Query
from tests.engine_room import OPERATOR, RUNNER, Room, opened

ROOTS = ("/repo", "/repo/sub", "/repository", "/o'clock", "/Repo", "https://git.example/x")
SIGHTS = {
    "nothing": Sight(),
    "one and what is below": Sight(("/repo",)),
    "several": Sight(("/o'clock", "https://git.example/x", "/nowhere")),
    "none of these": Sight((), ("/repo", "/o'clock")),
    "one, and none of these": Sight(("/repo/sub",), ("/repo", "/Repo")),
    "all but nothing": Sight((), ()),
}


def furnish(room: Room) -> dict[str, str]:
    """A task, a session's run and a waiting handoff in each repository: which stream is of which."""
    found: dict[str, str] = {f"run/{room.run_id}": "/repo"}
    for number, root in enumerate(ROOTS):
        task = room.engine.tasks.create(OPERATOR, NewTask(Brief("x"), root, "main", "0" * 40))
        found[f"task/{task['task_id']}"] = root
        new = Session(room.agent_id, "claude-code", f"s{number}", root, Mode.ENFORCE)
        run = str(room.engine.runs.session(RUNNER, new)["run_id"])
        found[f"run/{run}"] = root
        asked = room.propose(f"k{number}", f"git push origin b{number}", run_id=run)
        found[f"handoff/{asked['handoff_id']}"] = root
    return found


def test_each_database_filters_as_the_rule_says(store_url: str, tmp_path: Path) -> None:
    with opened(tmp_path / "home", store_url) as room:
        roots = furnish(room)
        store = room.engine.kernel.store
        for name, sight in SIGHTS.items():
            for kind in ("task", "run", "handoff"):
                expected = {s for s, r in roots.items() if s.startswith(kind) and sight.covers(r)}
                rows = store.find(Query(kind, within=sight, newest_first=True))
                assert {row.stream for row in rows} == expected, (name, kind)
                counted = store.count(kind, [row.status for row in rows[:1]], sight)
                assert counted >= bool(rows), (name, kind)
            waiting = store.find(Query("handoff", statuses=("routed", "requested"), within=sight))
            assert len(waiting) == store.count("handoff", ["routed", "requested"], sight)
            assert store.find(Query("person", within=sight)) == []


def test_pages_of_a_filtered_list_are_full_and_miss_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "home") as room:
        roots = furnish(room)
        store, sight = room.engine.kernel.store, Sight(("/repo", "/o'clock"))
        seen: list[str] = []
        after: tuple[int, int] | None = None
        while rows := store.find(Query("handoff", within=sight, after=after, limit=2)):
            seen += [row.stream for row in rows]
            after = (rows[-1].rank, rows[-1].opened)
        assert sorted(seen) == sorted(s for s, r in roots.items() if _seen(s, r, sight))


def _seen(stream: str, root: str, sight: Sight) -> bool:
    return stream.startswith("handoff/") and sight.covers(root)


@pytest.mark.parametrize("who", ["/repo", "/other"])
def test_the_review_of_an_override_is_seen_by_who_sees_what_was_overridden(
    store_url: str, tmp_path: Path, who: str
) -> None:
    with opened(tmp_path / "home", store_url) as room:
        room.another("bob")
        asked = str(room.propose("k", "git push origin x")["handoff_id"])
        seen = room.handoff(asked).presented_digest
        room.engine.overrides.override(room.me, Emergency(asked, seen, "an emergency", "k"))
        rows = room.engine.kernel.store.find(Query("handoff", within=Sight((who,))))
        assert len(rows) == (2 if who == "/repo" else 0)
