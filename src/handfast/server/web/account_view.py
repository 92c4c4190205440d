"""What the account page shows, from records of the engine. No I/O, no clock."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from handfast.core.domain.person import Passkey, Person
from handfast.engine.agents import IssuedToken
from handfast.server.web.frame import Context, Shell, context
from handfast.server.web.reading import Record, moment, text

_METHODS = {"password": "password", "oidc": "single sign-on"}


@dataclass(frozen=True, slots=True)
class SessionRow:
    session_id: str
    method: str
    started_at: datetime | None
    expires_at: datetime | None
    current: bool


@dataclass(frozen=True, slots=True)
class TokenRow:
    token_id: str
    label: str
    may: str
    issued_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Own:
    """What is known of a person's own account. `issued` is a new token: the only time its text is shown.
    `fresh`: this session has just begun."""

    person: Person
    projects: Sequence[str]
    sees_all: bool
    sessions: Iterable[Record]
    tokens: Iterable[Record]
    passkeys: Iterable[tuple[Passkey, str]]
    provider: str
    has_password: bool
    fresh: bool
    error: str = ""
    issued: IssuedToken | None = None


def account_page(own: Own, *, shell: Shell, now: datetime) -> Context:
    """For `account.html`."""
    person, issued = own.person, own.issued
    return context(
        shell,
        now,
        nav="settings",
        section="account",
        roles=", ".join(person.roles),
        teams=", ".join(person.teams),
        projects=", ".join(own.projects),
        sees_all=own.sees_all,
        sessions=[_session(s) for s in own.sessions],
        tokens=[_token(t) for t in own.tokens],
        passkeys=[(k.credential_id, label, k.added_at) for k, label in own.passkeys],
        accounts=[(a.account, urlsplit(a.issuer).netloc, a.manages) for a in person.accounts],
        managed=any(a.manages for a in person.accounts),
        provider=own.provider,
        has_password=own.has_password,
        has_pin=person.has_pin,
        may_prove=own.has_password or own.fresh,
        error=own.error,
        issued=issued.token if issued else "",
        issued_until=issued.expires_at if issued else None,
    )


def _session(s: Record) -> SessionRow:
    method = text(s, "method")
    return SessionRow(
        text(s, "session_id"),
        _METHODS.get(method, method),
        moment(s, "started_at"),
        moment(s, "expires_at"),
        s.get("current") is True,
    )


def _token(t: Record) -> TokenRow:
    scopes = t.get("scopes")
    writes = isinstance(scopes, list) and "write" in scopes
    return TokenRow(
        text(t, "token_id"),
        text(t, "label"),
        "reads and delegates" if writes else "reads",
        moment(t, "issued_at"),
        moment(t, "expires_at"),
    )
