"""What is known of an action before it runs: the dry run that was made, and the way back.

A text that came with the call is the caller's word and is labelled so. What Handfast ran itself says which
command it was and how it ended.
"""

import shlex
from dataclasses import dataclass, replace

from handfast.core.domain.action import Facts
from handfast.core.domain.inert import inert
from handfast.core.domain.package import Contract
from handfast.core.policy.kinds import ActionKind
from handfast.engine.packages import Ahead
from handfast.observe.secrets import redact

MAX_PREVIEW = 60_000
MAX_UNDO = 4_000
CALLER = "declared with the call, not checked"


@dataclass(frozen=True, slots=True)
class Previewed:
    """A dry run that the runner made, or why it made none (`refused`). `exit_code` is None without an end."""

    command: tuple[str, ...]
    exit_code: int | None = None
    duration_ms: int = 0
    output: str = ""
    refused: str = ""


def ahead(preview: str, undo: str, kind: ActionKind | None, previewed: Previewed | None) -> Ahead:
    """The policy's preview and undo where it declares them, else the caller's own words."""
    found = declared(preview, undo)
    if kind is not None and kind.preview:
        found = replace(found, preview="", preview_about="no preview: this runner does not run one")
        if previewed is not None and previewed.command == kind.preview:
            output = _clean(previewed.output, MAX_PREVIEW)
            found = replace(found, preview=output, preview_about=_about(previewed))
    if kind is not None and kind.undo:
        about = f"declared by the policy, `{kind.id}`"
        found = replace(found, undo=_clean(shlex.join(kind.undo), MAX_UNDO), undo_about=about)
    return found


def contract_of(kind: ActionKind | None) -> Contract | None:
    if kind is None:
        return None
    return Contract(kind.id, kind.undo, kind.reconcile, kind.idempotent)


def with_kind(facts: Facts, kind: ActionKind | None) -> Facts:
    """The facts with what is declared about whether this can be undone."""
    if kind is None or kind.reversible is None:
        return facts
    return replace(facts, reversible=kind.reversible)


def _about(p: Previewed) -> str:
    command = inert(shlex.join(p.command), 200, multiline=False)
    if p.refused:
        return f"`{command}` was not run: {inert(p.refused, 300, multiline=False)}"
    end = "did not end in time" if p.exit_code is None else f"exit {p.exit_code}"
    return f"`{command}`: {end}, {p.duration_ms / 1000:.1f} s, run by Handfast before asking"


def declared(preview: str, undo: str) -> Ahead:
    """The caller's own texts, without secrets and bounded."""
    return Ahead(
        preview=_clean(preview, MAX_PREVIEW),
        preview_about=CALLER if preview.strip() else "",
        undo=_clean(undo, MAX_UNDO),
        undo_about=CALLER if undo.strip() else "",
    )


def _clean(text: str, limit: int) -> str:
    return inert(redact(text)[0].strip(), limit) if text.strip() else ""
