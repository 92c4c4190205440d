"""Requests and replies about deliveries that leave the server."""

from handfast.server.api.schema_work import Reply


class TopicOut(Reply):
    """`handed` are being carried out, `dead` were given up."""

    topic: str
    waiting: int
    handed: int
    dead: int


class WorkerOut(Reply):
    """A relay with work, and how often it said that it is alive."""

    id: str
    beats: int


class RelayOut(Reply):
    topics: list[TopicOut]
    workers: list[WorkerOut]


class DeadOut(Reply):
    """`error` is the last receiver's, in its words; `delivered_to` names receivers that have it."""

    delivery_id: int
    topic: str
    attempts: int
    error: str
    delivered_to: list[str]
    last_due_at: str


class DeadList(Reply):
    items: list[DeadOut]


class Retried(Reply):
    """`attempts` is how many have failed altogether."""

    delivery_id: int
    topic: str
    attempts: int
