"""Links in notifications: each opens one case once, for the one person it was sent to, who is signed in.

A link proves nothing about who follows it and signs nobody in; it decides nothing. It is made of the
notice's id and a stamp of this installation's data key, so nothing is stored that could be read and used.
"""

import base64
import hmac

from handfast.core.domain.errors import NotFound
from handfast.core.domain.events import Actor
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.ids import PersonId
from handfast.core.domain.notice import Notice, open_link
from handfast.engine.kernel import Kernel, Result, Unit

_PURPOSE = "notice link"


class NoticeLinks:
    """All calls are atomic."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def path(self, notice: Notice) -> str:
        """The path of the link, the same for every attempt to deliver the notice."""
        return f"/n/{notice.notice_id}.{self._stamp(notice.notice_id, notice.presented_digest)}"

    def handoff_of(self, token: str) -> str:
        """The id of the handoff a genuine link is about. Raises NotFound for any other."""
        return self._genuine(token).handoff_id

    def open(self, actor: Actor, token: str) -> str:
        """Use the link up and give the id of its handoff. `actor` is the signed-in person.

        Raises NotFound for a link that was not made here, and what `core.domain.notice.open_link` raises
        for one that is another person's, used, expired, or about what has changed since.
        """
        notice_id = self._genuine(token).notice_id

        def work(unit: Unit) -> Result:
            notice = unit.get(Notice, notice_id)
            current = unit.get(Handoff, notice.handoff_id).presented_digest
            unit.rely_on(Handoff, notice.handoff_id)
            events = open_link(notice, PersonId(actor.id), current, unit.now)
            unit.record(Notice, notice_id, events)
            return {"handoff_id": notice.handoff_id}

        return str(self._kernel.run(actor, work)["handoff_id"])

    def _genuine(self, token: str) -> Notice:
        notice_id, _, stamp = token.partition(".")
        row = self._kernel.store.load(f"notice/{notice_id}") if token.isascii() else None
        if row is not None:
            notice = self._kernel.state(Notice, notice_id)
            expected = self._stamp(notice_id, notice.presented_digest)
            if notice.handoff_id and hmac.compare_digest(expected, stamp):
                return notice
        raise NotFound(
            "this link was not made here", code="link_unknown", hint="Open the case from the inbox."
        )

    def _stamp(self, notice_id: str, digest: str) -> str:
        made = self._kernel.vault.stamp(_PURPOSE, f"{notice_id} {digest}".encode())
        return base64.urlsafe_b64encode(made[:24]).decode()
