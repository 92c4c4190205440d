"""Deliveries as people see them: how many wait, which were given up, and asking for one again.

What is given up is an event, and a page for a person: one open page a topic, however many deliveries
fail. Approving the page tries them again. None of this needs the relay's engine.
"""

from typing import Final

from handfast.core.domain.canonical import digest
from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import InvalidTransition, NotFound
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.events_handoff import DecisionKind, HandoffKind
from handfast.core.domain.events_relay import DeliveryDeadLettered, DeliveryRetried
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import AgentId, HandoffId
from handfast.core.domain.inert import inert
from handfast.core.domain.package import Evidence, Package, ShowKind, WhatWillHappen
from handfast.core.domain.requirement import REVIEWERS, Clause, Level, Requirement, Silence
from handfast.core.domain.topic import Topic
from handfast.engine.audiences import Audiences
from handfast.engine.kernel import Result, Unit
from handfast.engine.opening import Opening, open_handoff
from handfast.storage.outbox import OutboxRow

MAX_ERROR: Final = 500
PAGE: Final = 200
DEAD: Final = "dead"
HOUR_S: Final = 3600
_OPERATORS = ("role:operator", "role:admin")
_ASKED = Requirement(
    (Clause(1, (REVIEWERS,)),),
    silence=Silence.ESCALATE,
    levels=(Level(_OPERATORS, HOUR_S), Level((REVIEWERS,))),
)


class Deliveries:
    """All calls are atomic but for the mark of the row, which follows its event and is idempotent."""

    def __init__(self, audiences: Audiences) -> None:
        self._audiences = audiences
        self._kernel = audiences.kernel
        self._store = audiences.kernel.store

    # -- looking

    def status(self) -> Result:
        """Counts by topic and state, and the relays with their heartbeats."""
        topics: dict[str, dict[str, int]] = {}
        for count in self._store.outbox_counts():
            topics.setdefault(count.topic, {})[count.state] = count.number
        items: list[Result] = [
            {
                "topic": topic,
                "waiting": numbers.get("waiting", 0),
                "handed": numbers.get("handed", 0),
                "dead": numbers.get(DEAD, 0),
            }
            for topic, numbers in sorted(topics.items())
        ]
        workers = [{"id": w, "beats": n} for w, n in sorted(self._store.beats().items())]
        return {"topics": items, "workers": workers}

    def dead(self, after: int = 0, limit: int = PAGE) -> list[Result]:
        """The deliveries that were given up, oldest first."""
        return [_shown(row) for row in self._store.outbox_in(DEAD, limit, after)]

    # -- giving up

    def bury(self, row: OutboxRow, error: str, done: tuple[str, ...] = ()) -> HandoffId:
        """Give it up: record it, page somebody unless a page about the topic is open, set the row aside.

        Idempotent for an attempt. Gives the id of the page.
        """
        attempts = row.attempts + 1 - row.spared
        said = shorten(error)

        def work(unit: Unit) -> Result:
            topic = unit.find(Topic, row.topic) or Topic(row.topic)
            page = topic.page
            if not (page and self._open(unit, page)):
                opening = _opening(row, attempts, said, self._kernel.settings.approval_within_s)
                page = open_handoff(self._audiences, unit, opening).handoff_id
            event = DeliveryDeadLettered(row.topic, row.id, attempts, page, unit.put(said))
            unit.record(Topic, row.topic, [event])
            return {"handoff_id": page}

        key = f"relay:dead:{row.id}:{row.attempts}"
        result = self._kernel.run(SYSTEM, work, key=key, command=[row.id, row.attempts])
        self._store.outbox_dead(row, said, done)
        return HandoffId(str(result["handoff_id"]))

    def _open(self, unit: Unit, page: HandoffId) -> bool:
        handoff = unit.find(Handoff, page)
        unit.rely_on(Handoff, page)
        return handoff is not None and handoff.waiting

    # -- asking again

    def retry(self, actor: Actor, delivery_id: int) -> Result:
        """Deliver it again, with all attempts before it. Result: delivery_id, topic, attempts.

        Raises NotFound for one that was delivered or never was, InvalidTransition for one that is not
        given up.
        """
        row = self._store.outbox_row(delivery_id)
        if row is None:
            raise NotFound(
                f"there is no delivery `{delivery_id}` that is not done",
                hint="`handfast relay dead` lists what was given up.",
            )
        if row.state != DEAD:
            raise InvalidTransition(
                f"delivery `{delivery_id}` is {row.state}, not dead",
                hint="It is tried again by itself.",
            )

        def work(unit: Unit) -> Result:
            event = DeliveryRetried(row.topic, row.id, row.attempts)
            unit.record(Topic, row.topic, [event])
            return {"delivery_id": row.id, "topic": row.topic, "attempts": row.attempts}

        key = f"relay:again:{row.id}:{row.attempts}"
        result = self._kernel.run(actor, work, key=key, command=[row.id, row.attempts])
        self._store.outbox_again(row)
        return result

    def answered(self, handoff_id: str) -> int:
        """A handoff was decided: when it is an approved page, try its deliveries again. Gives how many.

        Idempotent.
        """
        unit = Unit(self._kernel, SYSTEM, "")
        handoff = unit.find(Handoff, handoff_id)
        decision = handoff.decision if handoff is not None else None
        if handoff is None or decision is None or decision.kind is not DecisionKind.APPROVE:
            return 0
        topics = {
            row.topic
            for row in self._dead_rows()
            if handoff.kind is HandoffKind.ESCALATION
            and (topic := unit.find(Topic, row.topic)) is not None
            and topic.page == handoff_id
        }
        found = [row for row in self._dead_rows() if row.topic in topics]
        for row in found:
            self.retry(SYSTEM, row.id)
        return len(found)

    def _dead_rows(self) -> list[OutboxRow]:
        found: list[OutboxRow] = []
        while page := self._store.outbox_in(DEAD, PAGE, found[-1].id if found else 0):
            found += page
        return found


def shorten(error: str) -> str:
    """One line of a receiver's words, which are anybody's."""
    return inert(" ".join(error.split()) or "no reason given", MAX_ERROR, multiline=False)


def _shown(row: OutboxRow) -> Result:
    return {
        "delivery_id": row.id,
        "topic": row.topic,
        "attempts": row.attempts - row.spared,
        "error": row.error,
        "delivered_to": list(row.done),
        "last_due_at": format_time(row.not_before),
    }


def _opening(row: OutboxRow, attempts: int, said: str, within_s: int) -> Opening:
    package = Package(
        ask=inert(f"Deliveries of {row.topic} do not arrive", 300, multiline=False),
        what_will_happen=WhatWillHappen(
            ShowKind.TEXT,
            f"Approving tries every delivery of `{row.topic}` again that was given up.",
            (
                "Nothing else runs. Rejecting leaves them where they are.",
                f"In a terminal: handfast relay dead; handfast relay retry {row.id}",
            ),
            reversible=True,
        ),
        why_now=f"{attempts} of {attempts} attempts failed. The last one: {said}",
        open_question="Is the receiver back, so that it is worth trying again?",
        state=(
            f"Delivery {row.id} is kept and not tried by itself any more. While this page is open, others "
            "of the same topic that fail are kept, too, without a page of their own."
        ),
        evidence=(Evidence(f"Delivery {row.id}: {said}", "recorded"),),
    )
    return Opening(
        kind=HandoffKind.ESCALATION,
        risk="high",
        package=package,
        action_digest=digest(["relay", row.topic, row.id, row.attempts]),
        agent_id=AgentId(""),
        within_s=within_s,
        requirement=_ASKED,
    )
