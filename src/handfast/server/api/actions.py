"""The gate check and what came of it: proposals, recorded reads, results, finished work, questions."""

from datetime import UTC

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.responses import Response

from handfast.core.domain.action import Effect, Facts
from handfast.core.domain.errors import UsageError
from handfast.core.domain.package import CommandRun, Commit, ReviewedWork, WrittenPart
from handfast.engine.actions import Read, StepResult
from handfast.engine.gating import Proposal
from handfast.engine.packages import ReviewFacts
from handfast.engine.reviews import FinishedWork
from handfast.engine.runs import Pause
from handfast.server.api import contents
from handfast.server.api import schema_gate as schema
from handfast.server.api import schema_handoff as handed
from handfast.server.api import schema_review as reviewed
from handfast.server.api.schema_work import Reply
from handfast.server.api.tasks import Key
from handfast.server.identity import Caller, CallerDep

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["gate"])


@router.post("/actions", response_model=schema.Verdict)
def propose_action(
    caller: CallerDep, run_id: str, asked: schema.ActionIn, idempotency_key: Key = ""
) -> Response:
    """Ask before a call is made. On `wait`, wait for the handoff and then propose the same call again.

    A call equal to an approved one redeems its grant: `allow` then means that this caller holds the
    one start there will ever be.
    """
    caller.holds(run_id)
    proposal = Proposal(
        run_id=run_id,
        key=asked.key,
        call=asked.call.call(),
        facts=_facts(caller, asked),
        executor=asked.executor,
        shown=asked.shown.shown() if asked.shown and not caller.is_agent else None,
        subagent=asked.subagent,
        agent_says=asked.agent_says,
        epoch=asked.epoch,
        request_key=caller.key(idempotency_key),
        wait_possible=asked.wait_possible,
        require_approval=asked.require_approval,
        preview=asked.preview,
        undo=asked.undo,
        previews=asked.previews and not caller.is_agent,
        previewed=asked.previewed.previewed() if asked.previewed and not caller.is_agent else None,
        operand_texts=asked.operand_texts,
    )
    with caller.engine.kernel.telemetry.span("handfast.gate.check") as span:
        result = caller.engine.actions.propose(caller.actor, proposal)
        span.add({"verdict": str(result["verdict"]), "risk": str(result["risk"])})
    judged = {"verdict": result["would"], "risk": result["risk"], "rules": result["rules"]}
    return _written(schema.Verdict.model_validate({**result, "judgement": judged}))


def _facts(caller: Caller, asked: schema.ActionIn) -> Facts:
    """A runner reads facts from the real call. What an agent says of itself is no fact: it is gated."""
    if caller.is_agent:
        summary = f"{asked.call.tool} (as the agent describes it)"[:200]
        return Facts(Effect.EXEC, summary, opaque=("reported-by-agent",))
    if asked.facts is None:
        raise UsageError("`facts` is missing", hint="Send what was read from the real call.")
    return asked.facts.facts()


@router.post("/steps", response_model=schema.Recorded)
def record_reads(
    caller: CallerDep, run_id: str, asked: schema.ReadsIn, idempotency_key: Key = ""
) -> Response:
    """Record reads that the runner classified and let through by itself, in a batch."""
    reads = [
        Read(step.key, step.call.call(), step.facts.facts(), step.at.astimezone(UTC))
        for step in asked.steps
    ]
    recorded = caller.engine.actions.record_reads(
        caller.actor, run_id, reads, caller.key(idempotency_key)
    )
    return _written(schema.Recorded.model_validate(recorded))


@router.post("/results", response_model=schema.Settled)
def record_result(caller: CallerDep, run_id: str, asked: schema.ResultIn) -> Response:
    """What came of a call, by its key. Settles a start of the agent's own tool as `reported`. Idempotent."""
    caller.run(run_id)
    result = StepResult(
        run_id=run_id,
        key=asked.key,
        exit_code=asked.exit_code,
        failed=asked.failed or bool(asked.error),
        duration_ms=asked.duration_ms,
        output=contents.text(caller, asked.output_body_id, asked.output or asked.error),
        usage=asked.usage.reported() if asked.usage else None,
    )
    settled = caller.engine.actions.record_result(caller.actor, result)
    return _written(schema.Settled.model_validate(settled))


def _written(reply: Reply) -> Response:
    """Written in the thread that made it: a model would be handed to another thread for that."""
    return Response(reply.model_dump_json(), media_type="application/json")


def direct_routes() -> list[APIRoute]:
    """What an agent waits for at every call. See `server.direct`."""
    direct = (propose_action, record_reads, record_result)
    return [r for r in router.routes if isinstance(r, APIRoute) and r.endpoint in direct]


@router.post("/reviews", status_code=201)
def open_review(
    caller: CallerDep, run_id: str, asked: reviewed.ReviewIn, idempotency_key: Key = ""
) -> reviewed.ReviewOpened:
    """Hand finished work to a person and pause the run."""
    work = FinishedWork(
        run_id=caller.holds(run_id),
        epoch=asked.epoch,
        facts=_review(caller, asked),
        pause=Pause(
            asked.snapshot_ref,
            asked.snapshot_commit,
            contents.content(caller, asked.session_body_id),
        ),
        request_key=caller.key(idempotency_key),
        returns=asked.returns,
    )
    return reviewed.ReviewOpened.model_validate(caller.engine.reviews.open(caller.actor, work))


def _review(caller: Caller, asked: reviewed.ReviewIn) -> ReviewFacts:
    kept = reviewed.files_in(contents.content(caller, asked.files_body_id))
    work = ReviewedWork(
        base_commit=asked.base_commit,
        head_commit=asked.head_commit,
        target_branch=asked.target_branch,
        commits=tuple(Commit(c.commit, c.subject) for c in asked.commits),
        commands=tuple(
            CommandRun(c.command, c.exit_code, c.duration_ms, c.step_id) for c in asked.commands
        ),
        files=asked.files,
        outside_scope=asked.outside_scope,
        powerful=asked.powerful,
        symlinks=asked.symlinks,
        submodules=asked.submodules,
        mode_changes=asked.mode_changes,
        target_commit=asked.target_commit,
        parts=tuple(
            WrittenPart(p.person_id, p.commits, p.files, p.changed_since) for p in asked.parts
        ),
        tree=kept.tree,
        left_out=kept.without(),
    )
    return ReviewFacts(
        work=work,
        diff=contents.text(caller, asked.diff_body_id, asked.diff),
        insertions=asked.insertions,
        deletions=asked.deletions,
        agent_says=asked.agent_says,
        details=asked.details,
        hazards=asked.hazards,
        not_seen=asked.not_seen,
        attempts=tuple(a.attempt() for a in asked.attempts),
        changes=tuple(each.changed() for each in asked.changes),
        since_commit=asked.since_commit,
        since_diff=contents.text(caller, asked.since_diff_body_id, asked.since_diff),
        written_at=asked.written_at.astimezone(UTC) if asked.written_at else None,
        files=kept.reviewed(),
    )


@router.post("/questions", status_code=201)
def ask_question(caller: CallerDep, run_id: str, asked: handed.QuestionIn) -> handed.Noted:
    """A question of the agent's to a person. Its words are shown as the agent's."""
    caller.run(run_id)
    return handed.Noted.model_validate(
        caller.engine.reviews.ask(caller.actor, run_id, asked.question, blocking=asked.blocking)
    )
