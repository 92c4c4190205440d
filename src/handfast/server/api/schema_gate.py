"""Bodies of the gate: a call that is proposed, what policy said, reads that were let through, results."""

from collections.abc import Mapping
from typing import Annotated, Literal, cast

from pydantic import AwareDatetime, Field, JsonValue

from handfast.core.domain import action
from handfast.core.domain.action import Effect
from handfast.core.domain.canonical import JSON
from handfast.core.domain.events_handoff import Executor
from handfast.core.domain.package import ShowKind
from handfast.engine.packages import Shown
from handfast.engine.preview import Previewed
from handfast.server.api.schema_work import Asked, Digest, Epoch, Id, Line, Lines, Place, Reply


class OperandIn(Asked):
    path: Place
    digest: Digest


class CallIn(Asked):
    """The canonical form of a call: exactly what an approval is bound to."""

    tool: Line
    arguments: dict[str, JsonValue]
    cwd: Place = "."
    operands: Annotated[tuple[OperandIn, ...], Field(max_length=1000)] = ()

    def call(self) -> action.Call:
        operands = tuple(action.Operand(o.path, o.digest) for o in self.operands)
        # A float has no canonical form: it is refused where the digest is made.
        arguments = cast("Mapping[str, JSON]", self.arguments)
        return action.Call(self.tool, arguments, self.cwd, operands)


class FactsIn(Asked):
    """What a runner read from the real call."""

    effect: Effect
    summary: Annotated[str, Field(max_length=1000)]
    hazards: Lines = ()
    opaque: Lines = ()
    details: Lines = ()
    paths: Lines = ()
    operands: Annotated[tuple[OperandIn, ...], Field(max_length=1000)] = ()
    reversible: bool | None = None

    def facts(self) -> action.Facts:
        return action.Facts(
            effect=self.effect,
            summary=self.summary,
            hazards=self.hazards,
            opaque=self.opaque,
            details=self.details,
            paths=self.paths,
            operands=tuple(action.Operand(o.path, o.digest) for o in self.operands),
            reversible=self.reversible,
        )


class ShownIn(Asked):
    """How a person should read the call, when its arguments are not the best way."""

    kind: ShowKind
    text: str

    def shown(self) -> Shown:
        return Shown(self.kind, self.text)


class PreviewedIn(Asked):
    """The dry run that an answer `preview` asked for, or why it was not made."""

    command: Annotated[tuple[Annotated[str, Field(max_length=2_000)], ...], Field(max_length=64)]
    exit_code: int | None = None
    duration_ms: Annotated[int, Field(ge=0)] = 0
    output: Annotated[str, Field(max_length=200_000)] = ""
    refused: Line = ""

    def previewed(self) -> Previewed:
        return Previewed(self.command, self.exit_code, self.duration_ms, self.output, self.refused)


class ActionIn(Asked):
    """A call about to be made. `facts` is believed from a runner only.

    `preview` is what a dry run of the caller's printed and `undo` what would take the call back: both are shown
    to the reviewer as the caller's own words. A runner that can make the dry run policy declares says `previews`
    and may be answered `preview`: it runs that and proposes again, with `previewed`.
    """

    key: Line
    call: CallIn
    facts: FactsIn | None = None
    shown: ShownIn | None = None
    subagent: Line = ""
    agent_says: Annotated[str, Field(max_length=20_000)] = ""
    executor: Executor = Executor.HOOKED
    epoch: Epoch | None = None
    wait_possible: bool = True
    preview: Annotated[str, Field(max_length=200_000)] = ""
    undo: Annotated[str, Field(max_length=4_000)] = ""
    previews: bool = False
    previewed: PreviewedIn | None = None


class RuleOut(Reply):
    id: str
    verdict: str
    why: str
    remedy: str = ""


class Judged(Reply):
    """Policy's own word, whatever the mode makes of it."""

    verdict: str
    risk: str
    rules: list[RuleOut]


class Verdict(Reply):
    """`allow` of a gated call: its grant was redeemed, and this is the one start there will be."""

    verdict: Literal["allow", "wait", "deny", "preview"]
    step_id: str
    handoff_id: str
    grant_id: str
    reason: str
    would: str
    judgement: Judged
    preview: list[str] = Field(default_factory=list)


class ReadIn(Asked):
    key: Line
    call: CallIn
    facts: FactsIn
    at: AwareDatetime


class ReadsIn(Asked):
    steps: Annotated[tuple[ReadIn, ...], Field(max_length=1000)]


class Recorded(Reply):
    recorded: int


class ResultIn(Asked):
    """What came of a call. `output` is text; a runner may name a body instead."""

    key: Line
    exit_code: int | None = None
    failed: bool = False
    error: Annotated[str, Field(max_length=20_000)] = ""
    output: str = ""
    output_body_id: Id = ""
    duration_ms: Annotated[int, Field(ge=0)] = 0


class Settled(Reply):
    settled: bool
    step_id: str = ""
    handoff_id: str = ""
