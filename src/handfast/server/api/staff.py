"""People, who is on call, and the kill switch. What changes something takes a person."""

from datetime import UTC

from fastapi import APIRouter

from handfast.core.domain.errors import UsageError
from handfast.engine.staff import Absence, Cover
from handfast.server.api import schema_staff as schema
from handfast.server.identity import Caller, CallerDep

router = APIRouter(prefix="/v1")


@router.get("/people", tags=["people"])
def list_people(caller: CallerDep) -> schema.PersonList:
    """Everybody who is set up, oldest first. Logins are not kept in a readable form."""
    return schema.PersonList.model_validate({"items": caller.engine.staff.everybody()})


@router.post("/people/invitations", status_code=201, tags=["people"])
def invite_person(caller: CallerDep, asked: schema.InviteIn) -> schema.Invited:
    """A one-time link for one more person. An admin's to do."""
    person = caller.person(asked.person, asked.pin)
    secret = caller.engine.people.invite_another(person, asked.roles)
    return schema.Invited(path=f"/setup/{secret}", roles=sorted(set(asked.roles)))


@router.post("/people/roles", tags=["people"])
def set_person_roles(caller: CallerDep, asked: schema.RolesIn) -> schema.PersonOut:
    """Other roles for a person. An admin's to do; the last admin stays one."""
    person = caller.person(asked.person, asked.pin)
    done = caller.engine.staff.set_roles(person, asked.login, asked.roles)
    return schema.PersonOut.model_validate(done)


@router.post("/people/disable", tags=["people"])
def disable_person(caller: CallerDep, asked: schema.WhoIn) -> schema.PersonOut:
    """Nothing acts as this person any more, and nobody asks them. An admin's to do; the last admin stays."""
    admin = caller.person(asked.person, asked.pin)
    return schema.PersonOut.model_validate(caller.engine.disabling.disable(admin, asked.login))


@router.post("/people/enable", tags=["people"])
def enable_person(caller: CallerDep, asked: schema.WhoIn) -> schema.PersonOut:
    """Back with the roles they had; what was ended is made anew. An admin's to do."""
    admin = caller.person(asked.person, asked.pin)
    return schema.PersonOut.model_validate(caller.engine.disabling.enable(admin, asked.login))


@router.post("/people/away", tags=["people"])
def set_person_away(caller: CallerDep, asked: schema.AwayIn) -> schema.PersonOut:
    """Nobody asks this person in that time; the delegate is asked instead. It ends by itself."""
    person = caller.person(asked.person, asked.pin)
    starts = asked.starts or caller.engine.kernel.clock.now()
    absence = Absence(
        starts.astimezone(UTC), asked.ends.astimezone(UTC), asked.login, asked.delegate
    )
    return schema.PersonOut.model_validate(caller.engine.staff.away(person, absence))


@router.post("/people/back", tags=["people"])
def end_person_away(caller: CallerDep, asked: schema.BackIn) -> schema.PersonOut:
    """End every absence, planned ones too."""
    person = caller.person(asked.person, asked.pin)
    return schema.PersonOut.model_validate(caller.engine.staff.back(person, asked.login))


@router.get("/oncall", tags=["people"])
def list_on_call(caller: CallerDep) -> schema.OnCallList:
    """Every rotation with who is on call now, until when, and how old a calendar's copy is."""
    return schema.OnCallList.model_validate({"items": caller.engine.staff.on_call()})


@router.post("/oncall/overrides", status_code=201, tags=["people"])
def override_on_call(caller: CallerDep, asked: schema.OverrideIn) -> schema.OnCallList:
    """Somebody is on call for a while, whoever's turn it is."""
    person = caller.person(asked.person, asked.pin)
    starts = asked.starts or caller.engine.kernel.clock.now()
    cover = Cover(
        asked.rotation,
        asked.login,
        starts.astimezone(UTC),
        asked.ends.astimezone(UTC),
        asked.reason,
    )
    return schema.OnCallList.model_validate({"items": caller.engine.staff.cover(person, cover)})


@router.get("/control", tags=["control"])
def get_control(caller: CallerDep) -> schema.ControlOut:
    """What is stopped by the kill switch, and how far it is released."""
    return _control(caller)


@router.post("/control/kill", tags=["control"])
def kill_agents(caller: CallerDep, asked: schema.KillIn) -> schema.ControlOut:
    """From now on no effect of the scope's agents runs, and what waits is frozen."""
    person = caller.person(asked.person, asked.pin)
    caller.engine.switch.kill(person, asked.scope, asked.reason)
    return _control(caller)


@router.post("/control/release", tags=["control"])
def release_agents(caller: CallerDep, asked: schema.ReleaseIn) -> schema.ControlOut:
    """The next stage: `review`, then `agents` or `all`."""
    person = caller.person(asked.person, asked.pin)
    if len(set(asked.agents)) != len(asked.agents):
        raise UsageError("`agents` names one twice")
    caller.engine.switch.release(person, asked.scope, asked.stage, asked.reason, asked.agents)
    return _control(caller)


def _control(caller: Caller) -> schema.ControlOut:
    return schema.ControlOut.model_validate({"items": caller.engine.switch.status()})
