"""A person who may decide. Names and secrets are kept beside the log, so they can be erased."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from handfast.core.domain import events_control as c
from handfast.core.domain import events_identity as i
from handfast.core.domain import events_org as e
from handfast.core.domain.events import PersonEvent
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import PersonId, TokenId

ROLES = ("viewer", "reviewer", "operator", "admin", "auditor")
MAY_DECIDE = frozenset({"reviewer", "admin"})
MAY_DELEGATE = frozenset({"reviewer", "operator", "admin"})


@dataclass(frozen=True, slots=True)
class Away:
    """Out of office from `starts` until `ends`. `delegate` is asked instead; '' is nobody."""

    starts: datetime
    ends: datetime
    delegate: PersonId = PersonId("")


@dataclass(frozen=True, slots=True)
class OwnToken:
    token_id: TokenId
    scopes: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    label: BodyRef


@dataclass(frozen=True, slots=True)
class Account:
    """At an identity provider. `manages`: its groups say which roles and teams the person has."""

    issuer: str
    account: str
    manages: bool = False


@dataclass(frozen=True, slots=True)
class Passkey:
    credential_id: str
    public_key: str
    label: BodyRef
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """`roles` are those that hold now: none while disabled. `held` are then those that come back."""

    person_id: PersonId
    name: BodyRef
    login_digest: str
    roles: tuple[str, ...]
    added_at: datetime
    has_pin: bool = False
    absences: tuple[Away, ...] = ()
    teams: tuple[str, ...] = ()
    tokens: tuple[OwnToken, ...] = ()
    accounts: tuple[Account, ...] = ()
    passkeys: tuple[Passkey, ...] = ()
    views: BodyRef | None = None
    disabled_at: datetime | None = None
    held: tuple[str, ...] = ()

    @property
    def may_decide(self) -> bool:
        return bool(MAY_DECIDE & set(self.roles))

    def away(self, at: datetime) -> Away | None:
        """The absence that holds at `at`; it ends by itself."""
        return next((a for a in self.absences if a.starts <= at < a.ends), None)


def evolve(state: Person | None, event: PersonEvent, at: datetime) -> Person:
    """Fold one recorded event. `at` is the envelope's time."""
    if isinstance(event, e.PersonAdded):
        return Person(event.person_id, event.name, event.login_digest, event.roles, at)
    if state is None:
        raise ValueError("a person's first event must be person.added")
    match event:
        case e.CredentialSet():
            return replace(state, has_pin=state.has_pin or event.credential == "pin")
        case c.RolesSet() | i.PersonDisabled() | i.PersonEnabled():
            return _let_in(state, event, at)
        case c.AwaySet():
            kept = tuple(a for a in state.absences if a.ends > at)
            return replace(state, absences=(*kept, Away(event.starts, event.ends, event.delegate)))
        case c.AwayEnded():
            return replace(state, absences=())
        case c.ViewsSet():
            return replace(state, views=event.views)
        case e.SignedIn() | e.SignedOut():
            return state
        case _:
            return _identified(state, event, at)


def _let_in(
    state: Person, event: c.RolesSet | i.PersonDisabled | i.PersonEnabled, at: datetime
) -> Person:
    """Who is disabled has no role, and what is said of their roles holds when they come back."""
    closed = state.disabled_at is not None
    match event:
        case c.RolesSet():
            return replace(state, held=event.roles) if closed else replace(state, roles=event.roles)
        case i.PersonDisabled():
            return state if closed else replace(state, disabled_at=at, roles=(), held=state.roles)
        case i.PersonEnabled():
            return replace(state, disabled_at=None, roles=state.held, held=()) if closed else state
        case _:
            assert_never(event)


def _identified(state: Person, event: i.ProofEvent, at: datetime) -> Person:
    """What the person proves with who they are."""
    match event:
        case i.PersonTokenIssued():
            new = OwnToken(event.token_id, event.scopes, at, event.expires_at, event.label)
            return replace(state, tokens=(*(t for t in state.tokens if t.expires_at > at), new))
        case i.PersonTokenRevoked():
            left = tuple(t for t in state.tokens if t.token_id != event.token_id)
            return replace(state, tokens=left)
        case i.TeamsSet():
            return replace(state, teams=event.teams)
        case i.AccountLinked():
            account = Account(event.issuer, event.account, event.manages)
            return replace(state, accounts=(*state.accounts, account))
        case i.AccountUnlinked():
            return replace(
                state, accounts=tuple(a for a in state.accounts if a.account != event.account)
            )
        case i.PasskeyAdded():
            passkey = Passkey(event.credential_id, event.public_key, event.label, at)
            return replace(state, passkeys=(*state.passkeys, passkey))
        case i.PasskeyRemoved():
            return replace(
                state,
                passkeys=tuple(k for k in state.passkeys if k.credential_id != event.credential_id),
            )
        case _:
            assert_never(event)
