"""Need-to-know of what is derived: an agent's medians and the rules of a repository stay within a project."""

import json
from typing import Any, cast

import pytest

from handfast.core.domain.brief import Brief
from handfast.core.domain.events import Actor
from handfast.core.domain.events_limits import RunMeasured
from handfast.core.domain.events_work import Mode, RunOutcome
from handfast.core.domain.limit_facts import Reported
from handfast.core.domain.run import Run
from handfast.core.domain.track import NEWEST, Track, evolve, history
from handfast.engine.runs import Session
from handfast.engine.tasks import NewTask
from tests.engine_room import OPERATOR, RUNNER
from tests.integration.test_identity import person
from tests.served import Json, Served

HTML = {"Accept": "text/html"}
RULES = 'version: 1\ngates:\n  - id: quiet-{name}\n    when: call.tool == "x"\n    deny: hidden-{name}\n'


def ran(served: Served, folder: str, cost: str) -> str:
    """A run in this repository that ended, having cost so much."""
    runs, engine = served.engine.runs, served.engine
    session = Session(served.agent_id, "none", f"{folder}-{cost}", folder, Mode.ENFORCE)
    run_id = cast("str", runs.session(RUNNER, session)["run_id"])
    engine.limits.report(RUNNER, run_id, Reported(cost_usd=cost))
    runs.ended(RUNNER, run_id, None, RunOutcome.SESSION_OVER)
    return run_id


def begun(served: Served, folder: str) -> Run:
    new = NewTask(Brief("x"), folder, "main", "0" * 40)
    task_id = served.engine.tasks.create(OPERATOR, new)["task_id"]
    body = {"task_id": task_id, "command": ["go"], "agent_id": served.agent_id, "harness": "none"}
    made = served.client("operator").post("/v1/runs", json=body)
    assert made.status_code == 201, made.text
    return served.engine.kernel.state(Run, made.json()["run_id"])


@pytest.fixture
def apart(served: Served) -> Served:
    """Two projects with a member each. The agent worked in both, and in a repository of neither."""
    noor = Actor("person", served.person_id, "browser")
    for login, roles in (("mia", ("reviewer",)), ("otto", ("reviewer",)), ("adam", ("admin",))):
        person(served, login, *roles)
    for i in range(5):
        ran(served, "/srv/a", f"1.0{i}")
        ran(served, "/srv/b", f"70.0{i}")
        ran(served, "/srv/free", f"300.0{i}")
    served.engine.knowing.set_project(noor, "a", ["/srv/a"], ["mia"], [])
    served.engine.knowing.set_project(noor, "b", ["/srv/b"], ["otto"], [])
    for name in ("a", "b"):
        served.engine.policies.propose(noor, f"/srv/{name}", RULES.format(name=name))
    return served


def test_a_run_is_measured_against_runs_of_its_own_project(apart: Served) -> None:
    medians = {
        f: begun(apart, f).history.medians["cost_usd"] for f in ("/srv/a", "/srv/b", "/srv/free")
    }
    assert medians == {"/srv/a": "1.02", "/srv/b": "70.02", "/srv/free": "300.02"}
    assert begun(apart, "/srv/a/part").history.runs["cost_usd"] == 5


def test_without_projects_all_runs_count(served: Served) -> None:
    for i in range(3):
        ran(served, "/srv/a", f"1.0{i}")
        ran(served, "/srv/b", f"3.0{i}")
    assert begun(served, "/srv/c").history.runs["cost_usd"] == 6


def test_a_record_of_before_is_placed_by_its_run(apart: Served) -> None:
    run_id = ran(apart, "/srv/b", "70.09")
    old = RunMeasured(cast("Any", apart.agent_id), cast("Any", run_id), {"cost_usd": "9000"})

    def work(unit: Any) -> dict[str, object]:
        unit.record(Track, apart.agent_id, [old])
        return {}

    apart.engine.kernel.run(OPERATOR, work)
    assert begun(apart, "/srv/a").history.runs["cost_usd"] == 5
    assert begun(apart, "/srv/b").history.runs["cost_usd"] == 7


@pytest.mark.parametrize(
    ("login", "mine", "hidden"),
    [
        ("mia", "1.02", ("70.0", "300.0")),
        ("otto", "70.02", ("1.02", "300.0")),
        ("adam", "300.02", ("1.02", "70.0")),
    ],
)
def test_the_page_of_an_agent_shows_medians_one_may_know(
    apart: Served, login: str, mine: str, hidden: tuple[str, ...]
) -> None:
    roles = ("admin",) if login == "adam" else ("reviewer",)
    page = person(apart, login, *roles).get(f"/agents/{apart.agent_id}", headers=HTML).text
    assert mine in page
    assert [figure for figure in hidden if figure in page] == []


def test_the_rules_of_a_repository_are_read_by_who_may_know_of_it(apart: Served) -> None:
    mia = person(apart, "mia", "reviewer")
    assert [p["scope"] for p in mia.get("/v1/policies").json()["items"]] == ["/srv/a"]
    texts: list[str] = []
    for path in ("/policy", "/policy/versions?scope=/srv/a"):
        shown = mia.get(path, headers=HTML)
        assert shown.status_code == 200
        texts.append(shown.text)
    assert "hidden-a" in texts[0]
    assert "hidden-b" not in "".join(texts)
    assert "/srv/b" not in "".join(texts)
    refused = [
        mia.get("/policy/versions?scope=/srv/b", headers=HTML),
        mia.get("/v1/policies/text", params={"scope": "/srv/b"}),
        mia.get("/v1/policies/in-force", params={"repository": "/srv/b"}),
    ]
    assert [r.status_code for r in refused] == [404] * 3
    rows = apart.engine.kernel.store.events(limit=1_000, types=("access.refused",))
    said = [json.loads(r.data)["data"]["why"] for r in rows]
    assert said.count("need to know of the policy of /srv/b") == 3
    own = {"scope": "/srv/a", "proposed": "true"}
    assert "hidden-a" in mia.get("/v1/policies/text", params=own).json()["text"]
    everything: list[Json] = apart.client("operator").get("/v1/policies").json()["items"]
    assert [p["scope"] for p in everything] == ["/srv/a", "/srv/b"]


def test_an_admin_without_a_project_reads_no_figures_and_no_rules_of_one_in_the_log(
    apart: Served,
) -> None:
    adam = person(apart, "adam", "admin")
    found = adam.get("/v1/events", params={"limit": 500}).json()["items"]
    kinds = {e["stream"].partition("/")[0] for e in found}
    assert "person" in kinds
    assert not kinds & {"track", "policy"}


def test_of_each_repository_the_newest_runs_are_kept() -> None:
    track: Track | None = None
    for i in range(NEWEST + 20):
        for where in ("/a", "/b"):
            measure = RunMeasured(
                cast("Any", "ag"), cast("Any", f"{where}{i}"), {"tool_calls": str(i)}, where
            )
            track = evolve(track, measure, cast("Any", None))
    assert track is not None
    assert len(track.runs) == 2 * NEWEST
    assert history(track.runs).runs == {"tool_calls": NEWEST}
