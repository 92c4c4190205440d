"""A passkey made of software: signs what a real one would, without a browser."""

import base64
import hashlib
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.events_identity import PasskeyAdded
from handfast.core.domain.ids import PersonId
from handfast.core.domain.person import Person
from handfast.engine.facade import Engine
from handfast.engine.handoffs import Decision
from handfast.engine.kernel import Result, Unit
from handfast.engine.passkeys import Relying

SITE = Relying("localhost", "http://localhost")
_PRESENT_AND_VERIFIED = b"\x05"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class SoftPasskey:
    """One person's."""

    engine: Engine
    person: Actor
    credential_id: str
    key: ec.EllipticCurvePrivateKey

    def decision(self, handoff_id: str, kind: DecisionKind, seen: str, **more: object) -> Decision:
        """The decision, signed."""
        given = {"reason": "looks right", "relying": SITE} | more
        unsigned = Decision(handoff_id, kind, seen, **given)  # type: ignore[arg-type]
        asked = self.engine.handoffs.to_sign(self.person, unsigned)["options"]
        assert isinstance(asked, dict)
        return Decision(
            handoff_id,
            kind,
            seen,
            assertion=self.signature(str(asked["challenge"])),
            **given,  # type: ignore[arg-type]
        )

    def signature(self, challenge: str) -> str:
        client = {"type": "webauthn.get", "challenge": challenge, "origin": SITE.origin}
        said = json.dumps(client).encode()
        data = hashlib.sha256(SITE.rp_id.encode()).digest() + _PRESENT_AND_VERIFIED + bytes(4)
        signed = self.key.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "authenticatorData": b64(data),
            "clientDataJSON": b64(said),
            "signature": b64(signed),
        }
        answer = {"id": self.credential_id, "rawId": self.credential_id, "type": "public-key"}
        return json.dumps({**answer, "response": response})


def registration(challenge: str, origin: str, name: bytes) -> dict[str, object]:
    """What a browser brings back to an offer: a new passkey, made for the host of `origin`."""
    at = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    cose = {1: 2, 3: -7, -1: 1, -2: at.x.to_bytes(32, "big"), -3: at.y.to_bytes(32, "big")}
    attested = bytes(16) + len(name).to_bytes(2, "big") + name + cbor2.dumps(cose)
    data = (
        hashlib.sha256((urlsplit(origin).hostname or "").encode()).digest()
        + b"\x45"
        + bytes(4)
        + attested
    )
    said = {"type": "webauthn.create", "challenge": challenge, "origin": origin}
    response = {
        "clientDataJSON": b64(json.dumps(said).encode()),
        "attestationObject": b64(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
    }
    return {"id": b64(name), "rawId": b64(name), "type": "public-key", "response": response}


def soft_passkey(engine: Engine, person: Actor) -> SoftPasskey:
    """A new one, recorded as if its person had added it."""
    key = ec.generate_private_key(ec.SECP256R1())
    at = key.public_key().public_numbers()
    cose = {1: 2, 3: -7, -1: 1, -2: at.x.to_bytes(32, "big"), -3: at.y.to_bytes(32, "big")}
    credential_id, person_id = b64(person.id.encode()), PersonId(person.id)

    def work(unit: Unit) -> Result:
        event = PasskeyAdded(person_id, credential_id, b64(cbor2.dumps(cose)), unit.put("soft"))
        unit.record(Person, person_id, [event])
        return {}

    engine.kernel.run(person, work)
    return SoftPasskey(engine, person, credential_id, key)
