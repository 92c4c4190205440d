"""Bodies of the gate: a call that is proposed, what policy said, reads that were let through, results."""

from collections.abc import Mapping
from typing import Annotated, Literal, cast

from pydantic import AwareDatetime, Field, JsonValue

from handfast.core.domain import action
from handfast.core.domain.action import Effect
from handfast.core.domain.canonical import JSON
from handfast.core.domain.change import ChangedFile
from handfast.core.domain.events_handoff import Executor
from handfast.core.domain.package import ShowKind
from handfast.engine.packages import Shown
from handfast.engine.preview import Previewed
from handfast.observe.operand_texts import MAX_BYTES, MAX_FILES
from handfast.server.api.schema_work import (
    Asked,
    Digest,
    Epoch,
    Id,
    Line,
    Lines,
    Place,
    Reply,
    UsageIn,
)


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


class ChangedFileIn(Asked):
    """A file the call changes, from the file system and git."""

    path: Place
    old_path: Place = ""
    status: Annotated[str, Field(max_length=1)] = ""
    added: Annotated[int, Field(ge=0)] | None = None
    deleted: Annotated[int, Field(ge=0)] | None = None
    old_mode: Annotated[str, Field(max_length=6)] = ""
    new_mode: Annotated[str, Field(max_length=6)] = ""
    binary: bool = False
    symlink: bool = False
    submodule: bool = False
    owners: Annotated[tuple[Line, ...], Field(max_length=200)] = ()

    def changed(self) -> ChangedFile:
        return ChangedFile(**self.model_dump())


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
    changes: Annotated[tuple[ChangedFileIn, ...], Field(max_length=1000)] = ()
    branches: Lines = ()
    environments: Lines = ()

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
            changes=tuple(each.changed() for each in self.changes),
            branches=self.branches,
            environments=self.environments,
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

    `require_approval` asks a person whatever policy says. `preview` is what a dry run of the caller's printed
    and `undo` what would take the call back: both are shown to the reviewer as the caller's own words. A runner
    that can make the dry run policy declares says `previews` and may be answered `preview`: it runs that and
    proposes again, with `previewed`. `operand_texts` are the texts of files the call depends on, by path: kept, without
    secrets, where they have the digest that the call names, so that a later change can be shown.
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
    require_approval: bool = False
    preview: Annotated[str, Field(max_length=200_000)] = ""
    undo: Annotated[str, Field(max_length=4_000)] = ""
    previews: bool = False
    previewed: PreviewedIn | None = None
    operand_texts: Annotated[
        dict[Place, Annotated[str, Field(max_length=MAX_BYTES)]], Field(max_length=MAX_FILES)
    ] = Field(default_factory=dict)


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
    """`allow` of a gated call: its grant was redeemed, and this is the one start there will be. `words`
    are a person's, for the agent: the call did not run, and may be made again. `later` is for the agent, too: that
    the call waits for a checkpoint, and until when."""

    verdict: Literal["allow", "wait", "deny", "preview"]
    step_id: str
    handoff_id: str
    grant_id: str
    reason: str
    words: str = ""
    later: str = ""
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
    usage: UsageIn | None = None


class Settled(Reply):
    settled: bool
    step_id: str = ""
    handoff_id: str = ""


def edited_text(given: str | CallIn | None) -> str:
    """The command or content in what should run instead; '' for none."""
    if not isinstance(given, CallIn):
        return given or ""
    names = ("command", "content", "new_string")
    found = next((given.arguments[n] for n in names if n in given.arguments), "")
    return found if isinstance(found, str) else ""
