"""A target that moved after the approval of a merge that is bound to it: proved to be harmless, or asked again."""

from dataclasses import replace

from handfast.client import grant_calls
from handfast.client.request import Json
from handfast.core.domain.action import Call
from handfast.core.domain.errors import HandfastError
from handfast.runner.carry import carry_proof
from handfast.runner.git import Git
from handfast.runner.supervisor.edited import Approved
from handfast.runner.supervisor.held import Held


def bound_target(handoff: Json) -> str:
    """The commit of the target that the approval is bound to now; '' when it is bound to none."""
    arguments = (handoff.get("action") or {}).get("arguments") or {}
    approved = str(arguments.get("target_commit") or "")
    return str(handoff.get("target_commit") or approved) if approved else ""


def carried(held: Held, git: Git, handoff: Json, work: Approved) -> tuple[Call, str]:
    """The call to redeem, and '' or why the approval does not hold any more: then its grant is closed. What is proved
    is about the commit that is merged, the reviewer's edit with it."""
    call, commit, arguments = work.call, work.commit, work.call.arguments
    bound = str(arguments["target_commit"])
    tip = git.commit_id(f"refs/heads/{arguments['target_branch']}") or ""
    if tip == bound or (tip and git.is_ancestor(commit, tip)):
        return call, ""
    now = replace(call, arguments={**arguments, "target_commit": tip})
    try:
        proof = carry_proof(git, commit, bound, tip) if tip else None
    except HandfastError:
        proof = None  # what cannot be proved is asked again
    approved = {"commit": str(arguments["commit"])}
    fields = {**(proof.fields() | approved if proof else {}), "attempted": now.digest}
    answer = held.send(grant_calls.carried_over(str(handoff["handoff_id"]), fields))
    if answer.get("carried") is True and answer.get("action_digest") == now.digest:
        return now, ""
    why = str(answer.get("why") or "the server bound it to another merge")
    return call, (
        f"The target moved since this was approved, from {bound[:12]} to {tip[:12]}: {why}. "
        "Nothing was merged; look at it again."
    )
