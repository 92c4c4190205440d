"""The mediated merge of an approved review: redeem, merge exactly that commit, record the effect.

A merge is probed afterwards instead of being doubted: whether the target holds the approved commit can be
read from the repository. It is the only effect that is settled without a person.
"""

import logging
from dataclasses import dataclass, replace
from typing import Final

from handfast.client import calls
from handfast.client.request import Json
from handfast.core.domain.action import Call
from handfast.core.domain.errors import (
    AdapterError,
    GateClosed,
    HandfastError,
    RejectedError,
    StaleDecision,
    StaleEpoch,
    StorageError,
)
from handfast.core.domain.inert import inert
from handfast.runner.fence import Fence, check_fence
from handfast.runner.merge import MergeOutcome, MergeStatus, merge, take_back
from handfast.runner.supervisor.carrying import bound_target, carried
from handfast.runner.supervisor.edited import Approved, approved
from handfast.runner.supervisor.ground import Ground
from handfast.runner.supervisor.held import Held, LetGo

MERGE_TOOL: Final = "git.merge"
_TRIES: Final = 5
_PAUSE_S: Final = 0.3
log = logging.getLogger("handfast.runner")


@dataclass(frozen=True, slots=True)
class Merged:
    """`tip` is the target's commit that holds the approved one; '' when nothing was merged, and `why`."""

    tip: str = ""
    why: str = ""


def merge_call(repository: str, target_branch: str, commit: str, target_commit: str = "") -> Call:
    """The call whose digest the approval is bound to."""
    arguments = {"repository": repository, "target_branch": target_branch, "commit": commit}
    if target_commit:
        arguments["target_commit"] = target_commit
    return Call(MERGE_TOOL, arguments, cwd=repository)


def merge_approved(held: Held, ground: Ground, handoff: Json) -> Merged:
    """Use the grant of an approved review. May be called again at any point after a crash.

    Raises LetGo while the kill switch holds, and where another runner has the run by now.
    """
    grant = handoff.get("grant") or {}
    fence = _fenced(held, ground)
    commit = str((handoff["package"].get("review") or {})["head_commit"])
    target = str(held.run["target_branch"])
    bound = bound_target(handoff)
    call = merge_call(str(held.run["repository"]), target, commit, bound)
    work = approved(held, ground, handoff, call)
    effect = handoff.get("effect") or {}
    if effect:
        return _found(ground, target, work, str(effect.get("note") or "it was not merged"))
    if grant.get("status") == "redeemed":
        return _reconcile(held, ground, str(grant["grant_id"]), str(grant["start_id"]), work)
    if bound and grant.get("status") == "minted" and not work.why:
        call, why = carried(held, ground.git, handoff, work)
        if why:
            return Merged(why=why)
        work = replace(work, call=call)
    request = calls.redeem(
        str(grant.get("grant_id", "")),
        work.call.digest,
        executor="mediated",
        run_id=held.run_id,
        epoch=held.epoch,
    )
    tip = str(work.call.arguments.get("target_commit", ""))
    key = f"merge:{handoff['handoff_id']}:{held.epoch}" + (f":{tip}" if tip else "")
    try:
        start = held.send(replace(request, key=key))
    except (GateClosed, StaleDecision) as error:
        if error.code == "kill_switch":
            raise LetGo from None  # the approval holds; it is merged when the agent is let go
        return Merged(why=f"The approval cannot be used any more: {error.message}.")
    return _merge(held, ground, fence, (str(grant["grant_id"]), str(start["start_id"])), work)


def _fenced(held: Held, ground: Ground) -> Fence:
    """Raises LetGo where another runner is ahead of us, or raises its fence at this moment."""
    try:
        return ground.fence(held.epoch)
    except (StaleEpoch, AdapterError) as error:
        log.warning("run `%s`: %s", held.run_id, error.message)
        raise LetGo from None


def _merge(
    held: Held, ground: Ground, fence: Fence, start: tuple[str, str], work: Approved
) -> Merged:
    """`start` is the grant's id and that of its start."""
    grant_id, start_id = start
    call, target = work.call, str(work.call.arguments["target_branch"])
    if work.why:
        _settle(held, grant_id, start_id, call, "none", f"not merged: {work.why}")
        return Merged(why=work.why)
    try:
        note, tip = _attempt(held, ground, fence, work)
    except StaleEpoch:
        raise LetGo from None  # who has the run by now settles it
    except StorageError:
        raise  # nobody says whether the origin took it: the next lease finds out
    except HandfastError as error:
        why = inert(f"{error.message}. {error.hint}", 400, multiline=False)
        found = _found(ground, target, work, f"The approved merge was refused: {why}")
        if not found.tip:
            _settle(held, grant_id, start_id, call, "none", f"not merged: {why}")
            return found
        note, tip = "merged, though git reported a failure", found.tip
    _settle(held, grant_id, start_id, call, "verified", _with_edit(note, work))
    return Merged(tip)


def _with_edit(note: str, work: Approved) -> str:
    return f"{note}, {work.edit}" if work.edit else note


def _attempt(held: Held, ground: Ground, fence: Fence, work: Approved) -> tuple[str, str]:
    """A git that is busy is tried again, and so is a target that moves meanwhile, unless the approval is bound to
    where it stood."""
    target, commit = str(work.call.arguments["target_branch"]), work.commit
    bound = str(work.call.arguments.get("target_commit", ""))
    for attempt in range(_TRIES):
        tip = bound or ground.git.commit_id(f"refs/heads/{target}") or ""
        try:
            done = merge(
                ground.repository,
                target,
                commit,
                tip,
                message=_message(held, target, work),
                fence=fence,
            )
        except AdapterError as error:
            if error.code != "git_busy" or attempt == _TRIES - 1:
                raise
            held.lost.wait(_PAUSE_S)
            continue
        if done.status is not MergeStatus.STALE and _published(ground, fence, done, bound):
            how = "fast-forward" if done.fast_forward else "merge commit"
            if done.status is MergeStatus.ALREADY_MERGED:
                how = "it was there already"
            return f"`{target}` is at {done.target_after} ({how})", done.target_after
    raise AdapterError(f"`{target}` moved each time the merge was tried", code="target_moves")


def _published(ground: Ground, fence: Fence, done: MergeOutcome, bound: str) -> bool:
    """Whether the origin has it now. False when its branch moved meanwhile, and the merge is to be tried again."""
    target = done.target_branch
    try:
        ground.publish(target, done.target_after, done.target_before, fence)
    except RejectedError:
        ground.reach()
        check_fence(ground.git, fence)
        moved = ground.git.commit_id(f"refs/heads/{target}") != done.target_before
        if bound or not moved:
            raise
        return False
    return True


def _message(held: Held, target: str, work: Approved) -> str:
    intent = str((held.run.get("brief") or {}).get("intent", "")).strip().splitlines()
    title = inert(intent[0] if intent else f"Merge {work.commit[:12]}", 72, multiline=False)
    merged = _with_edit(str(work.call.arguments["commit"]), work)
    return (
        f"{title}\n\nMerges {merged} into {target}, as approved.\n\n"
        f"Handfast-Task: {held.run['task_id']}\nHandfast-Run: {held.run_id}\n"
    )


def _reconcile(held: Held, ground: Ground, grant_id: str, start_id: str, work: Approved) -> Merged:
    """The start was taken, and then the runner was lost."""
    call, target = work.call, str(work.call.arguments["target_branch"])
    why = "The runner was lost before the merge; the target does not hold the approved commit."
    found = _found(ground, target, work, why)
    if found.tip:
        note = _with_edit("found merged after a restart", work)
        _settle(held, grant_id, start_id, call, "verified", note)
    else:
        if not work.why:
            _take_back(ground, target, work.commit)
        _settle(held, grant_id, start_id, call, "none", "not merged: the runner was lost before it")
    return found


def _take_back(ground: Ground, target: str, commit: str) -> None:
    """What cannot be taken back does not keep the case from being reviewed again: the next merge goes on
    from it."""
    try:
        take_back(ground.repository, target, commit)
    except HandfastError as error:
        log.warning("a merge that was broken off was not taken back: %s", error.message)


def _found(ground: Ground, target: str, work: Approved, why: str) -> Merged:
    """What the repository itself says. An edit that cannot be made anew is looked for nowhere."""
    if work.why:
        return Merged(why=f"{why} {work.why}")
    commit = work.commit
    tip = ground.git.commit_id(f"refs/heads/{target}")
    if tip is not None and ground.git.commit_id(commit) and ground.git.is_ancestor(commit, tip):
        return Merged(tip)
    return Merged(why=why)


def _settle(held: Held, grant_id: str, start_id: str, call: Call, outcome: str, note: str) -> None:
    digest = call.digest if outcome == "verified" else ""
    request = calls.effect(grant_id, start_id, outcome, executed_digest=digest, note=note[:500])
    held.send(request)
