"""Handoffs and decisions: listed, read, waited for, decided."""

import time
from datetime import timedelta
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from handfast.core.domain.errors import AlreadyDecided, NotPermitted, UsageError
from handfast.core.domain.grant_scope import AS_THE_RULE_SAYS
from handfast.engine.changes import whole_change
from handfast.engine.handoffs import Decision
from handfast.engine.overrides import Emergency
from handfast.engine.review_files import files_view
from handfast.server.api import schema_handoff as schema
from handfast.server.api import schema_routing as routed
from handfast.server.api.schema_proof import Proof
from handfast.server.api.schema_review import ReviewFilesOut, edited_files
from handfast.server.api.tasks import After, Key, Limit
from handfast.server.identity import Caller, CallerDep
from handfast.server.identity import caller as known
from handfast.server.waiting import hub_of, until_settled

router = APIRouter(prefix="/v1/handoffs", tags=["handoffs"])
Named = Annotated[str, Query(max_length=64)]


@router.get("")
def list_handoffs(
    caller: CallerDep,
    status: schema.StatusGroup = "waiting",
    run_id: Named = "",
    task_id: Named = "",
    after: After = "",
    limit: Limit = 50,
) -> schema.HandoffPage:
    """Waiting ones by need, risk and age, others newest first. An agent names one of its own runs."""
    if caller.is_agent:
        if not run_id:
            raise UsageError("`run_id` is missing", hint="Name the run whose handoffs you want.")
        caller.run(run_id)
    page = caller.engine.views.handoffs(
        status, run_id=run_id, task_id=task_id, after=after, limit=limit, within=caller.sight
    )
    return schema.HandoffPage.model_validate({"items": page.items, "next": page.next})


@router.get("/{handoff_id}")
def get_handoff(caller: CallerDep, handoff_id: str) -> schema.HandoffOut:
    """Everything a reviewer needs, and what became of it."""
    caller.handoff(handoff_id)
    return _shown(caller, handoff_id)


@router.get("/{handoff_id}/files")
def get_review_files(caller: CallerDep, handoff_id: str) -> ReviewFilesOut:
    """The files of finished work that a reviewer may edit: before, as the agent made them, and as edited."""
    caller.handoff(handoff_id)
    return ReviewFilesOut.model_validate(files_view(caller.engine.kernel, handoff_id))


@router.get(
    "/{handoff_id}/changes",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def get_changes(caller: CallerDep, handoff_id: str) -> Response:
    """The whole diff, also where it is too large to be shown with the handoff."""
    caller.handoff(handoff_id)
    found = whole_change(caller.engine.kernel, handoff_id)
    return Response(found.encode("utf-8", "replace"), media_type="text/plain; charset=utf-8")


@router.get("/{handoff_id}/wait")
async def wait_handoff(
    request: Request,
    caller: CallerDep,
    handoff_id: str,
    timeout_s: Annotated[float, Query(ge=0, le=300)] = 30,
) -> schema.WaitOut:
    """Answers as soon as nothing is waited for any more, else after `timeout_s` with `decided` false."""
    await to_thread.run_sync(caller.handoff, handoff_id)
    deadline = time.monotonic() + timeout_s
    decided = await until_settled(hub_of(request), caller.engine, handoff_id, deadline)
    handoff = await to_thread.run_sync(_shown_now, request, handoff_id)
    return schema.WaitOut(decided=decided, handoff=handoff)


def _shown_now(request: Request, handoff_id: str) -> schema.HandoffOut:
    """After a wait: the credential and what its holder may know of may have ended meanwhile."""
    now = known(request)
    now.handoff(handoff_id)
    return _shown(now, handoff_id)


def _shown(caller: Caller, handoff_id: str) -> schema.HandoffOut:
    return schema.HandoffOut.model_validate(caller.engine.views.handoff(handoff_id))


@router.post("/{handoff_id}/decisions", status_code=201)
def decide_handoff(
    caller: CallerDep, handoff_id: str, asked: schema.DecisionIn, idempotency_key: Key = ""
) -> schema.HandoffOut:
    """A person's decision, or their approval towards what it takes: then `decision` stays empty.

    The first decision wins; a later one gets 409 with who decided and when.
    """
    person = caller.decider(asked.person, asked.pin, handoff_id)
    decision = Decision(
        handoff_id=handoff_id,
        kind=asked.kind,
        presented_digest=asked.presented_digest,
        reason=asked.reason,
        edited=asked.edited,
        answer=asked.answer,
        request_key=caller.key(asked.idempotency_key or idempotency_key, person),
        scope=asked.scope.wanted(caller.engine.kernel.clock.now())
        if asked.scope
        else AS_THE_RULE_SAYS,
        edited_files=edited_files(asked.edited_files),
        covers_unshown=asked.covers_unshown,
    )
    try:
        done = caller.engine.handoffs.decide(person, decision)
    except AlreadyDecided as e:
        e.details["decided_by_name"] = caller.engine.people.name(str(e.details["decided_by"]))
        raise
    except NotPermitted as e:
        could = e.details.get("could")
        if isinstance(could, list):
            e.details["could_names"] = [caller.engine.people.name(p) for p in could]
        raise
    return _shown(caller, str(done["handoff_id"]))


@router.post("/{handoff_id}/acknowledge")
def acknowledge_handoff(
    caller: CallerDep, handoff_id: str, asked: Proof | None = None
) -> schema.Holding:
    """'I have it': shown to the others. It does not keep them from deciding. Idempotent."""
    proof = asked or Proof()
    person = caller.decider(proof.person, proof.pin, handoff_id)
    return schema.Holding.model_validate(caller.engine.handoffs.acknowledge(person, handoff_id))


@router.post("/{handoff_id}/release")
def release_handoff(
    caller: CallerDep, handoff_id: str, asked: Proof | None = None
) -> schema.Holding:
    """Give back what was acknowledged."""
    proof = asked or Proof()
    person = caller.decider(proof.person, proof.pin, handoff_id)
    return schema.Holding.model_validate(caller.engine.handoffs.release(person, handoff_id))


@router.post("/{handoff_id}/unvote")
def withdraw_vote(caller: CallerDep, handoff_id: str, asked: Proof | None = None) -> schema.Noted:
    """Take back one's approval, while it has decided nothing."""
    proof = asked or Proof()
    person = caller.decider(proof.person, proof.pin, handoff_id)
    return schema.Noted.model_validate(caller.engine.handoffs.unvote(person, handoff_id))


@router.post("/{handoff_id}/route")
def route_handoff(caller: CallerDep, handoff_id: str, asked: routed.RouteIn) -> routed.Routed:
    """Ask somebody else instead. Who may decide, and the whole deadline, stay as they are."""
    person = caller.decider(asked.person, asked.pin, handoff_id)
    done = caller.engine.handoffs.re_route(person, handoff_id, asked.to, asked.reason)
    return routed.Routed.model_validate(done)


@router.post("/{handoff_id}/snooze")
def snooze_handoff(caller: CallerDep, handoff_id: str, asked: routed.SnoozeIn) -> routed.Snoozed:
    """Hide it from its holder's inbox for so many seconds. Deadlines go on."""
    person = caller.decider(asked.person, asked.pin, handoff_id)
    until = caller.engine.kernel.clock.now() + timedelta(seconds=asked.for_s)
    done = caller.engine.handoffs.snooze(person, handoff_id, until)
    return routed.Snoozed.model_validate(done)


@router.post("/{handoff_id}/override", status_code=201)
def override_handoff(
    caller: CallerDep, handoff_id: str, asked: routed.OverrideIn, idempotency_key: Key = ""
) -> routed.Overridden:
    """An emergency: an admin or operator approves in place of all that it takes. Another must review it."""
    person = caller.decider(asked.person, asked.pin, handoff_id)
    key = caller.key(asked.idempotency_key or idempotency_key, person)
    given = Emergency(handoff_id, asked.presented_digest, asked.reason, key)
    return routed.Overridden.model_validate(caller.engine.overrides.override(person, given))


@router.post("/{handoff_id}/comments", status_code=201)
def comment_handoff(caller: CallerDep, handoff_id: str, asked: schema.CommentIn) -> schema.Noted:
    """Goes into the timeline. It decides nothing."""
    caller.handoff(handoff_id)
    result = caller.engine.handoffs.comment(caller.actor, handoff_id, asked.text)
    return schema.Noted.model_validate(result)


@router.post("/{handoff_id}/viewed", status_code=201)
def view_handoff(caller: CallerDep, handoff_id: str, asked: schema.ViewedIn) -> schema.Noted:
    """Record that the caller had the case before them, and for how long."""
    caller.handoff(handoff_id)
    result = caller.engine.handoffs.viewed(caller.actor, handoff_id, asked.ms)
    return schema.Noted.model_validate(result)


@router.post("/{handoff_id}/rating", status_code=201)
def rate_handoff(caller: CallerDep, handoff_id: str, asked: schema.RatingIn) -> schema.Noted:
    """Rate the package: good, or lacking, and what. Only who decided on it, approved it or holds it."""
    result = caller.engine.ratings.rate(
        caller.decider(asked.person, asked.pin, handoff_id),
        handoff_id,
        good=asked.good,
        lacks=[part.value for part in asked.lacks],
        note=asked.note,
    )
    return schema.Noted.model_validate(result)
