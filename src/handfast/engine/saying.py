"""What happened to a handoff, in words, with the content that belongs to it."""

import json
from collections.abc import Callable, Mapping

from handfast.core.domain import events_handoff as e
from handfast.core.domain.codec import format_time
from handfast.core.domain.events import Event
from handfast.core.domain.events_checkpoint import HandoffDeferred
from handfast.core.domain.events_rating import HandoffAttended, HandoffRated
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.grant_scope import Scope, shown
from handfast.core.domain.reviewed_files import edits_in

_WORDS: Mapping[type, str] = {
    e.HandoffVoted: "approved; it takes more",
    e.HandoffEdited: "edited it; others must approve the new form",
    e.HandoffOverridden: "overridden in an emergency",
}


def said(event: Event, text: Callable[[BodyRef | None], str], name: Callable[[str], str]) -> str:
    """'' where the type of the event says it all. `text` opens a body, `name` names a person."""
    match event:
        case HandoffRated() | HandoffAttended():
            return _read(event, text)
        case e.HandoffCommented():
            return text(event.text)
        case e.HandoffDecided():
            said = _with(event.decision.value, text(event.reason) or event.answer)
            return _edited(said, event.edited_action, text)
        case e.HandoffEdited():
            said = _with(_WORDS[type(event)], text(event.reason))
            return _edited(said, event.edited_action, text)
        case e.HandoffVoted() | e.HandoffOverridden():
            return _with(_WORDS[type(event)], text(event.reason))
        case e.HandoffAutoProceeded():
            return (
                f"a machine let it go on, as rule {', '.join(event.rules)} says; no person decided"
            )
        case HandoffDeferred():
            return f"waits for a checkpoint, until {format_time(event.open_by)} at the latest"
        case e.HandoffRouted() | e.HandoffRerouted():
            return _asked(event, text, name)
        case e.HandoffSnoozed():
            return f"put off until {format_time(event.until)}; its deadline stays"
        case _:
            return _ran(event, text)


def _read(event: HandoffRated | HandoffAttended, text: Callable[[BodyRef | None], str]) -> str:
    if isinstance(event, HandoffRated):
        rated = "good" if event.good else f"lacking {', '.join(event.lacks)}".rstrip()
        return _with(f"rated the package: {rated}", text(event.note))
    unfolded = f", unfolded {', '.join(event.opened)}" if event.opened else ""
    return f"had it in view for {event.dwell_ms / 1000:.0f} s{unfolded}"


def _ran(event: Event, text: Callable[[BodyRef | None], str]) -> str:
    match event:
        case e.GrantMinted() if event.uses > 1:
            return shown(Scope(event.uses, event.span))
        case e.GrantRedeemed() if event.of > 1:
            return f"use {event.use} of {event.of}"
        case e.HandoffCarriedOver():
            patch = f", patch {event.new_patch_id[:12]} on both" if event.new_patch_id else ""
            moved = f"from {event.old_target[:12]} to {event.new_target[:12]}"
            return f"{event.kind}: the target went {moved}{patch}"
        case e.GrantRefused():
            return f"refused: {event.reason}"
        case e.GrantRevoked():
            return text(event.reason)
        case e.EffectRecorded():
            code = "" if event.exit_code is None else f", exit {event.exit_code}"
            return f"effect {event.outcome.value}{code} {event.note}".strip()
        case _:
            return ""


def _asked(
    event: e.HandoffRouted | e.HandoffRerouted,
    text: Callable[[BodyRef | None], str],
    name: Callable[[str], str],
) -> str:
    few = [name(p) for p in event.people[:5]]
    more = f" and {len(event.people) - 5} more" if len(event.people) > 5 else ""
    who = f" ({', '.join(few)}{more})" if few else ""
    words = f"asked {event.to}{who}, until {event.due_at:%Y-%m-%d %H:%M} UTC"
    return (
        words
        if isinstance(event, e.HandoffRouted)
        else _with(f"re-routed: {words}", text(event.reason))
    )


def _edited(words: str, ref: BodyRef | None, text: Callable[[BodyRef | None], str]) -> str:
    """With the files of finished work that were edited, and their digests. Other edits speak for themselves."""
    content = text(ref)
    call = json.loads(content) if content.startswith("{") else {}  # there is none, or it was erased
    edits = edits_in(call["arguments"]) if call.get("tool") == "git.merge" else ()
    if not edits:
        return words
    files = "; ".join(f"{edit.path} from {edit.before} to {edit.after}" for edit in edits[:20])
    more = f" and {len(edits) - 20} more" if len(edits) > 20 else ""
    return f"{words}; edited {files}{more}"


def _with(what: str, words: str) -> str:
    return f"{what}: {words}" if words else what
