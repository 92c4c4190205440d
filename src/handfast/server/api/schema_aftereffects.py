"""Bodies of what follows a decision or an effect."""

from handfast.server.api.schema_gate import PreviewedIn
from handfast.server.api.schema_work import Asked, Digest, Line, Reply


class ProbedIn(PreviewedIn):
    """The probe that was run. Exit 0: it ran; 1: it did not; anything else leaves the doubt to people."""


class UndoAsked(Reply):
    """The handoff that asks for the undo."""

    handoff_id: str
    status: str


class Reconciled(Reply):
    handoff_id: str
    answer: str


class CarryIn(Asked):
    """The runner's proof; `kind` empty where there is none. `attempted` is the digest of the merge as it would be
    now."""

    kind: Line = ""
    commit: Line = ""
    old_target: Line = ""
    new_target: Line = ""
    old_patch_id: Line = ""
    new_patch_id: Line = ""
    attempted: Digest = ""


class Carried(Reply):
    """`why` says what stood against it; the grant is then closed."""

    handoff_id: str
    carried: bool
    action_digest: str
    why: str
