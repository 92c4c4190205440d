"""Facts about who may act: agents, people, and the installation itself."""

from dataclasses import dataclass
from datetime import datetime

from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import AgentId, BodyId, PersonId, TaskId, TokenId


@dataclass(frozen=True, slots=True)
class AgentRegistered:
    agent_id: AgentId
    name: str
    harness: str
    team: str = ""


@dataclass(frozen=True, slots=True)
class AgentTokenIssued:
    agent_id: AgentId
    token_id: TokenId
    scopes: tuple[str, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AgentTokenRevoked:
    agent_id: AgentId
    token_id: TokenId


@dataclass(frozen=True, slots=True)
class AgentSuspended:
    """`by` is the person whose kill it is: only a person ends that one."""

    agent_id: AgentId
    reason: str = ""
    by: PersonId = PersonId("")


@dataclass(frozen=True, slots=True)
class AgentReinstated:
    agent_id: AgentId
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PersonAdded:
    """`name` is a body, so that a person can be erased from the record."""

    person_id: PersonId
    name: BodyRef
    login_digest: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PersonInvited:
    """A one-time link for one more person was made. The link itself is nowhere in the log."""

    inviter: PersonId
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CredentialSet:
    person_id: PersonId
    credential: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    person_id: PersonId
    method: str
    session: str


@dataclass(frozen=True, slots=True)
class SignedOut:
    person_id: PersonId
    session: str


@dataclass(frozen=True, slots=True)
class InstallationCreated:
    origin: str
    verifier: str


@dataclass(frozen=True, slots=True)
class ServerStarted:
    version: str


@dataclass(frozen=True, slots=True)
class HookInstalled:
    harness: str
    scope: str
    agent_id: AgentId
    mode: str


@dataclass(frozen=True, slots=True)
class HookModeSet:
    mode: str


@dataclass(frozen=True, slots=True)
class HookPaused:
    until: datetime
    reason: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class HookResumed:
    why: str = ""


@dataclass(frozen=True, slots=True)
class AccessRefused:
    """Somebody tried what they may not do. `what` names the operation, `why` the rule. `times`: so often within
    a minute, beside the first."""

    what: str
    why: str
    subject: str = ""
    times: int = 1


@dataclass(frozen=True, slots=True)
class BodyErased:
    body_id: BodyId
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BodiesErased:
    """Content and salts of these bodies are gone for good. `why` is `request` (a person asked, and `reason`
    is theirs) or `retention` (`kind` is kept only so long). A reason stays in the log for ever."""

    body_ids: tuple[BodyId, ...]
    why: str
    reason: str = ""
    kind: str = ""
    task_id: TaskId = TaskId("")


@dataclass(frozen=True, slots=True)
class TreeHeadPublished:
    sink: str
    size: int
    root: str


@dataclass(frozen=True, slots=True)
class BundleExported:
    size: int
    bodies: bool
