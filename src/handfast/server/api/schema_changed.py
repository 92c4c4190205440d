"""Replies about what a case was before: an earlier form of the action, and the start that a doubt is about."""

from handfast.server.api.schema_work import Reply


class DoubtOut(Reply):
    started_at: str
    start_id: str
    how_to_check: list[str]


class ApprovedOut(Reply):
    """Who approved the start that a doubt is about, the last one last, and when that was decided."""

    by_names: list[str]
    at: str
    overridden: bool
    handoff_id: str


class ChangedOperandOut(Reply):
    """`diff` leads from the one text to the other, where both were kept."""

    path: str
    before: str
    after: str
    diff: str = ""


class ChangedOut(Reply):
    """An earlier form of this action, and what is not the same any more."""

    handoff_id: str
    approved: bool
    decided_by: str
    decided_by_name: str = ""
    decided_at: str
    before: str
    before_digest: str
    operands: list[ChangedOperandOut]
    moved: str
