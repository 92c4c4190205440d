"""The PIN by which a person proves themselves in a terminal, set by who has just proved who they are."""

from handfast.core.domain.events import Actor
from handfast.core.domain.events_org import CredentialSet
from handfast.core.domain.person import ROLES, Person
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.passwords import hash_password
from handfast.engine.people import check_pin, signed_in
from handfast.engine.proofs import check_proof
from handfast.engine.proving import Proving
from handfast.storage.api import Credential


class Pins:
    """Changes are a signed-in person's own, and atomic."""

    def __init__(self, kernel: Kernel, proving: Proving) -> None:
        self._kernel = kernel
        self._proving = proving

    def set(self, actor: Actor, pin: str, *, secret: str, password: str = "") -> Result:
        """A first PIN, or another one, of who proves themselves once more. `secret` is of the session.

        Raises UsageError for what is no PIN, and what `Proving.prove` does.
        """
        check_pin(pin)
        proof = self._proving.prove(actor, "a PIN", secret=secret, password=password)
        hashed = hash_password(pin)

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, frozenset(ROLES))
            check_proof(unit, actor.id, proof)
            unit.record(Person, person.person_id, [CredentialSet(person.person_id, "pin")])
            kept = Credential(f"pin:{person.person_id}", "pin", person.person_id, hashed)
            unit.put_credential(kept)
            return {}

        return self._kernel.run(actor, work)
