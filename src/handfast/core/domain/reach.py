"""How a person can be reached: their contacts, quiet hours and digest. Addresses are bodies, not here."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from handfast.core.domain import events_notify as e
from handfast.core.domain.errors import NotFound, UsageError
from handfast.core.domain.events import ReachEvent
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import ContactId, PersonId

MAX_CONTACTS = 10
DIGEST_MINUTES = 60
DAY_MINUTES = 1440


class Takes(StrEnum):
    """What goes to a contact: `digest` gets what is urgent at once and everything else bundled."""

    URGENT = "urgent"
    ALL = "all"
    DIGEST = "digest"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Contact:
    """`old_secret` still signs until `old_until`."""

    contact_id: ContactId
    channel: str
    address: BodyRef
    takes: Takes
    added_at: datetime
    secret: BodyRef | None = None
    old_secret: BodyRef | None = None
    old_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Quiet:
    """Minutes of the day in `zone`. Without `days` there are no quiet hours."""

    zone: str = "UTC"
    days: tuple[int, ...] = ()
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Reach:
    person_id: PersonId
    contacts: tuple[Contact, ...] = ()
    quiet: Quiet = Quiet()
    digest_minutes: int = DIGEST_MINUTES

    def contact(self, contact_id: str) -> Contact:
        """Raises NotFound."""
        found = next((c for c in self.contacts if c.contact_id == contact_id), None)
        if found is None:
            raise NotFound(
                f"there is no contact `{contact_id[:64]}`",
                hint="`handfast notify show` lists your contacts.",
            )
        return found


def evolve(state: Reach | None, event: ReachEvent, at: datetime) -> Reach:
    """Fold one recorded event. `at` is the envelope's time."""
    match event:
        case e.ContactAdded():
            known = state or Reach(event.person_id)
            made = Contact(
                event.contact_id, event.channel, event.address, Takes(event.takes), at, event.secret
            )
            return replace(known, contacts=(*known.contacts, made))
        case e.QuietSet():
            quiet = Quiet(event.zone, event.days, event.start, event.end)
            known = state or Reach(event.person_id)
            return replace(known, quiet=quiet, digest_minutes=event.digest_minutes)
        case e.ContactRemoved():
            known = _known(state)
            left = tuple(c for c in known.contacts if c.contact_id != event.contact_id)
            return replace(known, contacts=left)
        case e.ContactChanged():
            return _changed(_known(state), event.contact_id, takes=Takes(event.takes))
        case e.SecretRotated():
            old = _known(state).contact(event.contact_id).secret
            return _changed(
                _known(state),
                event.contact_id,
                secret=event.secret,
                old_secret=old,
                old_until=event.old_until,
            )
        case _:
            assert_never(event)


def _known(state: Reach | None) -> Reach:
    if state is None:
        raise ValueError("a person's reach begins with a contact or with quiet hours")
    return state


def _changed(state: Reach, contact_id: str, **to: object) -> Reach:
    kept = (
        replace(c, **to) if c.contact_id == contact_id else c  # type: ignore[arg-type]  # by the caller
        for c in state.contacts
    )
    return replace(state, contacts=tuple(kept))


def check_room(state: Reach | None) -> None:
    """Raises UsageError when a person has as many contacts as there may be."""
    if state is not None and len(state.contacts) >= MAX_CONTACTS:
        raise UsageError(
            f"there are {MAX_CONTACTS} contacts already", hint="Remove one that is not used."
        )


def check_quiet(quiet: Quiet, digest_minutes: int) -> None:
    """Raises UsageError naming the field."""
    if any(d not in range(7) for d in quiet.days) or len(set(quiet.days)) != len(quiet.days):
        raise UsageError("`days` are numbers from 0 (Monday) to 6", hint="For instance 0,1,2,3,4.")
    if not (0 <= quiet.start < DAY_MINUTES and 0 <= quiet.end <= DAY_MINUTES):
        raise UsageError("quiet hours are from 00:00 to 24:00", hint="For instance 20:00 to 07:00.")
    if not 5 <= digest_minutes <= DAY_MINUTES:
        raise UsageError(
            "`digest_minutes` is not from 5 to 1440", hint="60 is hourly, 1440 once a day."
        )
