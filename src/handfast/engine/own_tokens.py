"""A person's own tokens, for scripts that read or delegate in their name. None of them ever decides."""

from datetime import datetime, timedelta

from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import LimitExceeded, NotFound, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_identity import PersonTokenIssued, PersonTokenRevoked
from handfast.core.domain.ids import PersonId, TokenId
from handfast.core.domain.person import ROLES, OwnToken, Person
from handfast.engine.agents import IssuedToken
from handfast.engine.ids import hash_secret, new_id, new_secret
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.people import signed_in
from handfast.storage.api import Credential

KIND, PREFIX = "personal", "hfp_"
SCOPES = ("read", "write")
DEFAULT_TTL, MAX_TTL = timedelta(days=30), timedelta(days=366)
MAX_TOKENS, MAX_LABEL = 50, 80


class OwnTokens:
    """All calls are atomic."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def issue(
        self, actor: Actor, label: str, scopes: tuple[str, ...] = ("read",), ttl_s: int = 0
    ) -> IssuedToken:
        """A new token of a signed-in person. Only its hash is stored.

        Raises NotPermitted where a token asks for another, UsageError, LimitExceeded.
        """
        label = label.strip()
        if not label or len(label) > MAX_LABEL or not label.isprintable():
            raise UsageError(f"`label` must be 1 to {MAX_LABEL} printable characters")
        if not scopes or not set(scopes) <= set(SCOPES):
            raise UsageError(
                f"`scopes` is {', '.join(scopes)[:100] or 'empty'}", hint="read, write."
            )
        if ttl_s < 0 or timedelta(seconds=ttl_s) > MAX_TTL:
            raise UsageError(f"a token is good for at most {MAX_TTL.days} days")
        token_id, secret = TokenId(new_id("tok")), new_secret()
        scopes = tuple(sorted(set(scopes)))

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, frozenset(ROLES))
            if len(_good(person, unit.now)) >= MAX_TOKENS:
                raise LimitExceeded(
                    f"you have {MAX_TOKENS} tokens that are still good", hint="Revoke one first."
                )
            expires = unit.now + (timedelta(seconds=ttl_s) if ttl_s else DEFAULT_TTL)
            event = PersonTokenIssued(person.person_id, token_id, scopes, expires, unit.put(label))
            unit.record(Person, person.person_id, [event])
            unit.put_credential(
                Credential(token_id, KIND, person.person_id, hash_secret(secret), scopes, expires)
            )
            return {"expires_at": expires}

        expires = self._kernel.run(actor, work)["expires_at"]
        if not isinstance(expires, datetime):
            raise TypeError("a token without an end")
        return IssuedToken(f"{PREFIX}{token_id[4:]}_{secret}", token_id, expires)

    def revoke(self, actor: Actor, token_id: str) -> Result:
        """One of the caller's own. Raises NotFound, for somebody else's too."""

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, frozenset(ROLES))
            if token_id not in [t.token_id for t in person.tokens]:
                raise NotFound(f"you have no token `{token_id[:64]}`")
            strike(unit, person, TokenId(token_id), person.person_id)
            return {"token_id": token_id}

        return self._kernel.run(actor, work)

    def of(self, person_id: str) -> list[Result]:
        """Those that are still good, oldest first; never their text."""
        person = self._kernel.state(Person, person_id)
        return [
            {
                "token_id": t.token_id,
                "label": self._kernel.vault.open(t.label.body_id).text,
                "scopes": list(t.scopes),
                "issued_at": format_time(t.issued_at),
                "expires_at": format_time(t.expires_at),
            }
            for t in _good(person, self._kernel.clock.now())
        ]


def strike(unit: Unit, person: Person, token_id: TokenId, by: PersonId) -> None:
    """Make a token invalid, as part of a command. `by` '' is their identity provider."""
    event = PersonTokenRevoked(person.person_id, token_id, by)
    unit.record(Person, person.person_id, [event])
    unit.put_credential(
        Credential(token_id, KIND, person.person_id, "revoked", (), None, revoked=True)
    )


def _good(person: Person, now: datetime) -> list[OwnToken]:
    return [t for t in person.tokens if t.expires_at > now]
