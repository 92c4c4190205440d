"""One's own account: sessions, tokens, password. And who may know of what: projects and teams."""

from fastapi import APIRouter, Request

from handfast.core.domain.codec import format_time
from handfast.core.domain.person import Person
from handfast.server.api import schema_account as schema
from handfast.server.api import schema_org as org
from handfast.server.identity import CallerDep
from handfast.server.sessions import session_secret

router = APIRouter(prefix="/v1")


@router.get("/account", tags=["account"])
def get_account(caller: CallerDep) -> schema.AccountOut:
    """Who the caller is, and what they see."""
    engine, person_id = caller.engine, caller.person_id
    person = engine.kernel.state(Person, person_id)
    shown = engine.knowing.projects()
    mine = [str(p["name"]) for p in shown if engine.knowing.is_member(person, str(p["project_id"]))]
    return schema.AccountOut(
        person_id=person_id,
        name=engine.people.name(person_id),
        roles=list(person.roles),
        teams=list(person.teams),
        projects=mine,
        sees_all=caller.sight is None,
    )


@router.get("/account/sessions", tags=["account"])
def list_sessions(request: Request, caller: CallerDep) -> schema.SessionList:
    """The caller's open sessions, newest first."""
    items = caller.engine.sessions.of(caller.person_id, session_secret(request))
    return schema.SessionList.model_validate({"items": items})


@router.delete("/account/sessions", tags=["account"])
def end_sessions(request: Request, caller: CallerDep) -> schema.Ended:
    """End all of them but the one that asks."""
    done = caller.engine.sessions.end_all(caller.actor, session_secret(request))
    return schema.Ended.model_validate(done)


@router.delete("/account/sessions/{session_id}", tags=["account"])
def end_session(caller: CallerDep, session_id: str) -> schema.Ended:
    """End one of them. It is of no use from the next request on."""
    return schema.Ended.model_validate(caller.engine.sessions.end(caller.actor, session_id))


@router.get("/account/tokens", tags=["account"])
def list_own_tokens(caller: CallerDep) -> schema.OwnTokenList:
    """The caller's own tokens that are still good. Their text is not kept."""
    items = caller.engine.own_tokens.of(caller.person_id)
    return schema.OwnTokenList.model_validate({"items": items})


@router.post("/account/tokens", status_code=201, tags=["account"])
def issue_own_token(caller: CallerDep, asked: schema.OwnTokenIn) -> schema.OwnTokenOut:
    """A token that reads, or delegates, in the caller's name. The answer is the only time its text is shown.

    It never decides: that takes the person's PIN beside it.
    """
    made = caller.engine.own_tokens.issue(
        caller.actor, asked.label, asked.scopes, asked.expires_in_s
    )
    return schema.OwnTokenOut(
        token=made.token, token_id=made.token_id, expires_at=format_time(made.expires_at)
    )


@router.delete("/account/tokens/{token_id}", tags=["account"])
def revoke_own_token(caller: CallerDep, token_id: str) -> org.TokenGone:
    done = caller.engine.own_tokens.revoke(caller.actor, token_id)
    return org.TokenGone.model_validate(done)


@router.post("/account/password", tags=["account"])
def change_password(request: Request, caller: CallerDep, asked: schema.PasswordIn) -> schema.Ended:
    """A new password. It ends every other session, and every token of the caller."""
    secret = session_secret(request)
    done = caller.engine.sessions.change_password(caller.actor, asked.old, asked.new, secret)
    return schema.Ended.model_validate(done)


@router.post("/people/sign-out", tags=["people"])
def end_person_sessions(caller: CallerDep, asked: schema.LoginIn) -> schema.Ended:
    """End every session and every token of somebody. An admin's to do."""
    admin = caller.person(asked.person, asked.pin)
    return schema.Ended.model_validate(caller.engine.sessions.end_of(admin, asked.login))


@router.post("/people/teams", tags=["people"])
def set_person_teams(caller: CallerDep, asked: schema.TeamsIn) -> schema.TeamsOut:
    """The teams somebody is in beside those of the policies. An admin's to do."""
    admin = caller.person(asked.person, asked.pin)
    done = caller.engine.knowing.set_teams(admin, asked.login, asked.teams)
    return schema.TeamsOut.model_validate(done)


@router.get("/projects", tags=["projects"])
def list_projects(caller: CallerDep) -> schema.ProjectList:
    """A person sees the projects they are in; an admin and an auditor all of them."""
    items = caller.engine.knowing.projects(caller.sight)
    return schema.ProjectList.model_validate({"items": items})


@router.post("/projects", status_code=201, tags=["projects"])
def set_project(caller: CallerDep, asked: schema.ProjectIn) -> schema.ProjectOut:
    """Say who may know of what happens in some repositories. An admin's to do.

    With the first project need-to-know begins: what belongs to none is seen by admins and auditors only.
    Without repositories the project is removed, and need-to-know stays.
    """
    admin = caller.person(asked.person, asked.pin)
    done = caller.engine.knowing.set_project(
        admin, asked.name, asked.repositories, asked.members, asked.teams
    )
    return schema.ProjectOut.model_validate(done)
