"""Facts about how people prove who they are, and what they may know of: tokens, passkeys, accounts at an
identity provider, teams, projects."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import PersonId, ProjectId, TokenId


@dataclass(frozen=True, slots=True)
class PersonTokenIssued:
    """A token of a person's own. `label` is what they call it."""

    person_id: PersonId
    token_id: TokenId
    scopes: tuple[str, ...]
    expires_at: datetime
    label: BodyRef


@dataclass(frozen=True, slots=True)
class PersonTokenRevoked:
    person_id: PersonId
    token_id: TokenId
    by: PersonId


@dataclass(frozen=True, slots=True)
class TeamsSet:
    """The teams this person is in beside those that a policy puts them in. `by` '' is their provider."""

    person_id: PersonId
    teams: tuple[str, ...]
    by: PersonId = PersonId("")


@dataclass(frozen=True, slots=True)
class AccountLinked:
    """An account at an identity provider signs this person in. `account` is the digest of issuer and
    subject. `manages`: the provider's groups say which roles and teams the person has."""

    person_id: PersonId
    issuer: str
    account: str
    manages: bool = False


@dataclass(frozen=True, slots=True)
class AccountUnlinked:
    person_id: PersonId
    account: str
    by: PersonId


@dataclass(frozen=True, slots=True)
class PasskeyAdded:
    """`public_key` (COSE, base64url) checks what the passkey signs, also without this installation."""

    person_id: PersonId
    credential_id: str
    public_key: str
    label: BodyRef


@dataclass(frozen=True, slots=True)
class PasskeyRemoved:
    person_id: PersonId
    credential_id: str
    by: PersonId


@dataclass(frozen=True, slots=True)
class PersonDisabled:
    """Nothing acts as this person any more, and nobody asks them; what they decided stays decided."""

    person_id: PersonId
    by: PersonId


@dataclass(frozen=True, slots=True)
class PersonEnabled:
    """Back with the roles they have by now. What was ended is made anew: sessions, tokens, Slack, passkeys."""

    person_id: PersonId
    by: PersonId


@dataclass(frozen=True, slots=True)
class ProjectSet:
    """Everything about a project as it is from here on. `repositories` cover what is below them too."""

    project_id: ProjectId
    name: str
    repositories: tuple[str, ...]
    members: tuple[PersonId, ...]
    teams: tuple[str, ...]
    by: PersonId


ProofEvent: TypeAlias = (
    PersonTokenIssued
    | PersonTokenRevoked
    | TeamsSet
    | AccountLinked
    | AccountUnlinked
    | PasskeyAdded
    | PasskeyRemoved
)
IdentityEvent: TypeAlias = ProofEvent | PersonDisabled | PersonEnabled
