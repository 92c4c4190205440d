"""What an agent is told: the brief, a reviewer's words, and what became of its calls after a break."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from handfast.client.request import Json

MAX_LISTED: Final = 30
_MAX_TEXT: Final = 2_000
_RAN: Final = ("reported", "verified")


def brief_text(run: Json) -> str:
    """The brief of a run as its agent reads it, marked where it begins and ends, and what was tried before."""
    brief = run.get("brief")
    if not brief:
        return ""
    named = str(run.get("brief_digest", ""))
    parts = [f"=== Brief {named}".rstrip(), str(brief.get("intent", "")).strip()]
    parts += _listed("Done when", brief.get("acceptance"))
    parts += _listed("Not part of this", brief.get("non_goals"))
    scope = brief.get("scope") or {}
    parts += _listed("Change only these paths", scope.get("paths"))
    parts += _listed("Use only these tools", scope.get("tools"))
    parts += _listed("Work only in these environments", scope.get("environments"))
    parts += _listed("Bounds of this run", _bounds(brief.get("budget") or {}))
    parts += _listed("Context", brief.get("context"))
    parts += _listed("Whom a person would ask", brief.get("contacts"))
    parts += ["=== End of the brief", *_tried(run.get("attempts") or [])]
    return "\n\n".join(filter(None, parts))


def _bounds(budget: Json) -> list[str]:
    words = {
        "cost_usd": "{} USD",
        "tool_calls": "{} calls",
        "retries": "{} retries",
        "reasoning_s": "{} s of reasoning",
        "wall_s": "{} s in all",
    }
    return [said.format(budget[name]) for name, said in words.items() if budget.get(name)]


def _tried(attempts: Sequence[Json]) -> list[str]:
    """What an agent before this one tried, so that it is not tried again."""
    lines = []
    for each in attempts[-MAX_LISTED:]:
        why = f" ({each['why']})" if each.get("why") else ""
        lines.append(f"{each.get('tried', '')}: {each.get('outcome', '')}{why}"[:_MAX_TEXT])
    return _listed("Tried before, and not good enough", lines)


def with_rules(text: str) -> str:
    """What holds in every run, beside the task."""
    return (
        f"{text}\n\nYou work in a git worktree of your own, on a branch of your own. Commit your work there "
        "when it is done; do not push and do not merge: a person reviews it. Calls with an effect may have to "
        "wait for a person's decision. Run each check (tests, linter, build) as a command of its own after your last "
        "change: only its own exit code counts, not one behind a pipe or `||`. End with a few sentences on what you "
        "changed and why. You may state claims with your confidence in a block fenced with ```claims: "
        '[{"claim": "…", "confidence": 0.9, "basis": "the command in backquotes, or what else it rests on"}].'
    )


def feedback_text(words: str) -> str:
    return f"A reviewer looked at your work and asks for changes:\n\n{words}"


def returned_text(missing: Sequence[object]) -> str:
    """To an agent whose work nobody was asked about yet."""
    lines = "\n".join(f"- {str(each)[:_MAX_TEXT]}" for each in missing)
    return (
        f"Your work was not handed over: it is incomplete. Missing:\n\n{lines}\n\nSupply exactly that, then say again in "
        "your last message what you changed and why. Do not change anything else."
    )


def answer_text(handoff: Json) -> str:
    decision = handoff.get("decision") or {}
    words = decision.get("answer") or decision.get("reason") or "(no words)"
    return f"The answer to your question ({handoff['handoff_id']}):\n\n{words}"


def story(opening: str, handoffs: Sequence[Json], steps: Sequence[Json]) -> str:
    """What to tell an agent whose process is gone: which calls ran, which never did, what was decided.

    `handoffs` are the full ones of the run, oldest first.
    """
    lines = [opening]
    lines += [line for h in handoffs[-MAX_LISTED:] if (line := _about(h))]
    known = {h.get("handoff_id") for h in handoffs}
    lines += [
        f"- Was running when the process ended, and its outcome is not known: {_shown(s)}. Check whether it "
        "took effect before you rely on it or run it again."
        for s in _unfinished(steps, known)
    ]
    lines.append("Go on from there. What is not listed went as your history says.")
    return "\n".join(lines)


def _about(h: Json) -> str:
    if h.get("kind") == "approval":
        return _about_approval(h)
    decision = h.get("decision") or {}
    what, name = _what(h), h.get("handoff_id")
    match h.get("kind"):
        case "doubt" if decision.get("answer") == "it_ran":
            return f"- A person checked: this did run, do not repeat it ({name}): {what}"
        case "doubt" if decision.get("answer") == "it_did_not_run":
            return f"- A person checked: this did not run. Issue it again, unchanged, if it is still needed ({name}): {what}"
        case "question" if decision:
            return f"- {answer_text(h)}"
        case "escalation" if decision:
            return _about_limit(decision, str(name))
        case "review" if decision.get("kind") == "request_changes":
            return f"- {feedback_text(str(decision.get('reason', '')))}"
        case _:
            return ""


def _about_limit(decision: Json, name: str) -> str:
    words = "\n".join(str(w) for w in (decision.get("answer"), decision.get("reason")) if w)
    match decision.get("kind"):
        case "approve":
            return f"- A person looked at this run and lets it go on ({name})."
        case "answer" | "request_changes":
            return f"- A person looked at this run, lets it go on, and says ({name}):\n\n{words}"
        case _:
            return f"- A person stopped this run ({name}): {words or 'no reason given'}"


def _about_approval(h: Json) -> str:
    decision, effect = h.get("decision") or {}, h.get("effect") or {}
    what, name = _what(h), h.get("handoff_id")
    if effect.get("outcome") in _RAN:
        return f"- Ran, do not repeat it ({name}): {what}"
    if effect:
        return ""  # the doubt about it says what holds
    kind, words = decision.get("kind", ""), decision.get("reason") or "no reason given"
    if (h.get("grant") or {}).get("status") == "revoked":
        return f"- Never ran, and its approval is void. Ask again if it is still needed ({name}): {what}"
    if h.get("waiting"):
        return f"- Never ran, and waits for a person ({name}): {what}"
    if kind == "approve":
        return f"- Never ran, and is approved now. Issue exactly this call again ({name}): {what}"
    if kind == "approve_with_edits":
        return f"- Never ran, and is approved only with edits ({name}). Issue exactly this instead: {_edited(decision)}"
    if kind:
        return f"- Never ran: a reviewer said no ({words}). Do not retry it ({name}): {what}"
    return f"- Never ran, and nobody decided ({name}). Ask again if it is still needed: {what}"


def _what(h: Json) -> str:
    shown = ((h.get("package") or {}).get("what_will_happen") or {}).get("text") or h.get("ask", "")
    return str(shown)[:_MAX_TEXT]


def _edited(decision: Json) -> str:
    arguments = (decision.get("edited_call") or {}).get("arguments") or {}
    return str(arguments.get("command", ""))[:_MAX_TEXT]


def _unfinished(steps: Sequence[Json], known: set[Any]) -> Iterable[Json]:
    """Allowed without a person, with an effect, and never heard of again. Gated ones have their handoff."""
    return [
        s
        for s in steps[-200:]
        if s.get("verdict") in ("allow", "observed")
        and s.get("effect") != "read"
        and not s.get("finished")
        and not (s.get("handoff_id") and s["handoff_id"] in known)
    ][-MAX_LISTED:]


def _shown(step: Json) -> str:
    return f"{step.get('tool', '')}: {step.get('command') or step.get('summary', '')}"[:_MAX_TEXT]


def _listed(title: str, items: object) -> list[str]:
    if not isinstance(items, list) or not items:
        return []
    return ["\n".join([f"{title}:", *(f"- {item}" for item in items)])]
