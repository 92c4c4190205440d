"""Requests and replies about runners."""

from typing import Annotated

from pydantic import Field

from handfast.server.api.schema_work import Asked, Digest, Epoch, Id, Line, Reply

Terms = Annotated[tuple[Line, ...], Field(max_length=100)]


class RunnerIn(Asked):
    """`repositories` are patterns, `agents` names or ids. What is left out bounds nothing."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    repositories: Terms = ()
    agents: Terms = ()
    labels: Terms = ()


class RunnerToken(Reply):
    """The only time that the token's text is shown."""

    runner_id: str
    name: str = ""
    token: str


class RunnerOut(Reply):
    """`state`: never started, idle, working, silent, stopped or retired. `heard_at` is empty before its first start."""

    runner_id: str
    name: str
    state: str
    repositories: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    host: str = ""
    pid: int = 0
    version: str = ""
    capacity: int = 0
    instance: int = 0
    heard_at: str = ""
    runs: tuple[str, ...] = ()


class RunnerList(Reply):
    items: list[RunnerOut]


class RunnerGone(Reply):
    """`runs` were its own, and are free for others now."""

    runner_id: str
    retired: bool
    runs: tuple[str, ...] = ()


class RunnerStartIn(Asked):
    """`name` counts with the token of the data folder only: it is no runner's own."""

    host: Line
    pid: Annotated[int, Field(ge=0)] = 0
    version: Line = ""
    capacity: Annotated[int, Field(ge=0, le=10_000)] = 0
    name: Annotated[str, Field(max_length=100)] = ""


class RunnerStarted(Reply):
    """Later calls carry `instance`. `lease_s` is how long a lease holds after a heartbeat."""

    runner_id: str
    name: str
    instance: int
    lease_s: int
    labels: tuple[str, ...] = ()


class RunnerBeatIn(Asked):
    instance: Epoch


class RunnerBeat(Reply):
    lease_s: int


class RunnerStopIn(Asked):
    instance: Epoch
    reason: Line = ""


class RunnerKnown(Reply):
    runner_id: str


class ReleaseIn(Asked):
    """What the run goes on from is left out where nothing was kept since its last pause."""

    epoch: Epoch
    reason: Line = ""
    snapshot_ref: Line = ""
    snapshot_commit: Digest = ""
    session_body_id: Id = ""
