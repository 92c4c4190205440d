"""What conditions get to see of a proposed call: put together from the call, its run, agent and task."""

from decimal import Decimal

from handfast.core.domain.action import Call, Facts
from handfast.core.domain.agent import Agent
from handfast.core.domain.containment import CONTAINED
from handfast.core.domain.run import Run
from handfast.core.domain.task import Task
from handfast.core.policy.subject import (
    AgentFacts,
    Moment,
    RunFacts,
    Subject,
    TaskFacts,
    call_facts,
    change_facts,
)
from handfast.engine.kernel import Unit


def subject_of(
    unit: Unit, run: Run, call: Call, facts: Facts, *, executor: str = "", subagent: str = ""
) -> Subject:
    """Reads the agent and the task in the unit of work that asks."""
    told = run.usage.reported
    agent = unit.find(Agent, run.agent_id)
    task = unit.find(Task, run.task_id) if run.task_id else None
    return Subject(
        call=call_facts(call, facts, executor=executor, subagent=subagent),
        request=Moment(unit.now),
        change=change_facts(facts),
        agent=AgentFacts(agent.agent_id, agent.name, agent.harness) if agent else AgentFacts(),
        run=RunFacts(
            id=run.run_id,
            repository=run.root,
            branch=run.branch,
            cost_usd=float(max(Decimal(run.cost_usd), Decimal(told.cost_usd or "0"))),
            tool_calls=run.counts.steps,
            failed_calls=run.counts.failed,
            stopped_calls=run.counts.stopped,
            contained=run.containment.startswith(CONTAINED),
            confidence=float(told.confidence) if told.confidence else None,
        ),
        task=TaskFacts(task.task_id, task.target_branch) if task else TaskFacts(),
    )
