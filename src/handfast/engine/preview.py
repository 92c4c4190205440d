"""What is known of an action before it runs: the dry run that was made, and the way back.

A text that came with the call is the caller's word and is labelled so. What Handfast ran itself says which
command it was and how it ended.
"""

from handfast.core.domain.inert import inert
from handfast.engine.packages import Ahead
from handfast.observe.secrets import redact

MAX_PREVIEW = 60_000
MAX_UNDO = 4_000
CALLER = "declared with the call, not checked"


def declared(preview: str, undo: str) -> Ahead:
    """The caller's own texts, without secrets and bounded."""
    return Ahead(
        preview=_clean(preview, MAX_PREVIEW),
        preview_about=CALLER if preview.strip() else "",
        undo=_clean(undo, MAX_UNDO),
        undo_about=CALLER if undo.strip() else "",
    )


def _clean(text: str, limit: int) -> str:
    return inert(redact(text[: limit * 2])[0].strip(), limit)
