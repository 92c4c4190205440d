"""What a person proved themselves with: checked once when they came, and again in the unit that rests on it. A
password, a PIN or a session that was changed or ended in between carries nothing."""

import hmac
from dataclasses import dataclass, field

from handfast.core.domain.errors import NotPermitted
from handfast.core.domain.events import Actor
from handfast.core.domain.person import Person
from handfast.engine.kernel import Unit


@dataclass(frozen=True, slots=True)
class Proof:
    """A stored credential as it was when it was checked. `secret` is its hash."""

    credential_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Proven(Actor):
    """A person, with what they proved themselves with. The log names the actor alone."""

    proof: Proof = field(kw_only=True, compare=False)


def check_proof(unit: Unit, person_id: str, proof: Proof) -> None:
    """Whatever changes or ends a credential of a person records it of that person, so this holds until the commit.

    Raises NotPermitted.
    """
    unit.rely_on(Person, person_id)
    found = unit.credential(proof.credential_id)
    if found is None or found.revoked or not hmac.compare_digest(found.secret, proof.secret):
        raise NotPermitted(
            "what you proved yourself with was changed or ended meanwhile",
            code="proof_ended",
            hint="Sign in again.",
        )


def present(unit: Unit, actor: Actor, refused: NotPermitted) -> Person:
    """The signed-in person behind a command, part of what it rests on. Raises `refused` for anybody else."""
    if actor.type != "person" or actor.auth not in ("browser", "pin"):
        raise refused
    unit.rely_on(Person, actor.id)
    person = unit.get(Person, actor.id)
    if isinstance(actor, Proven):
        check_proof(unit, actor.id, actor.proof)
    return person
