"""Who is told of what, through which contact and when; and what came of it.

A notice is planned for each contact of each person who is asked. It is posted to the outbox at once, or
held until quiet hours or a digest end; then the sweep posts what is due, bundled by contact. A notice's
id is made of what it is about, so planning twice tells nobody twice.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeAlias, cast

from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import UsageError
from handfast.core.domain.events import SYSTEM, Actor, Event
from handfast.core.domain.events_notify import (
    NoticeDelivered,
    NoticeDropped,
    NoticeFailed,
    NoticePlanned,
    NoticeReleased,
)
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import NoticeId, PersonId
from handfast.core.domain.notice import Notice, NoticeStatus
from handfast.core.domain.person import ROLES, Person
from handfast.core.domain.reach import Contact, Reach
from handfast.core.policy.holding import held_until, is_urgent, wanted
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.knowing import Knowing
from handfast.engine.notice_links import NoticeLinks
from handfast.engine.people import People, signed_in
from handfast.engine.projections import BY_NAME, load
from handfast.engine.zones import to_utc, wall_clock
from handfast.storage.api import Query

PAGE: Final = 200
SHOWN: Final = 200
EventOf: TypeAlias = Callable[[Unit, NoticeId], Event]


class Notices:
    """All calls are atomic."""

    def __init__(self, kernel: Kernel, people: People, knowing: Knowing) -> None:
        self._kernel = kernel
        self._people = people
        self._knowing = knowing
        self.links = NoticeLinks(kernel)

    # -- planning

    def plan(self, handoff_id: str) -> int:
        """Tell those who are asked now and were not told of it in this form. Gives how many notices.

        Idempotent. Nothing is planned for what waits no more or waits for a checkpoint; each person is told of
        a checkpoint once.
        """

        def work(unit: Unit) -> Result:
            handoff = unit.get(Handoff, handoff_id)
            if not handoff.waiting:
                return {"planned": 0}
            people = [handoff.holder] if handoff.holder else handoff.to_tell
            return {"planned": self.tell(unit, people, [handoff])}

        return cast("int", self._kernel.run(SYSTEM, work)["planned"])

    def tell(self, unit: Unit, people: Iterable[PersonId], handoffs: Sequence[Handoff]) -> int:
        """Plan a notice for each of these people, contacts and handoffs, and post what goes out at once:
        one message a contact, whatever the number of handoffs. Gives how many were planned."""
        planned = 0
        for person_id in dict.fromkeys(people):
            reach = unit.find(Reach, person_id)
            for contact in reach.contacts if reach else ():
                made = [
                    n for h in handoffs if (n := self._one(unit, cast("Reach", reach), contact, h))
                ]
                planned += len(made)
                self._post(unit, contact.channel, [n for n in made if n.due_at is None])
        return planned

    def _one(self, unit: Unit, reach: Reach, contact: Contact, h: Handoff) -> Notice | None:
        urgent = is_urgent(h)
        if not wanted(contact.takes, urgent=urgent):
            return None
        asking = f"{h.level}.{h.round}"
        parts = (h.handoff_id, contact.contact_id, h.presented_digest, asking)
        notice_id = NoticeId("no_" + hashlib.sha256(" ".join(parts).encode()).hexdigest()[:26])
        if unit.find(Notice, notice_id) is not None:
            return None
        due_at = None if urgent else self._due(reach, contact, h, unit.now)
        event = NoticePlanned(
            notice_id=notice_id,
            person_id=reach.person_id,
            contact_id=contact.contact_id,
            channel=contact.channel,
            link_until=unit.now + timedelta(seconds=self._kernel.settings.link_s),
            handoff_id=h.handoff_id,
            presented_digest=h.presented_digest,
            asking=asking,
            urgent=urgent,
            due_at=due_at,
            why="quiet hours or digest" if due_at else "",
        )
        return unit.record(Notice, notice_id, [event])

    def _due(self, reach: Reach, contact: Contact, h: Handoff, now: datetime) -> datetime | None:
        """What would be held until after its deadline goes out at once: it must not expire unseen."""
        name = reach.quiet.zone
        try:
            held = held_until(
                contact.takes,
                reach.quiet,
                reach.digest_minutes,
                now,
                partial(wall_clock, name=name),
                partial(to_utc, name=name),
            )
        except UsageError:  # the zone is gone from this machine
            return None
        return None if held is None or (h.deadline and held >= h.deadline) else held

    def _post(self, unit: Unit, channel: str, notices: Sequence[Notice]) -> None:
        if notices:
            kind = channel.partition(":")[0]
            unit.post(f"notify.{kind}", {"notices": [n.notice_id for n in notices]})

    def test(self, actor: Actor, contact_id: str) -> Result:
        """Send a notice that is about nothing. Result: notice_id. Raises NotPermitted, NotFound."""

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, frozenset(ROLES))
            reach = unit.find(Reach, person.person_id) or Reach(person.person_id)
            contact = reach.contact(contact_id)
            event = NoticePlanned(
                notice_id=NoticeId(new_id("no")),
                person_id=reach.person_id,
                contact_id=contact.contact_id,
                channel=contact.channel,
                link_until=unit.now,
                why="a test",
            )
            notice = unit.record(Notice, event.notice_id, [event])
            self._post(unit, contact.channel, [notice])
            return {"notice_id": notice.notice_id}

        return self._kernel.run(actor, work)

    # -- what was held back

    def release(self) -> int:
        """Post what is due, one message a contact. Any number of servers may. Gives how many were looked at."""
        due = Query("notice", due_before=self._kernel.clock.now(), limit=PAGE)
        found = [_state(row.doc) for row in self._kernel.store.find(due)]
        by_contact: dict[tuple[str, str], list[Notice]] = {}
        for notice in found:
            by_contact.setdefault((notice.contact_id, notice.channel), []).append(notice)
        for (_, channel), notices in by_contact.items():
            self._kernel.run(SYSTEM, partial(self._release, channel=channel, notices=notices))
        return len(found)

    def _release(self, unit: Unit, *, channel: str, notices: Sequence[Notice]) -> Result:
        out: list[Notice] = []
        for each in notices:
            notice = unit.get(Notice, each.notice_id)
            if notice.status is not NoticeStatus.HELD:
                continue
            if why := self.useless(unit, notice):
                unit.record(Notice, notice.notice_id, [NoticeDropped(notice.notice_id, why)])
            else:
                event = NoticeReleased(notice.notice_id)
                out.append(unit.record(Notice, notice.notice_id, [event]))
        self._post(unit, channel, out)
        return {}

    def useless(self, unit: Unit, notice: Notice) -> str:
        """Why it need not be sent any more; '' when it should."""
        reach = unit.find(Reach, notice.person_id)
        known = {c.contact_id for c in reach.contacts} if reach else set()
        if notice.contact_id not in known:
            return "the contact was removed"
        if not notice.handoff_id:
            return ""
        handoff = unit.get(Handoff, notice.handoff_id)
        if not handoff.waiting:
            return f"it was {handoff.status.value}"
        if handoff.presented_digest != notice.presented_digest:
            return "it changed"
        return self._not_theirs(unit, notice)

    def _not_theirs(self, unit: Unit, notice: Notice) -> str:
        """Why this person is not told of it any more: what they may do and know of, at this moment."""
        person = unit.find(Person, notice.person_id)
        if person is None or not person.may_decide:
            return "their roles do not let them decide any more"
        return "" if self.may_know(notice) else "they may not know of it any more"

    def may_know(self, notice: Notice) -> bool:
        """Whether its person may know of what it is about, now."""
        sight = self._knowing.sight(notice.person_id)
        return bool(self._knowing.known(sight, [notice.handoff_id]))

    # -- what came of it

    def to_send(self, notice_ids: Sequence[str]) -> list[Notice]:
        """Those of a delivery that still should go out. The others are recorded as dropped."""

        def work(unit: Unit) -> Result:
            left: list[str] = []
            for notice_id in notice_ids:
                notice = unit.find(Notice, notice_id)
                if notice is None or notice.status is not NoticeStatus.SENDING:
                    continue
                if why := self.useless(unit, notice):
                    unit.record(Notice, notice_id, [NoticeDropped(notice.notice_id, why)])
                else:
                    left.append(notice_id)
            return {"left": left}

        left = cast("list[str]", self._kernel.run(SYSTEM, work)["left"])
        return [self._kernel.state(Notice, notice_id) for notice_id in left]

    def delivered(
        self, notice_ids: Sequence[str], delivery_id: int, attempt: int, reference: str
    ) -> None:
        """Idempotent."""

        def event(_: Unit, n: NoticeId) -> Event:
            return NoticeDelivered(n, delivery_id, attempt, reference[:200])

        self._each(notice_ids, event)

    def failed(
        self, notice_ids: Sequence[str], delivery_id: int, attempt: int, reason: str
    ) -> None:
        def event(unit: Unit, n: NoticeId) -> Event:
            return NoticeFailed(n, delivery_id, attempt, unit.put(reason))

        self._each(notice_ids, event)

    def _each(self, notice_ids: Sequence[str], event: EventOf) -> None:
        def work(unit: Unit) -> Result:
            for notice_id in notice_ids:
                if unit.get(Notice, notice_id).status is NoticeStatus.SENDING:
                    unit.record(Notice, notice_id, [event(unit, NoticeId(notice_id))])
            return {}

        self._kernel.run(SYSTEM, work)

    # -- looking

    def of_handoff(self, handoff_id: str) -> list[Result]:
        """Who was told of it, oldest first, and what came of each notice."""
        rows = self._kernel.store.find(Query("notice", match=handoff_id, limit=SHOWN))
        return [self._shown(_state(row.doc)) for row in rows]

    def sent(self, handoff_id: str, channel: str) -> list[Notice]:
        """Those that arrived, each with the `reference` by which the receiver names it."""
        rows = self._kernel.store.find(Query("notice", match=handoff_id, limit=SHOWN))
        found = [_state(row.doc) for row in rows]
        return [n for n in found if n.channel == channel and n.reference]

    def of_person(self, person_id: str, limit: int = 20) -> list[Result]:
        """The newest notices for a person, newest first: of what they may still know of, and of nothing."""
        rows = self._kernel.store.find(Query("notice", newest_first=True, limit=SHOWN * 5))
        found = [n for row in rows if (n := _state(row.doc)).person_id == person_id]
        sight = self._knowing.sight(person_id)
        known = set(self._knowing.known(sight, [n.handoff_id for n in found if n.handoff_id]))
        shown = [n for n in found if not n.handoff_id or n.handoff_id in known]
        return [self._shown(n) | {"ask": self._ask(n)} for n in shown[:limit]]

    def one(self, notice_id: str) -> Result:
        """Raises NotFound."""
        return self._shown(self._kernel.state(Notice, notice_id))

    def _shown(self, n: Notice) -> Result:
        vault = self._kernel.vault
        return {
            "notice_id": n.notice_id,
            "person_id": n.person_id,
            "person_name": self._people.name(n.person_id),
            "contact_id": n.contact_id,
            "channel": n.channel,
            "handoff_id": n.handoff_id,
            "ask": "",
            "status": self._status(n),
            "urgent": n.urgent,
            "planned_at": format_time(n.planned_at),
            "at": format_time(n.at),
            "due_at": format_time(n.due_at) if n.due_at else "",
            "why": n.why,
            "attempts": n.attempt,
            "error": vault.text(n.error),
            "delivery_id": n.delivery_id,
            "opened_at": format_time(n.opened_at) if n.opened_at else "",
        }

    def _ask(self, n: Notice) -> str:
        if not n.handoff_id:
            return ""
        return self._kernel.vault.open(self._kernel.state(Handoff, n.handoff_id).ask.body_id).text

    def _status(self, n: Notice) -> str:
        """As stored, but for one that failed: `failing` while it is tried again, else `given_up`."""
        if n.status is not NoticeStatus.SENDING or not n.attempt:
            return n.status.value
        return "given_up" if n.attempt >= self._kernel.settings.relay_attempts else "failing"


def _state(doc: bytes) -> Notice:
    return cast("Notice", load(BY_NAME["notice"], doc))
