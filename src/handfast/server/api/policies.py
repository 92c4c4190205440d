"""The policies in force: read, proposed, approved, declined. Changing rules is a person's, proven by session or PIN."""

from typing import Annotated

from fastapi import APIRouter, Query

from handfast.core.domain.publication import ORGANISATION
from handfast.server.api import schema_policy as schema
from handfast.server.identity import CallerDep

router = APIRouter(prefix="/v1/policies", tags=["policy"])
Scope = Annotated[str, Query(max_length=4096)]


@router.get("")
def list_policies(caller: CallerDep) -> schema.PolicyList:
    """Every scope with what is in force and what is proposed, the organisation's first. Of repositories those
    whose work the caller may know of."""
    sight, knowing = caller.sight, caller.engine.knowing
    found = [
        p for p in caller.engine.policies.list() if knowing.sees_policy(sight, str(p["scope"]))
    ]
    return schema.PolicyList.model_validate({"items": found})


@router.get("/text")
def get_policy_text(
    caller: CallerDep, scope: Scope = ORGANISATION, *, proposed: bool = False
) -> schema.PolicyText:
    """The exact text in force, or proposed; empty where there is none."""
    text = caller.engine.policies.text(caller.policy(scope), proposed=proposed)
    return schema.PolicyText(scope=scope, text=text)


@router.get("/in-force")
def get_policies_in_force(caller: CallerDep, repository: Scope = "") -> schema.InForceOut:
    """The texts that hold for a repository, for a program that judges reads by itself."""
    return schema.InForceOut.model_validate(
        caller.engine.policies.texts_in_force(caller.policy(repository))
    )


@router.post("", status_code=201)
def propose_policy(caller: CallerDep, asked: schema.PolicyIn) -> schema.PolicyChanged:
    """Propose a policy. In force at once where nobody but the author could approve it."""
    person = caller.person(asked.person, asked.pin)
    result = caller.engine.policies.propose(person, asked.scope, asked.text, asked.reason)
    return schema.PolicyChanged.model_validate(result)


@router.post("/approve")
def approve_policy(caller: CallerDep, asked: schema.PolicyVerdictIn) -> schema.PolicyChanged:
    """Put what is proposed into force. Not for its author, where there is somebody else."""
    person = caller.person(asked.person, asked.pin)
    result = caller.engine.policies.approve(person, asked.scope, asked.digest)
    return schema.PolicyChanged.model_validate(result)


@router.post("/decline")
def decline_policy(caller: CallerDep, asked: schema.PolicyVerdictIn) -> schema.PolicyChanged:
    """Refuse what is proposed, or take it back. What is in force stays in force."""
    person = caller.person(asked.person, asked.pin)
    result = caller.engine.policies.decline(person, asked.scope, asked.digest, asked.reason)
    return schema.PolicyChanged.model_validate(result)
