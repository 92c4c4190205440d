"""A decision signed with a passkey: what exactly is signed, so that anybody can check it later.

The challenge that a passkey signs is the digest of who decides what about which form of the handoff. It is
made again from the recorded event, so a signature on one decision fits no other.
"""

from dataclasses import dataclass

from handfast.core.domain.canonical import digest


@dataclass(frozen=True, slots=True)
class Assertion:
    """What the passkey gave, each part in base64url without padding. `said`, `scope`
    and `presented` are the parts of what was signed that the event itself may not show: the verb as it was
    chosen, how far it reaches, and the digest of what was looked at."""

    credential_id: str
    authenticator_data: str
    client_data: str
    signature: str
    said: str
    scope: str = ""
    presented: str = ""


@dataclass(frozen=True, slots=True)
class Signed:
    """What is decided. `edited_digest` is that of an edited action, '' without one."""

    handoff_id: str
    person_id: str
    presented_digest: str
    said: str
    edited_digest: str = ""
    answer: str = ""
    scope: str = ""

    def challenge(self) -> bytes:
        """32 bytes, the SHA-256 of the canonical form."""
        named = {
            "type": "handfast decision 1",
            "handoff_id": self.handoff_id,
            "person_id": self.person_id,
            "presented_digest": self.presented_digest,
            "said": self.said,
            "edited_digest": self.edited_digest,
            "answer": self.answer,
            "scope": self.scope,
        }
        return bytes.fromhex(digest(named).rpartition(":")[2])


def presented_after(presented: str, edited: str) -> str:
    """The digest of what is shown after an edit: the case as it was, with another call. So whoever signs it
    signs the edited call."""
    return digest({"presented": presented, "edited": edited})
