"""The registry of agents, and what is known of one."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from handfast.core.domain.agent import Agent
from handfast.engine.agent_records import agent_limits, agent_record, newest_runs
from handfast.engine.filled import full
from handfast.server.pages.reader import ReaderDep, page
from handfast.server.pages.runs import titled
from handfast.server.web.agent_view import agent_page, agents_page

router = APIRouter(prefix="/agents")
RUNS = 20


@router.get("")
def show_agents(
    reader: ReaderDep, search: Annotated[str, Query(alias="q", max_length=100)] = ""
) -> Response:
    now = reader.engine.kernel.clock.now()
    found = reader.engine.views.agents()
    return page("agents.html", agents_page(found, shell=reader.shell(), now=now, search=search))


@router.get("/{agent_id}")
def show_agent(reader: ReaderDep, agent_id: str) -> Response:
    engine = reader.engine
    agent = engine.kernel.state(Agent, agent_id)
    sight = reader.sight
    known = newest_runs(engine.kernel, agent_id, RUNS, sight)
    runs = [engine.views.run_summary(run) for run in known]
    context = agent_page(
        full(agent),
        agent_record(engine.kernel, agent_id, sight),
        [titled(run) for run in runs],
        agent_limits(engine.kernel, engine.policies, agent_id, sight),
        shell=reader.shell(),
        now=engine.kernel.clock.now(),
    )
    return page("agent.html", context)
