"""Somebody who is signed in proves once more who they are. An open session alone sets nothing that outlives it
and that a decision rests on: no PIN, no passkey."""

from datetime import timedelta
from typing import Final

from handfast.core.domain.errors import NotPermitted
from handfast.core.domain.events import Actor
from handfast.engine.kernel import Kernel
from handfast.engine.people import People, session_proof
from handfast.engine.proofs import Proof
from handfast.engine.sessions import Sessions

FRESH: Final = timedelta(minutes=10)


class Proving:
    """By the password; who has none here, because an identity provider lets them in, by a fresh sign-in there."""

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

    def prove(self, actor: Actor, what: str, *, secret: str, password: str) -> Proof:
        """`secret` is of the session, `what` names what is set with it. Gives what the unit that sets it checks
        once more.

        Raises NotPermitted (`wrong_secret`, `sign_in_again`), LimitExceeded.
        """
        if self.by_password(actor.id):
            return self._people.verify(actor.id, "password", password)
        if not self.is_fresh(actor.id, secret):
            raise NotPermitted(
                f"{what} is set within ten minutes of signing in",
                code="sign_in_again",
                hint="Sign in again at your identity provider, and set it then.",
            )
        return session_proof(secret)
