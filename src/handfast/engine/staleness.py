"""What changed since an earlier form of an action was asked about or approved: arguments, or what it depends on."""

import json
from collections.abc import Mapping, Sequence
from typing import cast

from handfast.core.domain.action import Call
from handfast.core.domain.canonical import digest
from handfast.core.domain.codec import decode, format_time
from handfast.core.domain.events_handoff import DecisionKind, HandoffKind
from handfast.core.domain.handoff import GrantStatus, Handoff
from handfast.core.domain.package import ChangedOperand, ChangedSince
from handfast.core.domain.run import OpenStep, Run
from handfast.engine.kernel import Kernel, Unit
from handfast.engine.operand_texts import difference, read_back
from handfast.engine.packages import shown_call
from handfast.engine.projections import BY_NAME, load, match_of_form
from handfast.storage.api import Query

APPROVED = (DecisionKind.APPROVE, DecisionKind.APPROVE_WITH_EDITS)
MAX_BEFORE = 20_000


def form_of(call: Call, action_digest: str) -> str:
    """The digest of a call without what it depends on: equal for the same words over another script."""
    return digest({**call.canonical(), "operands": []}) if call.operands else action_digest


def of_form(kernel: Kernel, run: Run, form: str, action_digest: str) -> list[Handoff]:
    """The newest handoffs of a run about this call, whatever it depended on, and about edits that led to it;
    newest first. As they are stored: read the one that matters in the unit of work."""
    names = dict.fromkeys((form, action_digest))
    queries = [
        Query("handoff", match=match_of_form(run.run_id, name), newest_first=True, limit=100)
        for name in names
    ]
    rows = [row for query in queries for row in kernel.store.find(query)]
    rows.sort(key=lambda row: row.opened, reverse=True)
    return [cast("Handoff", load(BY_NAME["handoff"], row.doc)) for row in rows]


def earlier_form(
    unit: Unit, step: OpenStep | None, form: str, action_digest: str, same: Sequence[Handoff]
) -> Handoff | None:
    """The newest handoff about a call in another form: of the same call of the harness, whose open `step` this
    is, or in the same words with other operands, among `same` as `of_form` gave them."""
    if step is not None and step.handoff_id and step.action_digest != action_digest:
        found = unit.get(Handoff, step.handoff_id)
        if found.kind is HandoffKind.APPROVAL:
            return found
    for h in same:
        other = h.form_digest == form and h.action_digest != action_digest
        if other and h.kind is HandoffKind.APPROVAL:
            return unit.get(Handoff, h.handoff_id)
    return None


def goes_stale(h: Handoff) -> bool:
    """Whether a question that waits, or a permission for one start, is over when its action has changed."""
    grant = h.grant
    unused = grant is not None and grant.status is GrantStatus.MINTED and grant.uses == 1
    return h.waiting or unused


def changed_since(
    kernel: Kernel, earlier: Handoff, call: Call, texts: Mapping[str, str]
) -> ChangedSince | None:
    """The two forms side by side. None where the earlier one was erased. `texts` are those of the files that this
    call depends on."""
    if earlier.action is None:
        return None
    content = kernel.vault.open(earlier.action.body_id)
    if content.erased:
        return None
    before = decode(Call, cast("dict[str, object]", json.loads(content.data)))
    old, new = ({o.path: o.digest for o in c.operands} for c in (before, call))
    kept = read_back(kernel, earlier.operand_texts)
    diffs = {p: difference(p, kept[p], texts[p]) for p in kept.keys() & texts.keys()}
    operands = tuple(
        ChangedOperand(path, old.get(path, ""), new.get(path, ""), diffs.get(path, ""))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    )
    words = before.arguments != call.arguments or before.tool != call.tool
    decision = earlier.decision
    return ChangedSince(
        handoff_id=earlier.handoff_id,
        approved=decision is not None and decision.kind in APPROVED,
        decided_by=decision.person_id if decision else "",
        decided_at=format_time(decision.at) if decision else "",
        before=shown_call(before, None).text[:MAX_BEFORE] if words else "",
        before_digest=earlier.action_digest,
        operands=operands[:50],
        moved="" if before.cwd == call.cwd else before.cwd,
    )
