"""Bodies of what follows a decision or an effect."""

from handfast.server.api.schema_gate import PreviewedIn
from handfast.server.api.schema_work import Reply


class ProbedIn(PreviewedIn):
    """The probe that was run. Exit 0: it ran; 1: it did not; anything else leaves the doubt to people."""


class UndoAsked(Reply):
    """The handoff that asks for the undo."""

    handoff_id: str
    status: str


class Reconciled(Reply):
    handoff_id: str
    answer: str
