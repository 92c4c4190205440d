"""The PIN by which a person proves themselves in a terminal, set by who has just proved who they are."""

from datetime import timedelta
from typing import Final

from handfast.core.domain.errors import NotPermitted
from handfast.core.domain.events import Actor
from handfast.core.domain.events_org import CredentialSet
from handfast.core.domain.person import ROLES, Person
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.passwords import hash_password
from handfast.engine.people import People, check_pin, signed_in
from handfast.engine.sessions import Sessions
from handfast.storage.api import Credential

FRESH: Final = timedelta(minutes=10)


class Pins:
    """Changes are a signed-in person's own, and atomic."""

    def __init__(self, kernel: Kernel, people: People, sessions: Sessions) -> None:
        self._kernel = kernel
        self._people = people
        self._sessions = sessions

    def by_password(self, person_id: str) -> bool:
        """Whether this person proves themselves by a password here, else by a fresh sign-in elsewhere."""
        return self._kernel.store.credential(f"password:{person_id}") is not None

    def is_fresh(self, person_id: str, secret: str) -> bool:
        """Whether the session of this secret began within the last ten minutes."""
        began = self._sessions.began(person_id, secret)
        return began is not None and self._kernel.clock.now() - began < FRESH

    def set(self, actor: Actor, pin: str, *, secret: str, password: str = "") -> Result:
        """A first PIN, or another one. It takes the password; who has none here, because an identity provider
        lets them in, must have signed in there within ten minutes. `secret` is of the session.

        Raises UsageError for what is no PIN, NotPermitted (`wrong_secret`, `sign_in_again`), LimitExceeded.
        """
        check_pin(pin)
        if self.by_password(actor.id):
            self._people.verify(actor.id, "password", password)
        elif not self.is_fresh(actor.id, secret):
            raise NotPermitted(
                "a PIN is set within ten minutes of signing in",
                code="sign_in_again",
                hint="Sign in again at your identity provider, and set it then.",
            )
        hashed = hash_password(pin)

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, frozenset(ROLES))
            unit.record(Person, person.person_id, [CredentialSet(person.person_id, "pin")])
            kept = Credential(f"pin:{person.person_id}", "pin", person.person_id, hashed)
            unit.put_credential(kept)
            return {}

        return self._kernel.run(actor, work)
