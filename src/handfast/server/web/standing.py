"""Where a handoff stands, in words that keep its endings apart.

Nobody answered, refused, blocked by policy, approved by a machine, superseded and withdrawn are
different things to whoever reads the record later, so each has its own words.
"""

from dataclasses import dataclass
from datetime import datetime

from handfast.core.domain.handoff import REFUSED
from handfast.server.web.reading import Record, flag, mapping, moment, number, records, text, texts
from handfast.server.web.wording import DECIDED_WORDS, EFFECTS, EXECUTORS, GRANTS, WAITING

_NOTHING_RAN = "Nothing ran."
# code → (headline, sentence, tone)
_ENDINGS = {
    "expired": (
        "Nobody answered",
        "The deadline passed without a decision. That is not an approval: nothing ran.",
        "warn",
    ),
    "silence_refused": (
        "Nobody answered: refused",
        "The deadline passed, and the policy counts that as a refusal. Nothing ran; an equal call stays denied.",
        "bad",
    ),
    "superseded": (
        "Superseded",
        "What was asked changed before anyone decided. A newer handoff took its place; nothing ran.",
        "quiet",
    ),
    "stale": (
        "Approved, then overtaken",
        "The call changed after the approval, or a file it depends on did. The permission ended with that; nothing ran on it.",
        "warn",
    ),
    "incomplete": (
        "Back with the agent",
        "The package lacked something a reviewer needs. Nobody was asked; the agent was told what.",
        "quiet",
    ),
    "grant_expired": (
        "Approved, never used",
        "The permission expired before anything started. Nothing ran, and nothing can run on it.",
        "quiet",
    ),
    "scope_ended": (
        "Approved, used in part",
        "The permission ended before every start of it was taken. What ran is listed.",
        "quiet",
    ),
    "revoked": (
        "Permission taken back",
        "A person revoked what was left of the approval. Nothing more can run on it.",
        "warn",
    ),
    "blocked_by_policy": (
        "Blocked by policy",
        "A rule refuses this always. Nobody was asked, and nothing ran.",
        "bad",
    ),
    "auto_proceed": (
        "Approved by a machine",
        "A policy let it go on; no person decided.",
        "warn",
    ),
    "sampled": (
        "Approved by a machine, kept for audit",
        "A policy let it go on and marked it for a person to check afterwards.",
        "warn",
    ),
}
# by the reason that is recorded with it
_WITHDRAWN = {
    "the run ended": "The run ended before anyone decided. Nothing ran.",
    "a person took the run over": "A person took the run over before anyone decided. Its agent may do nothing until it "
    "is handed back; nothing ran.",
}
_TAKEN_BACK = "It was taken back before anyone decided. Nothing ran."
_STALE_GRANT = "Ended unused: it covers only what was approved. It can no longer run."
_AFTER_A_LIMIT = {
    "approve": "The run goes on, with more room under this limit.",
    "answer": "The answer goes to the agent, and the run goes on with more room under this limit.",
    "request_changes": "The text goes to the agent, and the run goes on with more room under this limit.",
    "reject": "The run was stopped. What it did before stays as it is.",
}
_ANSWERS = {"it_ran": "It ran.", "it_did_not_run": "It did not run."}
_TONES = {"approve": "good", "approve_with_edits": "good", "answer": "good", "reject": "bad"}


@dataclass(frozen=True, slots=True)
class Standing:
    """`code` is stable and tested; `tone` (good, bad, warn, quiet, open) only chooses a colour."""

    code: str
    headline: str
    sentence: str
    tone: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a decided or finished handoff, in the order a reader asks."""

    standing: Standing
    decided_by: str
    decided_at: datetime | None
    reason: str
    answer: str
    edited_command: str
    ran: str
    outcome_code: str
    outcome: str
    exit_code: int | None
    note: str
    settled_at: datetime | None
    output_body_id: str
    executor: str
    grant: str
    grant_expires_at: datetime | None
    successor: str = ""
    used: str = ""
    may_take_back: bool = False
    may_undo: bool = False


def standing_of(handoff: Record) -> Standing:
    """The one state a reader needs, from status, decision and outcome."""
    status, outcome = text(handoff, "status"), text(handoff, "outcome")
    kind = text(mapping(handoff, "decision"), "kind")
    if outcome == REFUSED:
        return Standing("silence_refused", *_ENDINGS["silence_refused"])
    if status == "withdrawn":
        return Standing(status, "Withdrawn", _WITHDRAWN.get(outcome, _TAKEN_BACK), "quiet")
    for code in (outcome, kind, status):
        if code in _ENDINGS:
            return Standing(code, *_ENDINGS[code])
    if kind in DECIDED_WORDS:
        return _decided(handoff, kind)
    if status in WAITING:
        return Standing("waiting", "Waiting for a decision", "Nobody has decided yet.", "open")
    return Standing(status or "unknown", status.capitalize() or "Not known", "", "quiet")


def receipt_of(handoff: Record) -> Receipt | None:
    """The receipt, or None while a decision is still waited for."""
    standing = standing_of(handoff)
    if standing.code in ("waiting", "unknown"):
        return None
    decision, grant = mapping(handoff, "decision"), mapping(handoff, "grant")
    effect = mapping(handoff, "effect")
    outcome_code = text(effect, "outcome")
    may_start = text(grant, "status") == "minted"
    edited = decision.get("edited_call")
    return Receipt(
        standing=standing,
        decided_by=_who(handoff),
        decided_at=moment(decision, "at"),
        reason=text(decision, "reason"),
        answer=_ANSWERS.get(text(decision, "answer"), text(decision, "answer")),
        edited_command=_edited_merge(edited) or text(decision, "edited_text") or _command_of(edited)
        if isinstance(edited, dict | str)
        else "",
        ran=_what_ran(handoff, outcome_code),
        outcome_code=outcome_code,
        outcome=EFFECTS.get(outcome_code, ""),
        exit_code=number(effect, "exit_code"),
        note=text(effect, "note") or _why_final(handoff),
        settled_at=moment(effect, "at"),
        output_body_id=text(effect, "output_body_id"),
        executor=EXECUTORS.get(text(grant, "executor"), ""),
        grant=_STALE_GRANT if standing.code == "stale" else GRANTS.get(text(grant, "status"), ""),
        grant_expires_at=moment(grant, "expires_at") if may_start else None,
        successor=text(handoff, "successor"),
        used=_used(grant),
        may_take_back=may_start,
        may_undo=_may_undo(handoff, outcome_code),
    )


def _may_undo(handoff: Record, outcome_code: str) -> bool:
    """Whether something ran that says how it is undone; whether that may be asked for, the engine says."""
    will = mapping(mapping(handoff, "package"), "what_will_happen")
    ran = outcome_code in ("verified", "reported", "unknown")
    edited = mapping(handoff, "decision").get("edited_call")
    return ran and bool(text(will, "undo")) and not edited


def _used(grant: Record) -> str:
    """How often a permission for several starts was used; empty for one start."""
    uses, used = number(grant, "uses") or 1, number(grant, "used") or 0
    if uses < 2 and used < 2:
        return ""
    ends = [text(x, "outcome") for x in records(grant, "effects", 100)]
    said = f" ({', '.join(ends)})" if ends else ""
    return f"{used} of {uses} times, for this {text(grant, 'span', 'run')}{said}"


def decider(handoff: Record) -> str:
    """Who decided: a person's name, or that it was a machine."""
    decision = mapping(handoff, "decision")
    by = text(decision, "by")
    if not decision:
        return ""
    if flag(decision, "by_machine") or (by and not by.startswith("pe_")):
        name = text(decision, "by_name", by or "policy").removesuffix(" (a machine)")
        return f"{name} (a machine)"
    return text(decision, "by_name", by)


def _who(handoff: Record) -> str:
    """The decider, and that they had asked for the work themselves, where that is so."""
    own = flag(mapping(handoff, "decision"), "by_requester")
    return f"{decider(handoff)}, who asked for this work" if own else decider(handoff)


def _decided(handoff: Record, kind: str) -> Standing:
    by = decider(handoff)
    if by.endswith("(a machine)") and kind.startswith("approve"):
        return Standing("auto_proceed", *_ENDINGS["auto_proceed"])
    if by.endswith("(a machine)") and kind == "reject":
        return Standing("blocked_by_policy", *_ENDINGS["blocked_by_policy"])
    headline = f"{DECIDED_WORDS[kind]} by {by}" if by else DECIDED_WORDS[kind]
    if flag(mapping(handoff, "decision"), "overridden"):
        return Standing("overridden", f"Overridden by {by}", _alone(handoff), "warn")
    code = "refused" if kind == "reject" else kind
    return Standing(code, headline, _consequence(handoff, kind), _TONES.get(kind, "quiet"))


def _alone(handoff: Record) -> str:
    takes = text(mapping(handoff, "takes"), "in_words")
    instead = f" instead of {takes}" if takes else ""
    return f"One person approved it in an emergency{instead}; another must review that."


def _consequence(handoff: Record, kind: str) -> str:
    """What followed, when no effect says it better."""
    if text(handoff, "kind") == "escalation" and kind in _AFTER_A_LIMIT:
        return _AFTER_A_LIMIT[kind]
    review = text(handoff, "kind") == "review"
    if review and text(handoff, "about"):
        return "A second person's word on an override. It runs nothing and undoes nothing."
    match kind:
        case "reject":
            return "Nothing was merged; the repository is as it was." if review else _NOTHING_RAN
        case "request_changes":
            return "Nothing ran. The text went to the agent, which works on."
        case "answer":
            return "The answer went to the agent."
        case "take_over":
            return "The agent stopped. The worktree belongs to the person."
        case _:
            return _effect_sentence(handoff)


def _why_final(handoff: Record) -> str:
    """The reason recorded with an ending that no person decided."""
    if text(handoff, "status") in ("withdrawn", "superseded"):
        outcome = text(handoff, "outcome")
        return "" if outcome == text(handoff, "status") else outcome
    return ", ".join(texts(handoff, "missing"))


def _effect_sentence(handoff: Record) -> str:
    outcome = text(mapping(handoff, "effect"), "outcome")
    if outcome in EFFECTS:
        return EFFECTS[outcome]
    return GRANTS.get(text(mapping(handoff, "grant"), "status"), "It may run once, as approved.")


def _what_ran(handoff: Record, outcome_code: str) -> str:
    """The exact text that ran or may have run; empty when nothing did."""
    if outcome_code not in ("verified", "reported", "unknown"):
        return ""
    edited = mapping(handoff, "decision").get("edited_call")
    if isinstance(edited, dict | str) and edited:
        return _edited_merge(edited) or _command_of(edited)
    package = mapping(handoff, "package")
    will, review = mapping(package, "what_will_happen"), mapping(package, "review")
    if commit := text(review, "head_commit"):
        return f"merge of {commit[:12]} into {text(review, 'target_branch', 'the target branch')}"
    return text(will, "text") if text(will, "kind") == "command" else text(handoff, "ask")


def _edited_merge(call: Record | str) -> str:
    """A merge with a reviewer's edit on top, in words; '' for every other call."""
    arguments = mapping(call, "arguments") if not isinstance(call, str) else {}
    edits = records(arguments, "edits", 1_000)
    if not edits or isinstance(call, str) or text(call, "tool") != "git.merge":
        return ""
    files = "1 file" if len(edits) == 1 else f"{len(edits)} files"
    commit, branch = text(arguments, "commit")[:12], text(arguments, "target_branch")
    author = text(arguments, "author", "a reviewer")
    return f"merge of {commit} into {branch}, with {files} as edited by {author}"


def _command_of(call: Record | str) -> str:
    if isinstance(call, str):
        return call
    arguments = mapping(call, "arguments")
    command = text(arguments, "command") or text(call, "command")
    return command or ", ".join(f"{key}: {value}" for key, value in arguments.items())
