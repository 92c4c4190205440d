"""How people can be reached, as they say it themselves: contacts, quiet hours, the link to a Slack account.

Addresses and secrets are sealed bodies. A webhook's address never leads into the server's own network,
a service's host is the operator's choice, and an e-mail address may be bounded to the operator's domains.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import InvalidTransition, NotPermitted, UsageError
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.events_notify import (
    ContactAdded,
    ContactChanged,
    ContactRemoved,
    QuietSet,
    SecretRotated,
)
from handfast.core.domain.ids import ContactId, PersonId
from handfast.core.domain.person import ROLES, Person
from handfast.core.domain.reach import (
    Contact,
    Quiet,
    Reach,
    Takes,
    check_quiet,
    check_room,
)
from handfast.engine.ids import hash_secret, new_id, new_secret
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.outbound import Poster
from handfast.engine.outlets import Outlets
from handfast.engine.people import signed_in
from handfast.engine.zones import zone
from handfast.storage.api import Credential

CODE_TTL: Final = timedelta(minutes=10)
ROTATED_FOR: Final = timedelta(hours=24)
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,190}")
_SERVICE = re.compile(r"[A-Za-z0-9_.+-]{1,100}")
SLACK_ID = re.compile(r"[A-Z0-9]{1,30}")
_ANY_ROLE = frozenset(ROLES)
SLACK_KINDS: Final = ("slack", "slack-code")


class Contacts:
    """All calls are atomic. Each person changes only their own."""

    def __init__(self, kernel: Kernel, outlets: Callable[[], Outlets]) -> None:
        self._kernel = kernel
        self.outlets = outlets

    def of(self, person_id: str) -> Result:
        """Everything the person set: contacts with addresses, quiet hours, digest, channels there are."""
        reach = self.reach(person_id)
        quiet = reach.quiet
        return {
            "person_id": person_id,
            "contacts": [self._shown(c) for c in reach.contacts],
            "quiet": {
                "zone": quiet.zone,
                "days": list(quiet.days),
                "start": _clock(quiet.start),
                "end": _clock(quiet.end),
            },
            "digest_minutes": reach.digest_minutes,
            "channels": list(self.outlets().channels),
        }

    def reach(self, person_id: str) -> Reach:
        unit = Unit(self._kernel, SYSTEM, "")
        return unit.find(Reach, person_id) or Reach(PersonId(person_id))

    def add(self, actor: Actor, channel: str, address: str, takes: str) -> Result:
        """Result: contact_id, and the `secret` of a webhook, which is not shown again.

        Raises NotPermitted, UsageError naming the field.
        """
        wanted = _takes(takes)
        self._check(channel, address)
        secret = new_webhook_secret() if channel == "webhook" else ""

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, _ANY_ROLE)
            made = self._add(unit, person.person_id, channel, address.strip(), wanted, secret)
            return {"contact_id": made, "secret": secret}

        return self._kernel.run(actor, work)

    def _add(
        self, unit: Unit, person: PersonId, channel: str, address: str, takes: Takes, secret: str
    ) -> ContactId:
        check_room(unit.find(Reach, person))
        contact_id = ContactId(new_id("co"))
        event = ContactAdded(
            contact_id,
            person,
            channel,
            unit.put(address),
            takes.value,
            person,
            unit.put(secret) if secret else None,
        )
        unit.record(Reach, person, [event])
        return contact_id

    def change(self, actor: Actor, contact_id: str, takes: str) -> Result:
        """What goes there from now on. Raises NotPermitted, NotFound, UsageError."""
        wanted = _takes(takes)

        def work(unit: Unit) -> Result:
            reach, contact = self._own(unit, actor, contact_id)
            event = ContactChanged(contact.contact_id, wanted.value, reach.person_id)
            unit.record(Reach, reach.person_id, [event])
            return {"contact_id": contact_id}

        return self._kernel.run(actor, work)

    def remove(self, actor: Actor, contact_id: str) -> Result:
        """Nothing goes there any more, and its address and secrets are erased. A Slack account may then be
        linked anew. Raises NotPermitted, NotFound."""

        def work(unit: Unit) -> Result:
            reach, contact = self._own(unit, actor, contact_id)
            if contact.channel == "slack":
                team, _, user = self.address(contact).partition(" ")
                unit.put_credential(
                    Credential(slack_id(team, user), "slack", "", "ended", (), None, revoked=True)
                )
            _remove(unit, reach.person_id, contact, reach.person_id)
            return {"contact_id": contact_id}

        return self._kernel.run(actor, work)

    def rotate(self, actor: Actor, contact_id: str) -> Result:
        """A new secret for a webhook; for 24 hours the old one signs too. Result: contact_id, secret.

        Raises NotPermitted, NotFound, UsageError.
        """
        secret = new_webhook_secret()

        def work(unit: Unit) -> Result:
            reach, contact = self._own(unit, actor, contact_id)
            if contact.channel != "webhook":
                raise UsageError(f"`{contact_id}` is no webhook and has no secret")
            event = SecretRotated(
                contact.contact_id, unit.put(secret), unit.now + ROTATED_FOR, reach.person_id
            )
            unit.record(Reach, reach.person_id, [event])
            return {"contact_id": contact_id, "secret": secret}

        return self._kernel.run(actor, work)

    def set_quiet(self, actor: Actor, quiet: Quiet, digest_minutes: int) -> Result:
        """Raises NotPermitted, UsageError naming the field."""
        zone(quiet.zone)
        check_quiet(quiet, digest_minutes)

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, _ANY_ROLE).person_id
            event = QuietSet(
                person, quiet.zone, quiet.days, quiet.start, quiet.end, digest_minutes, person
            )
            unit.record(Reach, person, [event])
            return {}

        return self._kernel.run(actor, work)

    # -- Slack

    def slack_code(self, actor: Actor) -> Result:
        """A code that links the Slack account in which it is typed: once, within ten minutes."""
        code = new_secret()

        def work(unit: Unit) -> Result:
            person = signed_in(unit, actor, _ANY_ROLE)
            unit.put_credential(
                Credential(
                    _code_id(code),
                    "slack-code",
                    person.person_id,
                    hash_secret(code),
                    (),
                    unit.now + CODE_TTL,
                )
            )
            return {"code": code, "expires_at": format_time(unit.now + CODE_TTL)}

        if "slack" not in self.outlets().channels:
            raise UsageError("Slack is not set up here", hint="An operator writes notify.yaml.")
        return self._kernel.run(actor, work)

    def link_slack(self, code: str, team: str, user: str) -> str:
        """Link the account that sent the code; gives the person's id. The code is used up.

        Raises NotPermitted for a code that is wrong, used or too old, InvalidTransition for an account
        that is linked already.
        """
        person_id = PersonId(self._of_code(code).subject)
        if self.of_slack(team, user):
            raise InvalidTransition("this Slack account is linked already", hint="Remove it first.")

        def work(unit: Unit) -> Result:
            # Whoever ended this person's access meanwhile ended the code, too.
            unit.rely_on(Person, person_id)
            found = self._of_code(code)
            unit.put_credential(
                Credential(found.id, found.kind, person_id, "used", (), None, revoked=True)
            )
            made = self._add(unit, person_id, "slack", f"{team} {user}", Takes.ALL, "")
            hashed = hash_secret(f"{team} {user}")
            unit.put_credential(
                Credential(slack_id(team, user), "slack", person_id, hashed, (made,))
            )
            return {"person_id": person_id}

        actor = Actor("person", person_id, "slack-code")
        key = f"slack-link:{hash_secret(code)}"
        self._kernel.run(actor, work, key=key, command=[team, user])
        return person_id

    def _of_code(self, code: str) -> Credential:
        """Raises NotPermitted for one that is wrong, used, ended or too old."""
        found = self._kernel.store.credential(_code_id(code))
        now = self._kernel.clock.now()
        good = found is not None and not found.revoked and found.secret == hash_secret(code)
        if found is None or not good or found.expires_at is None or found.expires_at <= now:
            raise NotPermitted(
                "this code is not valid any more",
                hint="Get a new one in Handfast under Settings, Notifications.",
            )
        return found

    def of_slack(self, team: str, user: str) -> str:
        """The person who linked this account; '' for none."""
        found = self._kernel.store.credential(slack_id(team, user))
        return "" if found is None or found.revoked else found.subject

    # -- reading

    def address(self, contact: Contact) -> str:
        return self._kernel.vault.open(contact.address.body_id).text

    def secrets(self, contact: Contact, now: datetime) -> tuple[str, ...]:
        """Those that sign now, the newest first."""
        bodies = [contact.secret]
        if contact.old_until is not None and now < contact.old_until:
            bodies.append(contact.old_secret)
        return tuple(self._kernel.vault.open(b.body_id).text for b in bodies if b is not None)

    def _own(self, unit: Unit, actor: Actor, contact_id: str) -> tuple[Reach, Contact]:
        person = signed_in(unit, actor, _ANY_ROLE)
        reach = unit.find(Reach, person.person_id) or Reach(person.person_id)
        return reach, reach.contact(contact_id)

    def _shown(self, c: Contact) -> Result:
        now = self._kernel.clock.now()
        return {
            "contact_id": c.contact_id,
            "channel": c.channel,
            "address": self.address(c),
            "takes": c.takes.value,
            "added_at": format_time(c.added_at),
            "secrets": len(self.secrets(c, now)) if c.secret else 0,
        }

    def _check(self, channel: str, address: str) -> None:
        """Raises UsageError for a channel there is none of and an address it cannot have."""
        outlets, given = self.outlets(), address.strip()
        if channel not in outlets.channels:
            raise UsageError(
                f"there is no channel `{channel[:60]}`", hint=f"Of: {', '.join(outlets.channels)}."
            )
        if channel == "slack":
            raise UsageError(
                "a Slack account is linked from Slack", hint="`handfast notify slack` says how."
            )
        if channel == "webhook":
            Poster(outlets.private_hosts).check(given)
        elif channel == "email":
            _check_email(given, outlets.smtp.domains if outlets.smtp else ())
        elif not _SERVICE.fullmatch(given):
            raise UsageError("`address` must be 1 to 100 letters, digits or . _ + -")


def cut_slack(kernel: Kernel, unit: Unit, person_id: PersonId, by: PersonId) -> None:
    """As part of a command: nobody acts as this person from Slack any more, neither with an account that
    is linked nor with a code that was not used yet. `by` '' is their identity provider."""
    unit.rely_on(Reach, person_id)
    for kind in SLACK_KINDS:
        for each in kernel.store.credentials_of(person_id, kind):
            ended = Credential(each.id, kind, person_id, "ended", (), None, revoked=True)
            unit.put_credential(ended)
    reach = unit.find(Reach, person_id)
    for contact in reach.contacts if reach else ():
        if contact.channel == "slack":
            _remove(unit, person_id, contact, by)


def _remove(unit: Unit, person_id: PersonId, contact: Contact, by: PersonId) -> None:
    unit.record(Reach, person_id, [ContactRemoved(contact.contact_id, by)])
    for body in (contact.address, contact.secret, contact.old_secret):
        if body is not None:
            unit.erase(body.body_id)


def _check_email(address: str, domains: tuple[str, ...]) -> None:
    if not _EMAIL.fullmatch(address):
        raise UsageError("`address` is not an e-mail address", hint="For instance ann@example.com.")
    domain = address.rpartition("@")[2].lower()
    if domains and domain not in domains:
        raise UsageError(
            f"`address` is at `{domain}`", hint=f"Mail goes only to: {', '.join(domains)}."
        )


def new_webhook_secret() -> str:
    """24 random bytes, written as Standard Webhooks writes them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def slack_id(team: str, user: str) -> str:
    return "slack:" + hashlib.sha256(f"{team} {user}".encode()).hexdigest()[:32]


def _code_id(code: str) -> str:
    return "slack-code:" + hash_secret("id:" + code)[:24]


def _takes(word: str) -> Takes:
    if word not in list(Takes):
        raise UsageError(
            f"`takes` is `{word[:40]}`", hint=f"Of: {', '.join(t.value for t in Takes)}."
        )
    return Takes(word)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
