"""What a person may decide with a button in a chat: only what policy lets, and only what is low risk.

chat: {decide: low}      # or never; without the section nothing is decided there
"""

from collections.abc import Sequence
from enum import StrEnum

from handfast.core.domain.action import Risk
from handfast.core.domain.events_handoff import DecisionKind, HandoffKind
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.package import Package, ShowKind
from handfast.core.policy import sections
from handfast.core.policy.sections import Path

MAX_SHOWN = 1_500


class ChatDecides(StrEnum):
    NEVER = "never"
    LOW = "low"


def read_chat(value: object, path: Path) -> ChatDecides:
    """Raises Wrong."""
    found = sections.mapping(value, path, ("decide",))
    known = [c.value for c in ChatDecides]
    return ChatDecides(sections.one_of(found.get("decide"), (*path, "decide"), known))


def not_in_chat(handoff: Handoff, package: Package, said: Sequence[ChatDecides | None]) -> str:
    """Why it takes the page; '' when an approval may be given in a chat.

    `said` is what each policy in force says, the organisation's first: one must permit it, and none
    refuse. A message must show the whole call, fully read.
    """
    shown = package.what_will_happen
    if ChatDecides.LOW not in said or ChatDecides.NEVER in said:
        return "the policy does not let it be decided in a chat"
    if handoff.requirement.passkey:
        return "an approval of it is signed with a passkey"
    if handoff.risk != Risk.LOW.value:
        return f"its risk is {handoff.risk}"
    if handoff.kind is not HandoffKind.APPROVAL or DecisionKind.APPROVE not in handoff.offered:
        return "it is more than a yes to one call"
    if shown.kind is not ShowKind.COMMAND or shown.opaque or len(shown.text) > MAX_SHOWN:
        return "the call does not fit into a message, or could not be read in full"
    if handoff.edit is not None or handoff.votes:
        return "others have edited or approved it already"
    return ""
