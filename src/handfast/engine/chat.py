"""Decisions with a button in a chat: whether policy lets this one be given there, checked again when it is."""

from handfast.core.domain.copying import replace
from handfast.core.domain.errors import IntegrityError, NotPermitted
from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.handoff import Handoff
from handfast.core.policy.chat import not_in_chat
from handfast.engine.audiences import Audiences
from handfast.engine.effects import open_package
from handfast.engine.kernel import Unit
from handfast.engine.policies import Policies

CHAT_AUTH = "slack"


class Chat:
    """Reads in the unit of work that asks."""

    def __init__(self, audiences: Audiences, policies: Policies) -> None:
        self._audiences = audiences
        self._policies = policies

    def why_not(self, unit: Unit, handoff: Handoff) -> str:
        """Why it takes the page; '' when an approval may be given in a chat."""
        repository = self._audiences.repository_of(unit, handoff)
        try:
            books = self._policies.in_force(unit, repository).books
        except IntegrityError:
            return "the policy in force cannot be read"
        package = open_package(self._audiences.kernel, handoff)
        return not_in_chat(handoff, package, [book.policy.chat for book in books])

    def admitted(self, unit: Unit, actor: Actor, handoff: Handoff, kind: DecisionKind) -> Actor:
        """`actor` as one who may decide. Raises NotPermitted for what a chat may not decide."""
        if actor.auth != CHAT_AUTH:
            return actor
        why = self.why_not(unit, handoff)
        if kind is not DecisionKind.APPROVE:
            why = "only an approval is given there"
        if why:
            raise NotPermitted(
                f"this cannot be decided in a chat: {why}",
                code="not_in_chat",
                hint="Open the case in the browser.",
            )
        return replace(actor, auth="browser")
