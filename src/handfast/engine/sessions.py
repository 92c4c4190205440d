"""Open sessions of people: listed, ended one by one or all at once, and everything else that acts as a
person ended with them: their own tokens, Slack, and their passkeys."""

import hmac
from datetime import datetime

from handfast.core.domain.codec import format_time, parse_time
from handfast.core.domain.errors import NotFound, NotPermitted
from handfast.core.domain.events import Actor, from_bytes
from handfast.core.domain.events_identity import PasskeyRemoved
from handfast.core.domain.events_org import CredentialSet, SignedIn, SignedOut
from handfast.core.domain.ids import PersonId
from handfast.core.domain.person import ROLES, Person
from handfast.engine.contacts import cut_slack
from handfast.engine.directory import Directory
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.own_tokens import strike
from handfast.engine.passwords import hash_password
from handfast.engine.people import People, check_password, session_of, signed_in
from handfast.engine.proofs import check_proof
from handfast.storage.api import Credential

KIND = "session"
LOOKED_AT = 2_000  # newest entries of a person that are searched for when a session began


class Sessions:
    """Changes are a signed-in person's, atomic, and hold from the next request on."""

    def __init__(self, kernel: Kernel, people: People, directory: Directory) -> None:
        self._kernel = kernel
        self._people = people
        self._directory = directory

    def of(self, person_id: str, secret: str = "") -> list[Result]:
        """Those that are open, newest first: session_id, method, started_at, expires_at, and whether it
        is the one that `secret` is of."""
        now, mine = self._kernel.clock.now(), session_of(secret) if secret else ""
        began = self._began(person_id)
        found = [c for c in self._open(person_id) if c.expires_at and c.expires_at > now]
        shown: list[Result] = [
            {
                "session_id": c.id,
                "method": began.get(c.id, ("", ""))[0],
                "started_at": began.get(c.id, ("", ""))[1],
                "expires_at": format_time(c.expires_at) if c.expires_at else "",
                "current": hmac.compare_digest(c.id, mine),
            }
            for c in found
        ]
        return sorted(shown, key=lambda s: str(s["started_at"]), reverse=True)

    def began(self, person_id: str, secret: str) -> datetime | None:
        """When the session of this secret began; None for one that is not open, or is too old to tell."""
        if self._people.of_session(secret) != person_id:
            return None
        at = self._began(person_id).get(session_of(secret), ("", ""))[1]
        return parse_time(at) if at else None

    def end(self, actor: Actor, session_id: str) -> Result:
        """One of the caller's own. Raises NotFound, for somebody else's too."""

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, frozenset(ROLES))
            found = next((c for c in self._open(person.person_id) if c.id == session_id), None)
            if found is None:
                raise NotFound(f"you have no open session `{session_id[:64]}`")
            _end(unit, person, found)
            return {"ended": 1}

        return self._kernel.run(actor, work)

    def end_all(self, actor: Actor, but: str = "") -> Result:
        """All of the caller's own, but the one that this secret is of. Their Slack account is one more place
        where they are signed in: it is linked no more."""

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, frozenset(ROLES))
            cut_slack(self._kernel, unit, person.person_id, person.person_id)
            return {"ended": self._end_others(unit, person, but)}

        return self._kernel.run(actor, work)

    def end_of(self, actor: Actor, login: str) -> Result:
        """Everything that acts as somebody: their sessions, their tokens, Slack, passkeys. An admin's to do.

        Raises NotPermitted, NotFound.
        """

        def work(unit: Unit) -> Result:
            admin = signed_in(unit, actor, frozenset({"admin"}))
            person = self._directory.by_login(unit, login)
            if person is None:
                raise NotFound(f"nobody has the login `{login[:64]}`")
            return self.cut(unit, person, admin.person_id)

        return self._kernel.run(actor, work)

    def change_password(self, actor: Actor, old: str, new: str, secret: str = "") -> Result:
        """A new password ends every other session, and what `cut` ends: whoever knew the old one may have made
        any of it. `secret` is of the session that stays.

        Raises NotPermitted for a wrong old password, LimitExceeded, UsageError.
        """
        check_password(new)
        proof = self._people.verify(actor.id, "password", old)
        hashed = hash_password(new)

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, frozenset(ROLES))
            check_proof(unit, actor.id, proof)
            unit.record(Person, person.person_id, [CredentialSet(person.person_id, "password")])
            unit.put_credential(
                Credential(f"password:{person.person_id}", "password", person.person_id, hashed)
            )
            return self.cut(unit, person, person.person_id, secret)

        return self._kernel.run(actor, work)

    def cut(self, unit: Unit, person: Person, by: PersonId, but: str = "") -> Result:
        """As part of a command: end everything that acts or signs as this person, but the session that `but` is
        of. `by` '' is their identity provider. Result: ended, tokens."""
        for token in person.tokens:
            strike(unit, person, token.token_id, by)
        gone = [PasskeyRemoved(person.person_id, k.credential_id, by) for k in person.passkeys]
        unit.record(Person, person.person_id, gone)
        cut_slack(self._kernel, unit, person.person_id, by)
        return {"ended": self._end_others(unit, person, but), "tokens": len(person.tokens)}

    def _end_others(self, unit: Unit, person: Person, but: str) -> int:
        kept = session_of(but) if but else ""
        found = [c for c in self._open(person.person_id) if c.id != kept]
        for each in found:
            _end(unit, person, each)
        return len(found)

    def _open(self, person_id: str) -> list[Credential]:
        return self._kernel.store.credentials_of(person_id, KIND)

    def _began(self, person_id: str) -> dict[str, tuple[str, str]]:
        """How and when the latest sessions began."""
        stream = f"person/{person_id}"
        row = self._kernel.store.load(stream)
        if row is None:
            raise NotPermitted("there is no such person")
        after = max(0, row.version - LOOKED_AT)
        rows = self._kernel.store.events(
            stream=stream, after=after, limit=LOOKED_AT, types=("person.signed_in",)
        )
        recorded = map(from_bytes, (r.data for r in rows))
        return {
            r.event.session: (r.event.method, format_time(r.at))
            for r in recorded
            if isinstance(r.event, SignedIn)
        }


def _end(unit: Unit, person: Person, session: Credential) -> None:
    unit.record(Person, person.person_id, [SignedOut(person.person_id, session.id)])
    unit.put_credential(
        Credential(session.id, KIND, person.person_id, "ended", (), None, revoked=True)
    )
