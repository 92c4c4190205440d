"""How a person is told of what waits for them, and what was sent. Each changes only their own."""

from fastapi import APIRouter

from handfast.core.domain.errors import NotFound
from handfast.core.domain.reach import Quiet
from handfast.engine.access import PrincipalKind
from handfast.server.api import schema_notify as schema
from handfast.server.api.schema_proof import Proof
from handfast.server.identity import Caller, CallerDep

router = APIRouter(prefix="/v1", tags=["notifications"])


@router.get("/notifications")
def get_notifications(caller: CallerDep) -> schema.NotificationsOut:
    """Contacts, quiet hours and digest of the signed-in person."""
    return _of(caller, caller.principal.id)


@router.post("/notifications/show")
def show_notifications(caller: CallerDep, asked: Proof) -> schema.NotificationsOut:
    """The same, for a person beside a token."""
    return _of(caller, caller.person(asked.person, asked.pin).id)


@router.post("/notifications/contacts", status_code=201)
def add_contact(caller: CallerDep, asked: schema.ContactIn) -> schema.ContactMade:
    """One more way to reach the person. The secret of a webhook is in the answer, and never again."""
    person = caller.person(asked.person, asked.pin)
    done = caller.engine.contacts.add(person, asked.channel, asked.address, asked.takes)
    return schema.ContactMade.model_validate(done)


@router.post("/notifications/contacts/{contact_id}")
def change_contact(
    caller: CallerDep, contact_id: str, asked: schema.ChangeIn
) -> schema.ContactMade:
    """What goes there from now on."""
    person = caller.person(asked.person, asked.pin)
    done = caller.engine.contacts.change(person, contact_id, asked.takes)
    return schema.ContactMade.model_validate(done)


@router.post("/notifications/contacts/{contact_id}/remove")
def remove_contact(caller: CallerDep, contact_id: str, asked: Proof) -> schema.ContactMade:
    """Nothing goes there any more; its address is erased."""
    done = caller.engine.contacts.remove(caller.person(asked.person, asked.pin), contact_id)
    return schema.ContactMade.model_validate(done)


@router.post("/notifications/contacts/{contact_id}/rotate")
def rotate_contact(caller: CallerDep, contact_id: str, asked: Proof) -> schema.ContactMade:
    """A new secret for a webhook. For 24 hours deliveries are signed with both."""
    done = caller.engine.contacts.rotate(caller.person(asked.person, asked.pin), contact_id)
    return schema.ContactMade.model_validate(done)


@router.post("/notifications/contacts/{contact_id}/test", status_code=202)
def test_contact(caller: CallerDep, contact_id: str, asked: Proof) -> schema.Planned:
    """Send a message that is about nothing; `GET /v1/notices/{notice_id}` says what came of it."""
    done = caller.engine.notices.test(caller.person(asked.person, asked.pin), contact_id)
    return schema.Planned.model_validate(done)


@router.post("/notifications/quiet")
def set_quiet_hours(caller: CallerDep, asked: schema.QuietIn) -> schema.NotificationsOut:
    """When only what is urgent goes out, and how often a digest does."""
    person = caller.person(asked.person, asked.pin)
    quiet = Quiet(asked.zone, tuple(sorted(asked.days)), minutes(asked.start), minutes(asked.end))
    caller.engine.contacts.set_quiet(person, quiet, asked.digest_minutes)
    return _of(caller, person.id)


@router.post("/notifications/slack-code", status_code=201)
def create_slack_code(caller: CallerDep, asked: Proof) -> schema.SlackCode:
    """A code that links the Slack account it is typed in."""
    done = caller.engine.contacts.slack_code(caller.person(asked.person, asked.pin))
    return schema.SlackCode.model_validate(done)


@router.get("/handoffs/{handoff_id}/notices")
def list_notices(caller: CallerDep, handoff_id: str) -> schema.NoticeList:
    """Who was told of it, through which channel, and what came of that. No addresses."""
    caller.handoff(handoff_id)
    return schema.NoticeList.model_validate({"items": caller.engine.notices.of_handoff(handoff_id)})


@router.get("/notices/{notice_id}")
def get_notice(caller: CallerDep, notice_id: str) -> schema.NoticeOut:
    """One notice and what came of it. A test, which is about no handoff, is its own person's to see."""
    found = caller.engine.notices.one(notice_id)
    is_person = caller.principal.kind is PrincipalKind.PERSON
    if found["handoff_id"]:
        caller.handoff(str(found["handoff_id"]))
    elif is_person and found["person_id"] != caller.principal.id:
        raise NotFound(f"there is no notice `{notice_id}`")
    return schema.NoticeOut.model_validate(found)


def minutes(clock: str) -> int:
    """Of `HH:MM`, since midnight."""
    hours, _, rest = clock.partition(":")
    return int(hours) * 60 + int(rest)


def _of(caller: Caller, person_id: str) -> schema.NotificationsOut:
    return schema.NotificationsOut.model_validate(caller.engine.contacts.of(person_id))
