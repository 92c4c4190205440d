"""What a condition may ask about: the call, the change, the agent, the run, the task, the time.

The field names and types here are the language of conditions: they are what a policy is checked against
when it is loaded. An optional field (`… | None`) is absent unless it is known, and must be asked for with
`has()` first.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.canonical import JSON

MAX_ARGUMENT = 4_000


@dataclass(frozen=True, slots=True)
class CallFacts:
    """The call as it was read. `command` is a shell call's text; `branches` what a push
    writes on the remote, `*` for any; `environments` what it names, `*` where one cannot be told.

    `arguments` are those of the canonical call, as text: a text as it is, anything else as JSON.
    """

    tool: str
    effect: str = ""
    hazards: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    cwd: str = "."
    command: str = ""
    branches: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    executor: str = ""
    subagent: str = ""
    reversible: bool | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file the call changes. `status` is git's letter (A, M, D, R, …), `?` for a file git does not track,
    empty where only its path is known. `added` and `deleted` count lines."""

    path: str
    old_path: str = ""
    status: str = ""
    added: int = 0
    deleted: int = 0
    owners: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeFacts:
    files: tuple[FileFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentFacts:
    id: str = ""
    name: str = ""
    harness: str = ""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The run so far. `cost_usd` is what the harness reported; `confidence` what the agent stated, 0 to 1."""

    id: str = ""
    repository: str = ""
    branch: str = ""
    cost_usd: float = 0.0
    tool_calls: int = 0
    failed_calls: int = 0
    stopped_calls: int = 0
    contained: bool = False
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class TaskFacts:
    id: str = ""
    target_branch: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    time: datetime


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything that conditions see. `request.time` is when the call was proposed."""

    call: CallFacts
    request: Moment
    change: ChangeFacts = field(default_factory=ChangeFacts)
    agent: AgentFacts = field(default_factory=AgentFacts)
    run: RunFacts = field(default_factory=RunFacts)
    task: TaskFacts = field(default_factory=TaskFacts)


def call_facts(call: Call, facts: Facts, *, executor: str = "", subagent: str = "") -> CallFacts:
    """What conditions see of a proposed call."""
    command = call.arguments.get("command")
    return CallFacts(
        tool=call.tool,
        effect=facts.effect.value,
        hazards=facts.hazards,
        opaque=facts.opaque,
        paths=facts.paths,
        cwd=call.cwd,
        command=command if isinstance(command, str) else "",
        branches=facts.branches,
        environments=facts.environments,
        executor=executor,
        subagent=subagent,
        reversible=facts.reversible,
        arguments={name: _plain(value) for name, value in call.arguments.items()},
    )


def _plain(value: JSON) -> str:
    return value[:MAX_ARGUMENT] if isinstance(value, str) else json.dumps(value)[:MAX_ARGUMENT]


def change_facts(facts: Facts) -> ChangeFacts:
    """The files a call is known to change. Of a shell command only their paths and owners are known."""
    files = tuple(
        FileFacts(f.path, f.old_path, f.status, f.added or 0, f.deleted or 0, f.owners)
        for f in facts.changes
    )
    if not files and facts.effect is not Effect.READ:
        files = tuple(FileFacts(path) for path in facts.paths)
    return ChangeFacts(files)
