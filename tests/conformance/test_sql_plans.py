"""How the databases answer what pages and the sweep ask: through an index, never by walking what is not shown."""

import itertools
import re
import sqlite3
from contextlib import closing

import psycopg
import pytest

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
def test_postgres_sorts_no_more_than_a_page(pg_ready_url: str) -> None:
    """Nothing but the end of a page comes between an index and what merges the pages."""
    for name in LONG:
        plan = _postgres_plan(pg_ready_url, ASKED[name][0])
        for line, following in itertools.pairwise(plan):
            assert not ("Sort " in line and "using state_" in following), (name, plan)
