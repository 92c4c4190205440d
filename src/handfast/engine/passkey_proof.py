"""Checks decisions that were signed with a passkey from the log alone: no server, no database, no browser.

The key is the one that the log itself recorded for that person before, so a signature proves that whoever
holds that person's passkey decided exactly this.
"""

import hashlib
import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field

from handfast.core.domain.assertion import Assertion, Signed
from handfast.core.domain.errors import IntegrityError
from handfast.core.domain.events import from_bytes
from handfast.core.domain.events_handoff import (
    DecisionKind,
    HandoffDecided,
    HandoffEdited,
    HandoffVoted,
)
from handfast.core.domain.events_identity import PasskeyAdded, PasskeyRemoved

_INTERESTING = (b'"assertion"', b'"person.passkey_added"', b'"person.passkey_removed"')
_PRESENT, _VERIFIED = 0x01, 0x04


@dataclass(slots=True)
class SignedDecisions:
    """Sees every entry in order. `good` counts the signatures that hold."""

    good: int = 0
    _keys: dict[tuple[str, str], str] = field(default_factory=dict)

    def see(self, raw: bytes) -> str:
        """What is wrong with the signature in this entry; '' when nothing is, or there is none."""
        if not any(word in raw for word in _INTERESTING):
            return ""
        try:
            recorded = from_bytes(raw)
        except IntegrityError:
            return ""  # said elsewhere
        event = recorded.event
        if isinstance(event, PasskeyAdded):
            self._keys[event.person_id, event.credential_id] = event.public_key
        elif isinstance(event, PasskeyRemoved):
            self._keys.pop((event.person_id, event.credential_id), None)
        elif isinstance(event, HandoffDecided | HandoffVoted | HandoffEdited) and event.assertion:
            key = self._keys.get((event.person_id, event.assertion.credential_id), "")
            wrong = _wrong(event, event.assertion, key)
            self.good += not wrong
            return wrong and f"The passkey's signature on handoff `{event.handoff_id}` {wrong}."
        return ""


def _wrong(event: HandoffDecided | HandoffVoted | HandoffEdited, given: Assertion, key: str) -> str:
    if not key:
        return "is of no passkey that the log recorded for that person"
    try:
        client = json.loads(_bytes(given.client_data))
        challenge = _bytes(str(client["challenge"]))
        flags = _bytes(given.authenticator_data)[32]
    except (ValueError, KeyError, IndexError, TypeError):
        return "cannot be read"
    if client.get("type") != "webauthn.get" or challenge != _signed(event, given).challenge():
        return "was made for another decision"
    if flags & (_PRESENT | _VERIFIED) != (_PRESENT | _VERIFIED):
        return "was made without checking who holds the passkey"
    return "" if _holds(given, key) else "does not hold"


def _signed(event: HandoffDecided | HandoffVoted | HandoffEdited, given: Assertion) -> Signed:
    """What the event says was decided. An approval of somebody else's edit names that by what was presented."""
    edits = given.said == DecisionKind.APPROVE_WITH_EDITS.value
    edited = event.edited_digest if edits and not isinstance(event, HandoffVoted) else ""
    before = isinstance(event, HandoffEdited)  # the event names what the others are shown after it
    return Signed(
        handoff_id=event.handoff_id,
        person_id=event.person_id,
        presented_digest=given.presented if before else event.presented_digest,
        said=_said(event, given),
        edited_digest=edited,
        answer=event.answer if isinstance(event, HandoffDecided) else "",
        scope=given.scope,
    )


def _said(event: HandoffDecided | HandoffVoted | HandoffEdited, given: Assertion) -> str:
    """The verb as it was chosen, where it may lead to such an event; '' where it may not."""
    approving = (DecisionKind.APPROVE.value, DecisionKind.APPROVE_WITH_EDITS.value)
    if not isinstance(event, HandoffDecided):
        return given.said if given.said in approving else ""
    recorded = event.decision.value
    if given.said == recorded:
        return recorded
    return given.said if recorded == approving[1] and given.said == approving[0] else ""


def _holds(given: Assertion, key: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from webauthn.helpers import (
        decode_credential_public_key,
        decoded_public_key_to_cryptography,
        verify_signature,
    )
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        decoded = decode_credential_public_key(_bytes(key))
        hashed = hashlib.sha256(_bytes(given.client_data)).digest()
        verify_signature(
            public_key=decoded_public_key_to_cryptography(decoded),
            signature_alg=decoded.alg,
            signature=_bytes(given.signature),
            data=_bytes(given.authenticator_data) + hashed,
        )
    except (InvalidSignature, WebAuthnException, ValueError, KeyError):
        return False
    return True


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
