"""One delivery of the relay carried out: what still matters is sent through one contact, and recorded.

At least once: a crash between sending and recording sends it again, with the same key and the same words.
What was decided, or has changed, since it was planned is not sent.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final, cast

from handfast.core.domain.errors import HandfastError, StorageError
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.faults import fault_point
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.inert import inert
from handfast.core.domain.notice import Notice
from handfast.core.domain.reach import Contact
from handfast.engine.channels import mail, service, slack, webhook
from handfast.engine.channels.message import Case, Message, case_of
from handfast.engine.effects import open_package
from handfast.engine.facade import Engine
from handfast.engine.kernel import Unit
from handfast.engine.outbound import Poster
from handfast.engine.outlets import Hook, Outlets
from handfast.engine.relay.routing import Delivery, Sink
from handfast.engine.surroundings import Surroundings

KINDS: Final = ("email", "slack", "service", "webhook")
ASKED: Final = ("handoff.requested", "handoff.routed")
MAX_ERROR: Final = 300
NOT_THEIRS: Final = "This is over, or no longer yours to see."
log = logging.getLogger("handfast.notify")


def notifiers(engine: Engine, url: str) -> list[Sink]:
    """The receivers that tell people. `url` is put before links."""
    outlets, sender = engine.contacts.outlets(), Sender(engine, url)
    planner = [
        Sink("notify.plan", topic, lambda d: engine.notices.plan(str(d.payload["handoff_id"])))
        for topic in ASKED
    ]
    hooks = [
        Sink(f"webhook.{hook.name}", topic, HookSender(engine, url, hook))
        for hook in outlets.hooks
        for topic in hook.topics
    ]
    chat = [Sink("notify.slack_update", "handoff.decided", sender.decided)] if outlets.slack else []
    return [*planner, *(Sink(f"notify.{k}", f"notify.{k}", sender) for k in KINDS), *chat, *hooks]


class Sender:
    """The receiver of `notify.*`: one message through one contact."""

    def __init__(self, engine: Engine, url: str) -> None:
        self._engine = engine
        self._url = url.rstrip("/")

    def __call__(self, delivery: Delivery) -> None:
        """Raises what the channel raises, after it is recorded."""
        wanted = cast("Sequence[str]", delivery.payload["notices"])
        notices = self._engine.notices.to_send(wanted)
        if not notices:
            return
        reach = self._engine.contacts.reach(notices[0].person_id)
        contact = reach.contact(notices[0].contact_id)
        ids = [n.notice_id for n in notices]
        message = self._message(delivery, notices)
        try:
            reference = self._post(contact, message, again=self._again(delivery, message))
        except StorageError:
            raise
        except Exception as e:
            said = inert(" ".join(str(e).split()) or type(e).__name__, MAX_ERROR, multiline=False)
            self._engine.notices.failed(ids, delivery.id, delivery.attempt, said)
            raise
        fault_point("notify.after_send")
        self._engine.notices.delivered(ids, delivery.id, delivery.attempt, reference)

    def _message(self, delivery: Delivery, notices: Sequence[Notice]) -> Message:
        kernel = self._engine.kernel
        unit, around = Unit(kernel, SYSTEM, ""), Surroundings(kernel, self._engine.people)
        cases: list[Case] = []
        for notice in notices:
            if not notice.handoff_id:
                continue
            handoff = unit.get(Handoff, notice.handoff_id)
            link = self._url + self._engine.notices.links.path(notice)
            package = open_package(kernel, handoff)
            decide = not self._engine.chat.why_not(unit, handoff)
            cases.append(case_of(notice, handoff, package, link, around, decide=decide))
        return Message(_key(self._engine, delivery), notices[0].planned_at, tuple(cases))

    def _again(self, delivery: Delivery, message: Message) -> bool:
        """Whether it may have been sent before: an attempt failed, or it is so old that a server may have been
        killed over it. A dead server's deliveries are taken over when its lease has ended."""
        kernel = self._engine.kernel
        age_s = (kernel.clock.now() - message.at).total_seconds()
        return delivery.attempt > 1 or age_s >= kernel.settings.relay_lease_s / 2

    def _post(self, contact: Contact, message: Message, *, again: bool) -> str:
        outlets = self._engine.contacts.outlets()
        address = self._engine.contacts.address(contact)
        kind, _, name = contact.channel.partition(":")
        match kind:
            case "email" if outlets.smtp:
                return mail.send(outlets.smtp, address, message)
            case "slack" if outlets.slack:
                user = address.partition(" ")[2]
                return slack.send(outlets.slack, user, message, again=again)
            case "service" if name in outlets.services:
                return service.send(outlets.services[name], address, message)
            case "webhook":
                return self._hook(outlets, contact, address, message)
            case _:
                raise HandfastError(f"the channel `{contact.channel}` is not set up on this server")

    def _hook(self, outlets: Outlets, contact: Contact, url: str, message: Message) -> str:
        now = self._engine.kernel.clock.now()
        secrets = self._engine.contacts.secrets(contact, now)
        poster = Poster(outlets.private_hosts)
        return webhook.send(poster, url, secrets, message.key, webhook.body_of(message), now)

    def decided(self, delivery: Delivery) -> None:
        """Put what was decided in the place of messages in Slack, so that their buttons are gone. Whoever may
        not know of it any more reads that, and nothing else.

        A message that cannot be changed is left: its button is refused by the engine.
        """
        app = self._engine.contacts.outlets().slack
        handoff_id = str(delivery.payload["handoff_id"])
        sent = self._engine.notices.sent(handoff_id, "slack") if app else []
        if app is None or not sent:
            return
        text = self._outcome(handoff_id)
        for notice in sent:
            channel, _, stamp = notice.reference.partition(" ")
            said = text if self._engine.notices.may_know(notice) else NOT_THEIRS
            try:
                slack.update(app, channel, stamp, said)
            except (HandfastError, OSError) as e:
                log.info("a message in Slack was not changed: %s", e)

    def _outcome(self, handoff_id: str) -> str:
        view = self._engine.views.handoff(handoff_id)
        decision = cast("Mapping[str, object] | None", view["decision"]) or {}
        by = str(decision.get("by_name", "nobody"))
        word = str(decision.get("kind", view["status"])).replace("_", " ")
        ask = inert(str(view["ask"]), 300, multiline=False)
        return f"{ask}\nDecided: {word}, by {inert(by, 80, multiline=False)}."


class HookSender:
    """A webhook of the installation: told of each topic it asked for, whoever is asked."""

    def __init__(self, engine: Engine, url: str, hook: Hook) -> None:
        self._engine = engine
        self._url = url.rstrip("/")
        self._hook = hook
        self._poster = Poster(engine.contacts.outlets().private_hosts)

    def __call__(self, delivery: Delivery) -> None:
        """Raises what keeps it from arriving."""
        hook, engine = self._hook, self._engine
        handoff_id = str(delivery.payload["handoff_id"])
        handoff = engine.kernel.state(Handoff, handoff_id)
        unknown = Surroundings(engine.kernel, engine.people)
        data: dict[str, object] = {
            "handoff_id": handoff_id,
            "kind": handoff.kind.value,
            "risk": handoff.risk,
            "agent": inert(unknown.agent_name(handoff.agent_id), 80, multiline=False),
            "ask": inert(unknown.text(handoff.ask), 300, multiline=False),
            "url": f"{self._url}/handoffs/{handoff_id}",
        }
        if delivery.topic == "handoff.decided" and handoff.decision is not None:
            data["decision"] = handoff.decision.kind.value
        at = handoff.requested_at
        body = webhook.encoded(delivery.topic, at, data)
        now = engine.kernel.clock.now()
        webhook.send(self._poster, hook.url, hook.secrets, _key(engine, delivery), body, now)


def _key(engine: Engine, delivery: Delivery) -> str:
    """The idempotency key: of this installation, the same for every attempt and on every server."""
    return f"msg_{engine.audit.verifier.partition('+')[0]}_{delivery.id}"
