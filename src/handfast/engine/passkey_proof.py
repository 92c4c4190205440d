"""Checks decisions that were signed with a passkey from the log alone: no server, no database, no browser.

The key is the one that the log itself recorded for that person before, so a signature proves that whoever
holds that person's passkey decided exactly this. What a signature covers by its digest only is followed in
the log: the form that was shown last, the edit that was put to the others, and the grant that came of it.
"""

import hashlib
import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from handfast.core.domain import grant_scope
from handfast.core.domain.assertion import Assertion, Signed, presented_after
from handfast.core.domain.errors import IntegrityError, UsageError
from handfast.core.domain.events import Event, from_bytes
from handfast.core.domain.events_handoff import (
    DecisionKind,
    GrantMinted,
    HandoffAutoProceeded,
    HandoffClosed,
    HandoffDecided,
    HandoffEdited,
    HandoffExpired,
    HandoffOverridden,
    HandoffRequested,
    HandoffReturned,
    HandoffSuperseded,
    HandoffVoted,
    HandoffWithdrawn,
)
from handfast.core.domain.events_identity import PasskeyAdded, PasskeyRemoved

_Approval: TypeAlias = HandoffDecided | HandoffVoted | HandoffEdited
_OVER = HandoffClosed | HandoffExpired | HandoffReturned | HandoffSuperseded | HandoffWithdrawn
_APPROVING = (DecisionKind.APPROVE.value, DecisionKind.APPROVE_WITH_EDITS.value)
_INTERESTING = (
    b'"assertion"',
    b'"passkey":true',
    b'"person.passkey_added"',
    b'"person.passkey_removed"',
)
_STREAM = b'"stream":"handoff/'
_PRESENT, _VERIFIED = 0x01, 0x04


@dataclass(slots=True)
class _Case:
    """A handoff whose approvals are signed, as far as the log tells by now. `edited` is the digest of the
    call that was put in the place of the proposed one. `unsigned`: a machine or an override let it go on."""

    requested: HandoffRequested
    presented: str
    edited: str = ""
    decided: HandoffDecided | None = None
    decided_at: datetime | None = None
    unsigned: bool = False


@dataclass(slots=True)
class SignedDecisions:
    """Sees every entry in order. `good` counts the signatures that hold, of handoffs that ask for one.

    Keeps the passkeys of people, and the handoffs that ask for a signature while they are open.
    """

    good: int = 0
    _keys: dict[tuple[str, str], str] = field(default_factory=dict)
    _cases: dict[str, _Case] = field(default_factory=dict)

    def see(self, raw: bytes) -> str:
        """What is wrong with the signature in this entry, or with what came of one; '' when nothing is."""
        if not any(word in raw for word in _INTERESTING) and _stream(raw) not in self._cases:
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
        elif isinstance(event, HandoffRequested):
            if event.requirement.passkey:
                self._cases[event.handoff_id] = _Case(event, event.presented_digest)
        elif isinstance(event, HandoffDecided | HandoffVoted | HandoffEdited):
            return self._approval(event, recorded.at)
        else:
            return self._went_on(event)
        return ""

    def _approval(self, event: _Approval, at: datetime) -> str:
        case = self._cases.get(event.handoff_id)
        wrong = ""
        if event.assertion:
            key = self._keys.get((event.person_id, event.assertion.credential_id), "")
            wrong = _wrong(event, event.assertion, key) or _elsewhere(event, event.assertion, case)
            self.good += case is not None and not wrong
            wrong = wrong and f"The passkey's signature on handoff `{event.handoff_id}` {wrong}."
        elif case is not None and _approves(event):
            wrong = f"An approval of handoff `{event.handoff_id}` is not signed, and its rule asks for that."
        if case is not None and isinstance(event, HandoffEdited):
            case.presented, case.edited = event.presented_digest, event.edited_digest
        elif case is not None and isinstance(event, HandoffDecided):
            case.decided, case.decided_at = event, at
        return wrong

    def _went_on(self, event: Event) -> str:
        case = self._cases.get(getattr(event, "handoff_id", ""))
        if case is None:
            return ""
        if isinstance(event, HandoffOverridden | HandoffAutoProceeded):
            case.unsigned = True
        elif isinstance(event, _OVER):
            del self._cases[event.handoff_id]
        elif isinstance(event, GrantMinted) and not _follows(event, case):
            return (
                f"The grant of handoff `{event.handoff_id}` permits something else than was signed."
            )
        return ""


def _stream(raw: bytes) -> str:
    """The id of the handoff that an entry is about; '' for another one. The envelope's members come last."""
    start = raw.rfind(_STREAM) + len(_STREAM)
    found = raw[start : raw.find(b'"', start)] if start >= len(_STREAM) else b""
    return found.decode("ascii", "replace")


def _approves(event: _Approval) -> bool:
    return not isinstance(event, HandoffDecided) or event.decision.value in _APPROVING


def _elsewhere(event: _Approval, given: Assertion, case: _Case | None) -> str:
    """What the log says against it beside the signature itself: another form was shown, or another edit was
    put to the others than the one that is recorded."""
    shown, last = (case.presented, case.edited) if case else ("", "")
    if isinstance(event, HandoffEdited):
        after = presented_after(given.presented, event.edited_digest)
        as_shown = case is None or given.presented == shown
        return "" if as_shown and event.presented_digest == after else _OTHER_FORM
    if case is not None and event.presented_digest != shown:
        return _OTHER_FORM
    if isinstance(event, HandoffVoted) or given.said != DecisionKind.APPROVE.value:
        return ""
    as_edited = event.decision is DecisionKind.APPROVE_WITH_EDITS
    same = event.edited_digest == last and as_edited == bool(last)
    return "" if same else "was made for another edit than the one that is recorded"


_OTHER_FORM = "was made for another form than the one that was shown"


def _follows(grant: GrantMinted, case: _Case) -> bool:
    """Whether a grant permits what was decided and signed, and nothing beyond."""
    if case.unsigned:
        return True
    decided, asked, at = case.decided, case.requested, case.decided_at
    if decided is None or at is None or not _approves(decided):
        return False
    signed = decided.assertion.scope if decided.assertion else ""
    try:
        wanted, most = grant_scope.wanted_of(signed), asked.requirement.scope
        scope = grant_scope.given(wanted, most, has_task=bool(asked.task_id))
    except (UsageError, ValueError):
        return False
    in_time = not scope.within_s or grant.expires_at <= at + timedelta(seconds=scope.within_s)
    return (
        in_time
        and grant.action_digest == (decided.edited_digest or asked.action_digest)
        and (grant.uses, grant.span) == (scope.times, scope.span)
        and (grant.agent_id, grant.run_id) == (asked.agent_id, asked.run_id)
    )


def _wrong(event: _Approval, given: Assertion, key: str) -> str:
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


def _signed(event: _Approval, given: Assertion) -> Signed:
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


def _said(event: _Approval, given: Assertion) -> str:
    """The verb as it was chosen, where it may lead to such an event; '' where it may not."""
    if not isinstance(event, HandoffDecided):
        return given.said if given.said in _APPROVING else ""
    recorded = event.decision.value
    if given.said == recorded:
        return recorded
    return given.said if recorded == _APPROVING[1] and given.said == _APPROVING[0] else ""


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
