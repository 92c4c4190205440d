"""Replies about claims: what the record shows of them, and what the agent states."""

from handfast.server.api.schema_work import Reply


class EvidenceOut(Reply):
    claim: str
    status: str
    step_id: str
    result: str
    said_by: str = ""
    command: str = ""
    exit_code: int | None = None
    at: str = ""
    changed_by_this: tuple[str, ...] = ()


class StatedOut(Reply):
    """The agent's own words. `confidence` is its number, '' for none; it decides and orders nothing. `step_id`,
    `command` and `exit_code` are of the recorded step that `basis` names; '' means unverified."""

    claim: str
    confidence: str = ""
    basis: str = ""
    step_id: str = ""
    command: str = ""
    exit_code: int | None = None
