"""`handfast project` and `handfast person sign-out`: who may know of what, and the end of somebody's access."""

from typing import Annotated, Any

from cyclopts import Parameter

from handfast.cli.control import server
from handfast.cli.output import Json, note, say, say_json, show_table
from handfast.cli.person import signed
from handfast.client import staff
from handfast.core.domain.errors import NotFound

_Many = Annotated[tuple[str, ...], Parameter(negative=())]


def list_projects(*, as_json: Json = False) -> None:
    """List the projects: their repositories, and who may know what happens there."""
    items = server().send(staff.projects())
    if as_json:
        say_json({"items": items})
        return
    rows = [(p["name"], ", ".join(p["repositories"]), _members(p)) for p in items]
    show_table(["project", "repositories", "members"], rows, "There is no project.")


def set_project(
    name: str,
    /,
    *,
    repository: _Many,
    member: _Many = (),
    team: _Many = (),
    as_json: Json = False,
) -> None:
    """Make a project, or replace all of it. Asks an admin for the PIN.

    Parameters
    ----------
    name
        Letters, digits, dots and hyphens.
    repository
        As runs and tasks name it: a path or an address. Repeat it for more.
    member
        The login of a person who may know what happens there. Repeat it for more.
    team
        A team whose people may. Repeat it for more.
    """
    who = ", ".join((*member, *(f"team:{each}" for each in team))) or "nobody"
    done = signed(
        f"set the project {name}",
        f"The project {name} is {', '.join(repository)}; its members are {who}",
        lambda proof: staff.set_project(name, repository, member, team, proof),
    )
    if as_json:
        say_json(done)
        return
    say(f"{done['name']}: {', '.join(done['repositories'])}; members: {_members(done)}")
    note("From now on people see only what belongs to their projects; admins also what is in none.")


def remove(name: str, /, *, as_json: Json = False) -> None:
    """Take everything out of a project, and everybody. Asks an admin for the PIN.

    Parameters
    ----------
    name
        The project's name.
    """
    if name not in [p["name"] for p in server().send(staff.projects())]:
        raise NotFound(f"there is no project `{name}`", hint="See `handfast project list`.")
    done = signed(
        f"remove the project {name}",
        f"Only admins and auditors see from now on what is in no other project than {name}",
        lambda proof: staff.set_project(name, (), (), (), proof),
    )
    if as_json:
        say_json(done)
    else:
        say(f"{name} is removed. What belonged to it is in no project now.")


def sign_out(login: str, /, *, as_json: Json = False) -> None:
    """End every session, token and passkey of a person, and their link to Slack. Asks an admin for the PIN.

    Parameters
    ----------
    login
        The login of that person.
    """
    done = signed(
        f"sign {login} out",
        f"End every session, token and passkey of {login}, and their link to Slack",
        lambda proof: staff.sign_out(login, proof),
    )
    if as_json:
        say_json(done)
    else:
        say(f"{login}: {done['ended']} sessions and {done['tokens']} tokens ended.")


def _members(project: dict[str, Any]) -> str:
    names = [str(each["name"]) for each in project["members"]]
    return ", ".join((*names, *(f"team:{each}" for each in project["teams"]))) or "nobody"
