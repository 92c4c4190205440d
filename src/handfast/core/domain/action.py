"""A call an agent wants to make: its canonical form, the facts read from it, and the judgement on it.

Facts come from the real call. What the agent says about the call is never among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from handfast.core.domain.canonical import JSON, digest
from handfast.core.domain.change import ChangedFile
from handfast.core.domain.requirement import Requirement

MISSING = "missing"
# Hazards of a call that changes an environment.
DEPLOYING = frozenset({"deploy", "db.migrate"})


class Effect(StrEnum):
    """What kind of call this is. Later members outrank earlier ones when a call does several things."""

    READ = "read"
    WRITE = "write"
    EXEC = "exec"
    NETWORK = "network"
    CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Operand:
    """A mutable thing the action depends on: a script, a tree of files, a git ref.

    `path` is relative to the worktree, absolute, or `git:<ref>` / `tree:<folder>` / `image:<name:tag>`.
    `digest` is `sha256:…`, or `missing` when there is nothing to read: a tag has none here.
    """

    path: str
    digest: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a call does, as far as it can be read.

    `summary` is at most 200 characters, `details` about 50 sentences, of which the last may say how many more
    there are. Both are written by us, hold no known secret and no hidden character. `reversible` is None where it cannot be told. `changes` are the files
    a file tool writes, or the paths a shell command names. `branches` are what a push writes on the remote,
    `*` where that is every one or cannot be told. `environments` are those the call names (a cluster, a stage,
    an account); `*` among them says that a part deploys and names none.
    """

    effect: Effect
    summary: str
    hazards: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    operands: tuple[Operand, ...] = ()
    reversible: bool | None = None
    changes: tuple[ChangedFile, ...] = ()
    branches: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """The canonical form of a call: exactly what an approval is bound to.

    `arguments` holds only what changes the effect; reworded descriptions and time limits are left out.
    `cwd` is relative to the worktree, or absolute when outside it.
    """

    tool: str
    arguments: Mapping[str, JSON]
    cwd: str = "."
    operands: tuple[Operand, ...] = ()

    def canonical(self) -> dict[str, JSON]:
        """The value whose RFC 8785 bytes are digested. The order of operands does not matter."""
        operands = sorted(self.operands, key=lambda operand: (operand.path, operand.digest))
        return {
            "tool": self.tool,
            "arguments": dict(self.arguments),
            "cwd": self.cwd,
            "operands": [{"path": each.path, "digest": each.digest} for each in operands],
        }

    @property
    def digest(self) -> str:
        return digest(self.canonical())


class Verdict(StrEnum):
    """Ordered from loosest to strictest."""

    ALLOW = "allow"
    GATE = "gate"
    DENY = "deny"


class Risk(StrEnum):
    """Ordered from lowest to highest."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class MatchedRule:
    """A rule that applied, why, and what the agent or the person can do about it."""

    id: str
    verdict: Verdict
    why: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict of policy on one action. `policy_digest` names the exact rules that gave it;
    `requirement` what an approval takes when the verdict is `gate`."""

    verdict: Verdict
    risk: Risk
    rules: tuple[MatchedRule, ...]
    policy_digest: str
    requirement: Requirement = Requirement()
