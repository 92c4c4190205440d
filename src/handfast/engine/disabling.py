"""Closing the account of somebody who left, and opening it again. While it is closed its person has no role: that is
what signing in, deciding and being asked rest on, so all of them end in one unit."""

from handfast.core.domain.events import Actor
from handfast.core.domain.events_handoff import HandoffReleased
from handfast.core.domain.events_identity import PersonDisabled, PersonEnabled
from handfast.core.domain.events_notify import NoticeDropped
from handfast.core.domain.handoff import Handoff, Status
from handfast.core.domain.notice import Notice, NoticeStatus
from handfast.core.domain.person import Person
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.people import signed_in
from handfast.engine.projections import KINDS, load
from handfast.engine.sessions import Sessions
from handfast.engine.staff import Staff
from handfast.storage.api import Credential, Query

ADMIN = frozenset({"admin"})
LOOKED_AT = 1_000  # handoffs that somebody holds, notices that are held back


class Disabling:
    """All calls are an admin's, atomic, and idempotent."""

    def __init__(self, kernel: Kernel, staff: Staff, sessions: Sessions) -> None:
        self._kernel = kernel
        self._staff = staff
        self._sessions = sessions

    def disable(self, actor: Actor, login: str) -> Result:
        """Nothing acts as this person any more, nobody asks or tells them, what they hold is given back, and the
        links they invited with are void. What they decided stays decided.

        Result: as `Staff.everybody`. Raises NotPermitted, NotFound, InvalidTransition for the last admin.
        """

        def work(unit: Unit) -> Result:
            admin = signed_in(unit, actor, ADMIN)
            person = self._staff.named(unit, login)
            if person.disabled_at is None:
                if "admin" in person.roles:
                    self._staff.check_another_admin(unit, person.person_id)
                self._sessions.cut(unit, person, admin.person_id)
                self._void_invitations(unit, person)
                self._give_back(unit, person)
                self._drop_notices(unit, person)
                event = PersonDisabled(person.person_id, admin.person_id)
                unit.record(Person, person.person_id, [event])
            return self._staff.shown(unit.get(Person, person.person_id), unit.now)

        return self._kernel.run(actor, work)

    def enable(self, actor: Actor, login: str) -> Result:
        """Back with the roles from before, the password and the PIN. Raises NotPermitted, NotFound."""

        def work(unit: Unit) -> Result:
            admin = signed_in(unit, actor, ADMIN)
            person = self._staff.named(unit, login)
            if person.disabled_at is not None:
                event = PersonEnabled(person.person_id, admin.person_id)
                unit.record(Person, person.person_id, [event])
            return self._staff.shown(unit.get(Person, person.person_id), unit.now)

        return self._kernel.run(actor, work)

    def _void_invitations(self, unit: Unit, person: Person) -> None:
        for each in self._kernel.store.credentials_of(person.person_id, "invite"):
            void = Credential(each.id, each.kind, each.subject, "void", (), None, revoked=True)
            unit.put_credential(void)

    def _give_back(self, unit: Unit, person: Person) -> None:
        """Whatever they hold has its level's time again, also what a kill switch froze."""
        held = Query("handoff", statuses=(Status.ACKNOWLEDGED.value,), limit=LOOKED_AT)
        for row in self._kernel.store.find(held):
            found = load(KINDS[Handoff], row.doc)
            if not isinstance(found, Handoff) or found.holder != person.person_id:
                continue
            if unit.get(Handoff, found.handoff_id).holder == person.person_id:
                event = HandoffReleased(found.handoff_id, person.person_id)
                unit.record(Handoff, found.handoff_id, [event])

    def _drop_notices(self, unit: Unit, person: Person) -> None:
        """What is being sent already is looked at once more before it goes out."""
        held = Query("notice", statuses=(NoticeStatus.HELD.value,), limit=LOOKED_AT)
        for row in self._kernel.store.find(held):
            found = load(KINDS[Notice], row.doc)
            if not isinstance(found, Notice) or found.person_id != person.person_id:
                continue
            if unit.get(Notice, found.notice_id).status is NoticeStatus.HELD:
                event = NoticeDropped(found.notice_id, "their account was disabled")
                unit.record(Notice, found.notice_id, [event])
