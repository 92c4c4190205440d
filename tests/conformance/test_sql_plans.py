"""How the databases answer what pages and the sweep ask: through an index, never by walking what is not shown."""

import itertools
import re
import sqlite3
from contextlib import closing

import psycopg
import pytest

from handfast.core.domain.project import Sight
from handfast.storage.api import Query
from handfast.storage.sql.store import SqlStore
from handfast.testing.store_writes import NOON

WAITING = ("acknowledged", "requested", "routed")
CLOSED = ("closed", "expired", "incomplete", "superseded", "withdrawn")
# Name: (query, index, how many times it is gone through).
ASKED = {
    "inbox, first page": (Query("handoff", statuses=WAITING, limit=50), "state_queue", 3),
    "inbox, a later page": (Query("handoff", statuses=WAITING, after=(1, 9)), "state_queue", 3),
    "decided lately": (
        Query("handoff", statuses=("decided", "resumed"), newest_first=True),
        "state_recent",
        2,
    ),
    "closed lately": (Query("handoff", statuses=CLOSED, newest_first=True), "state_recent", 5),
    "closed before": (
        Query("handoff", statuses=CLOSED, newest_first=True, after=(0, 9)),
        "state_recent",
        5,
    ),
    "the newest of all": (Query("handoff", newest_first=True), "state_opened", 1),
    "one status": (Query("handoff", statuses=("routed",)), "state_queue", 1),
    "cases of a run": (Query("handoff", run_id="r", newest_first=True), "state_run", 1),
    "decided of a run": (
        Query("handoff", run_id="r", statuses=("decided", "resumed")),
        "state_run",
        1,
    ),
    "runs of a task": (Query("run", task_id="t", newest_first=True), "state_task", 1),
    "an equal call": (Query("handoff", match="m", newest_first=True), "state_match", 1),
    "due": (Query("handoff", due_before=NOON), "state_due", 1),
    "frozen": (Query("handoff", statuses=WAITING, undated=True), "state_queue", 3),
}
SEES_LITTLE = Sight(("/repo", "/other"))
# A page of what few repositories have, chosen from the index alone: (query, statuses).
PICKED = {
    "inbox of somebody who sees little": Query("handoff", statuses=WAITING, within=SEES_LITTLE),
    "its later page": Query("handoff", statuses=WAITING, within=SEES_LITTLE, after=(1, 9)),
    "closed lately, of what they see": Query(
        "handoff", statuses=CLOSED, within=SEES_LITTLE, newest_first=True
    ),
}
LONG = [name for name, (_, index, _) in ASKED.items() if index in ("state_queue", "state_recent")]


def _sqlite_plan(url: str, query: Query) -> list[str]:
    with closing(SqlStore(url)) as store:
        sql, params = store._find(query)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as c:
        return [row[3] for row in c.execute(f"EXPLAIN QUERY PLAN {sql}", params)]


def _postgres_plan(url: str, query: Query) -> list[str]:
    """Of a planner that may not walk a table: an empty one it would always walk."""
    with closing(SqlStore(url)) as store:
        sql, params = store._find(query)
    with psycopg.connect(url, autocommit=True) as c:
        c.execute("SET enable_seqscan = off")
        c.execute("SET enable_bitmapscan = off")
        return [str(row[0]) for row in c.execute(f"EXPLAIN {sql}".encode(), params)]


@pytest.mark.parametrize("name", ASKED)
def test_sqlite_goes_through_the_index(tmp_path: object, name: str) -> None:
    query, index, times = ASKED[name]
    plan = _sqlite_plan(f"sqlite:///{tmp_path}/store.db", query)
    searches = [line for line in plan if line.startswith(("SEARCH state", "SCAN state"))]
    assert len(searches) == times, plan
    assert all(re.match(rf"SEARCH state USING INDEX {index}\b", line) for line in searches), plan


@pytest.mark.parametrize("name", PICKED)
def test_sqlite_picks_what_little_somebody_sees(tmp_path: object, name: str) -> None:
    query = PICKED[name]
    plan = _sqlite_plan(f"sqlite:///{tmp_path}/store.db", query)
    searches = [line for line in plan if line.startswith(("SEARCH state", "SCAN state"))]
    from_index = [line for line in searches if "USING COVERING INDEX state_root" in line]
    assert len(from_index) == 4 * len(query.statuses), plan
    assert [line for line in searches if line not in from_index] == [
        "SEARCH state USING INDEX state_opened (kind=? AND opened=?)"
    ]


@pytest.mark.parametrize("name", LONG)
def test_sqlite_sorts_no_more_than_a_page(tmp_path: object, name: str) -> None:
    """What is sorted comes from sub-selects that end after a page; the table itself never is."""
    plan = _sqlite_plan(f"sqlite:///{tmp_path}/store.db", ASKED[name][0])
    for line, following in itertools.pairwise(plan):
        if line.startswith("SEARCH state USING"):
            assert "TEMP B-TREE" not in following, plan


@pytest.mark.postgres
def test_postgres_goes_through_the_index(pg_ready_url: str) -> None:
    for name, (query, index, times) in ASKED.items():
        plan = _postgres_plan(pg_ready_url, query)
        scans = [line for line in plan if "Scan" in line and "Subquery Scan" not in line]
        assert len(scans) == times, (name, plan)
        assert all(f"using {index} on state" in line for line in scans), (name, plan)


@pytest.mark.postgres
def test_postgres_picks_what_little_somebody_sees(pg_ready_url: str) -> None:
    """Without figures of what a repository holds, for what is in order already any index is as good."""
    for name, query in PICKED.items():
        if query.newest_first:
            continue
        plan = _postgres_plan(pg_ready_url, query)
        scans = [line for line in plan if " on state" in line]
        from_index = [line for line in scans if "Index Only Scan using state_root" in line]
        assert len(from_index) == 4 * len(query.statuses), (name, plan)
        assert all("state_opened" in line for line in scans if line not in from_index), (name, plan)


@pytest.mark.postgres
def test_postgres_sorts_no_more_than_a_page(pg_ready_url: str) -> None:
    """Nothing but the end of a page comes between an index and what merges the pages."""
    for name in LONG:
        plan = _postgres_plan(pg_ready_url, ASKED[name][0])
        for line, following in itertools.pairwise(plan):
            assert not ("Sort " in line and "using state_" in following), (name, plan)
