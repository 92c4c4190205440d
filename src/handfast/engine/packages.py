"""Builds the package of each kind of handoff from what was recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from handfast.core.domain.action import Call, Facts, Judgement, MatchedRule, Verdict
from handfast.core.domain.canonical import digest, sha256
from handfast.core.domain.change import ChangedFile
from handfast.core.domain.codec import encode, format_time
from handfast.core.domain.containment import CONTAINED
from handfast.core.domain.diff_parts import MAX_CHARS, fit
from handfast.core.domain.events_handoff import DecisionKind, HandoffKind
from handfast.core.domain.events_work import Mode
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.inert import inert
from handfast.core.domain.package import (
    FINISHED,
    Attempt,
    Cost,
    DoubtFacts,
    Evidence,
    Package,
    ReviewedWork,
    ShowKind,
    Unshown,
    WhatWillHappen,
)
from handfast.core.domain.reviewed_files import ReviewedFile, editable
from handfast.core.domain.run import Run
from handfast.core.policy import limit_words

MAX_PROSE = 4_000
MAX_INTENT = 1_000


@dataclass(frozen=True, slots=True)
class Shown:
    """The call as a person should read it: the exact command, or a diff of a file. `bounded` says what of it a page
    shows."""

    kind: ShowKind
    text: str


def presented_digest(
    handoff_id: str, action_digest: str, package: Package, offered: tuple[DecisionKind, ...]
) -> str:
    """Names exactly what a reviewer is shown. A decision carries it back."""
    return digest(
        {
            "handoff_id": handoff_id,
            "action_digest": action_digest,
            "package": encode(package),
            "offered": [k.value for k in offered],
        }
    )


def why_now(judgement: Judgement) -> str:
    """The rules that stopped the call, in their own words."""
    stopping = [r for r in judgement.rules if r.verdict is not Verdict.ALLOW]
    return (
        " ".join(f"{r.why.rstrip('.')} (rule `{r.id}`)." for r in stopping)
        or "Policy asks for a person."
    )


def shown_call(call: Call, shown: Shown | None) -> Shown:
    """What to show when the runner sent no rendering: the canonical arguments, readable."""
    if shown is not None:
        return shown
    command = call.arguments.get("command")
    if isinstance(command, str):
        return Shown(ShowKind.COMMAND, command)
    lines = [f"{call.tool}", *(f"  {k}: {v}" for k, v in sorted(call.arguments.items()))]
    return Shown(ShowKind.TEXT, "\n".join(lines))


def bounded(package: Package) -> Package:
    """With no more of the change than can be shown at once; what that leaves out is named."""
    what = package.what_will_happen
    if what.kind is ShowKind.DIFF:
        fitted = fit(what.text)
        text = fitted.text
        unshown = [Unshown(_name(part.path), part.added, part.removed) for part in fitted.unshown]
    else:
        text, left = what.text[:MAX_CHARS], len(what.text) - MAX_CHARS
        unshown = [Unshown(f"the last {left:,} characters")] if left > 0 else []
    if not unshown:
        return package
    return replace(
        package,
        what_will_happen=replace(what, text=text),
        not_seen=(*package.not_seen, not_shown(unshown)),
        unshown=tuple(unshown),
        whole_digest=sha256(what.text.encode("utf-8", "replace")),
    )


def not_shown(unshown: Sequence[Unshown]) -> str:
    """One sentence."""
    names = ", ".join(each.path for each in unshown[:3])
    more = f" and {len(unshown) - 3:,} more" if len(unshown) > 3 else ""
    return f"Too large to be shown here, whole or in part: {names}{more}. All of it is kept, and can be read."


def _name(path: str) -> str:
    return inert(path, 400, multiline=False) or "text that belongs to no file"


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is known of an action before it runs: see `WhatWillHappen`."""

    preview: str = ""
    preview_about: str = ""
    undo: str = ""
    undo_about: str = ""


def approval(
    facts: Facts,
    judgement: Judgement,
    run: Run,
    shown: Shown,
    agent_says: str,
    ahead: Ahead = Ahead(),
) -> Package:
    """An action that waits at a gate. Always complete: an empty call is shown as empty, not returned."""
    what = WhatWillHappen(
        kind=shown.kind,
        text=shown.text if shown.text.strip() else "(empty)",
        details=facts.details,
        hazards=facts.hazards,
        opaque=facts.opaque,
        reversible=facts.reversible,
        preview=ahead.preview,
        preview_about=ahead.preview_about,
        undo=ahead.undo,
        undo_about=ahead.undo_about,
        effect=facts.effect.value,
    )
    return Package(
        ask=inert(facts.summary, 300, multiline=False).strip() or "A call without a description",
        what_will_happen=what,
        why_now=" ".join((why_now(judgement), *limit_words.warnings(run))),
        open_question=_question(facts),
        state=_where(run),
        cost=cost_of(run),
        agent_says=agent_says[:MAX_PROSE],
        pointers=(f"run {run.run_id}",),
        containment=containment(run),
    )


def _question(facts: Facts) -> str:
    if facts.opaque:
        return "Part of this call could not be read. Do you know what it does, and should it run?"
    if facts.reversible is False:
        return "This cannot be undone. Should exactly this run now?"
    return "Should exactly this run now?"


def _where(run: Run) -> str:
    place = run.worktree or run.cwd or "its session"
    return f"The agent waits in {place}. On approval exactly this call runs, once."


def containment(run: Run) -> str:
    said = inert(run.containment, 2_000, multiline=False)
    if run.containment.startswith(CONTAINED):
        held = f"{said[:1].upper()}{said[1:]}."
        return f"Observe mode: nothing is stopped. {held}" if run.mode is Mode.OBSERVE else held
    if run.mode is Mode.OBSERVE:
        return "Observe mode: nothing is stopped."
    filters = (
        "Same user, no sandbox: the gate filters what goes through the hook. "
        "A script that the agent wrote may do anything this user may."
    )
    return f"{filters} {said[:1].upper()}{said[1:]}." if said else filters


def cost_of(run: Run) -> Cost:
    told = run.usage.reported.cost_usd or "0"
    cost = max(run.cost_usd, told, key=Decimal)
    return Cost(cost, run.turns, run.duration_ms, run.counts.steps)


def doubt(about: Handoff, ask: str, shown: Shown, run: Run | None) -> Package:
    """A start whose effect nobody saw."""
    grant = about.grant
    when = format_time(grant.redeemed_at) if grant and grant.redeemed_at else "an unknown time"
    return Package(
        ask=inert(f"May or may not have run: {ask}", 300, multiline=False),
        what_will_happen=WhatWillHappen(
            kind=shown.kind,
            text=shown.text,
            details=(
                "It was approved and started once.",
                "No result was recorded after that: the process that ran it was lost.",
                "Nothing repeats it. Look at what it should have changed, then say what you found.",
            ),
        ),
        why_now="A start has no recorded effect (effect unknown).",
        open_question="Did it take effect? Check, then answer.",
        state="The action is not run again by itself. The run goes on with your answer.",
        cost=cost_of(run) if run else Cost(),
        pointers=(f"handoff {about.handoff_id}",),
        doubt=DoubtFacts(
            started_at=when,
            start_id=grant.start_id if grant else "",
            how_to_check=(
                "Look at what the action should have changed: the files, the remote, the service.",
                "Look at the run's last steps and its output.",
            ),
        ),
    )


@dataclass(frozen=True, slots=True)
class ReviewFacts:
    """Finished work as the runner recorded it, with its diff. `written_at` is when a file of the worktree was
    last written, as its file system says. `since_diff` leads here from `since_commit`, which was sent back. `files`
    are those that a reviewer may edit."""

    work: ReviewedWork
    diff: str
    insertions: int = 0
    deletions: int = 0
    agent_says: str = ""
    details: tuple[str, ...] = ()
    hazards: tuple[str, ...] = ()
    not_seen: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    changes: tuple[ChangedFile, ...] = ()
    written_at: datetime | None = None
    since_commit: str = ""
    since_diff: str = ""
    files: tuple[ReviewedFile, ...] = ()


def review(
    f: ReviewFacts,
    run: Run,
    evidence: tuple[Evidence, ...],
    stopped: Sequence[MatchedRule] = (),
    intent: str = "",
) -> Package:
    """Finished work. `stopped` are the gates of the policy that this merge meets, `intent` is the brief's."""
    files = tuple(editable(file) for file in f.files)
    w = replace(f.work, editable=files, intent=intent[:MAX_INTENT])
    size = f"{len(w.files)} file{'' if len(w.files) == 1 else 's'}, +{f.insertions} -{f.deletions}"
    return Package(
        ask=f"Merge {w.head_commit[:12]} into {w.target_branch}: {size}",
        what_will_happen=WhatWillHappen(
            kind=ShowKind.DIFF,
            text=f.diff or "(no textual change)",
            details=f.details,
            hazards=f.hazards,
            reversible=True,
        ),
        why_now=" ".join(
            (
                FINISHED,
                *(f"{r.why.rstrip('.')} (rule `{r.id}`)." for r in stopped),
                *limit_words.warnings(run),
            )
        ),
        open_question=f"Is this what the brief asks for, and may it go into {w.target_branch}?",
        state=f"On approval exactly commit {w.head_commit} is merged into {w.target_branch}.",
        evidence=evidence,
        attempts=f.attempts,
        cost=cost_of(run),
        agent_says=f.agent_says[:MAX_PROSE],
        pointers=(f"run {run.run_id}", f"branch {run.branch}"),
        not_seen=f.not_seen,
        review=w,
        containment=containment(run),
    )


OFFERED: Mapping[HandoffKind, tuple[DecisionKind, ...]] = {
    HandoffKind.APPROVAL: (
        DecisionKind.APPROVE,
        DecisionKind.APPROVE_WITH_EDITS,
        DecisionKind.REQUEST_CHANGES,
        DecisionKind.REJECT,
    ),
    HandoffKind.REVIEW: (
        DecisionKind.APPROVE,
        DecisionKind.REQUEST_CHANGES,
        DecisionKind.REJECT,
    ),
    HandoffKind.ESCALATION: (
        DecisionKind.APPROVE,
        DecisionKind.ANSWER,
        DecisionKind.REQUEST_CHANGES,
        DecisionKind.REJECT,
        DecisionKind.TAKE_OVER,
    ),
    HandoffKind.QUESTION: (DecisionKind.ANSWER, DecisionKind.REJECT),
    HandoffKind.DOUBT: (DecisionKind.ANSWER,),
}
OVERRIDE_REVIEWED = (DecisionKind.APPROVE, DecisionKind.REJECT)
