"""`handfast person` and `handfast oncall`: who is there, their roles, who is away, who is on call."""

from datetime import datetime
from typing import Annotated, Any

from cyclopts import Parameter

from handfast.cli.control import server
from handfast.cli.output import Json, note, say, say_json, short_time, show_table
from handfast.cli.person import logged_in, sign, signed
from handfast.client import staff
from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import UsageError

Flag = Annotated[bool, Parameter(negative=())]
_From = Annotated[str, Parameter(name="--from")]


def list_people(*, as_json: Json = False) -> None:
    """List the people who are set up, with their roles and who is away."""
    items = server().send(staff.people())
    if as_json:
        say_json({"items": items})
        return
    rows = [(p["person_id"], p["name"], ", ".join(p["roles"]), _there(p)) for p in items]
    show_table(["id", "name", "roles", "there"], rows, "Nobody is set up yet.")


def _there(person: dict[str, Any]) -> str:
    if person.get("disabled_at"):
        return f"disabled since {short_time(person['disabled_at'])}"
    if not person["away_until"]:
        return "yes"
    instead = f", {person['delegate']} instead" if person["delegate"] else ""
    return f"away until {short_time(person['away_until'])}{instead}"


def invite(*, roles: str, as_json: Json = False) -> None:
    """Make a one-time link for one more person, valid for 24 hours. Asks an admin for the PIN.

    Parameters
    ----------
    roles
        Of viewer, reviewer, operator, admin, auditor; separated by commas.
    """
    wanted = _roles(roles)
    with logged_in("invite a person", staff.invite(wanted, {})) as (control, terminal):
        signed = sign(terminal, f"Invite a person with the roles {', '.join(wanted)}")
        done = control.send(staff.invite(wanted, signed.fields))
        signed.remember()
        url = control.url + str(done["path"])
    if as_json:
        say_json({"url": url, "roles": done["roles"]})
        return
    say(url)
    note("Give this link to that person only. It works once, within 24 hours.")


def roles(login: str, roles: str, /, *, as_json: Json = False) -> None:
    """Give a person other roles. Asks an admin for the PIN.

    Parameters
    ----------
    login
        The login of that person.
    roles
        All roles from now on; separated by commas.
    """
    wanted = _roles(roles)
    done = signed(
        f"change the roles of {login}",
        f"From now on {login} has the roles {', '.join(wanted)}",
        lambda proof: staff.set_roles(login, wanted, proof),
    )
    _person(done, as_json=as_json)


def disable(login: str, /, *, as_json: Json = False) -> None:
    """Close a person's account until it is enabled again. Asks an admin for the PIN.

    Parameters
    ----------
    login
        The login of that person, or their id.
    """
    done = signed(
        f"disable {login}",
        f"Nothing acts as {login} any more: every session, token and passkey ends, and nobody asks them",
        lambda proof: staff.disable(login, proof),
    )
    _person(done, as_json=as_json)


def enable(login: str, /, *, as_json: Json = False) -> None:
    """Open a disabled account again, with the roles it had. Asks an admin for the PIN.

    Parameters
    ----------
    login
        The login of that person, or their id.
    """
    done = signed(
        f"enable {login}",
        f"{login} may sign in again, and has the roles from before",
        lambda proof: staff.enable(login, proof),
    )
    _person(done, as_json=as_json)


def away(
    *,
    until: str = "",
    from_: _From = "",
    delegate: str = "",
    person: str = "",
    back: Flag = False,
    as_json: Json = False,
) -> None:
    """Say that you are away: you are not asked, your delegate is. Asks for your PIN.

    Parameters
    ----------
    until
        The first moment you are back: 2026-08-03 or 2026-08-03T09:00, in this machine's time zone.
    from_
        When it begins; now when left out.
    delegate
        The login of who is asked instead, and counts where you are named.
    person
        Somebody else's login; for admins.
    back
        End every absence, planned ones too.
    """
    whose = person or "you"
    if back:
        done = signed(
            "end an absence",
            f"End every absence of {whose}",
            lambda proof: staff.back(person, proof),
        )
    else:
        starts, ends = moment(from_, "--from") if from_ else "", moment(until, "--until")
        instead = f"; {delegate} is asked instead" if delegate else ""
        done = signed(
            "set an absence",
            f"Away until {ends}: {whose}{instead}",
            lambda proof: staff.away(starts, ends, person, delegate, proof),
        )
    _person(done, as_json=as_json)


def show_on_call(*, as_json: Json = False) -> None:
    """Show who is on call, until when, and how old a calendar's copy is."""
    _on_call(server().send(staff.on_call()), as_json=as_json)


def override(
    rotation: str,
    login: str = "",
    /,
    *,
    until: str,
    from_: _From = "",
    reason: str = "",
    as_json: Json = False,
) -> None:
    """Put somebody on call for a while, whoever's turn it is. Asks for your PIN.

    Parameters
    ----------
    rotation
        Its name in the policy.
    login
        Who is on call; left out, an override of that time is taken back.
    until
        The first moment it is over: 2026-08-03 or 2026-08-03T09:00, in this machine's time zone.
    from_
        When it begins; now when left out.
    reason
        Why; it stands in the audit trail.
    """
    starts, ends = moment(from_, "--from") if from_ else "", moment(until, "--until")
    done = signed(
        f"override {rotation}",
        f"On call for {rotation} until {ends}: {login or 'whose turn it is'}",
        lambda proof: staff.override(rotation, login, starts, ends, reason, proof),
    )
    _on_call(done["items"], as_json=as_json)


def moment(text: str, name: str) -> str:
    """RFC 3339 of a date or time as people write it; without an offset it is local. Raises UsageError."""
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"`{name}` is `{text}`", hint="Write it like 2026-08-03 or 2026-08-03T09:00."
        ) from None
    return format_time(read.astimezone())


def _roles(text: str) -> list[str]:
    return [role.strip() for role in text.split(",") if role.strip()]


def _person(done: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(done)
    else:
        say(f"{done['name']}: {', '.join(done['roles'])}; there: {_there(done)}")


def _on_call(items: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        say_json({"items": items})
        return
    rows = [
        (
            r["rotation"],
            ", ".join(r["people"]) or "nobody",
            r["via"],
            f"until {short_time(r['until'])}" if r["until"] else _copy(r),
        )
        for r in items
    ]
    show_table(["rotation", "on call", "by", "(UTC)"], rows, "No policy has a rotation.")
    for r in items:
        if r["logins"] and not r["people"]:
            note(f"{r['rotation']}: nobody who may decide has the login {', '.join(r['logins'])}")
        if r["problem"]:
            note(f"{r['rotation']}: the calendar was not renewed: {r['problem']}")


def _copy(r: dict[str, Any]) -> str:
    return f"copy of {short_time(r['fetched_at'])}" if r["fetched_at"] else ""
