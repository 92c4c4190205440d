"""`handfast notify`: how you are told of what waits, a test of it, and what was sent of a handoff."""

import time
from typing import Annotated, Any

from cyclopts import Parameter

from handfast.cli.control import Control, server
from handfast.cli.output import Json, note, say, say_json, short_time, show_table
from handfast.cli.person import logged_in, sign, signed
from handfast.client import notify_calls as calls
from handfast.core.domain.errors import AdapterError, UsageError

_From = Annotated[str, Parameter(name="--from")]
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WAIT_S, _EVERY_S = 30.0, 0.2
_OVER = ("delivered", "failing", "given_up", "dropped")


def show(*, as_json: Json = False) -> None:
    """Show your contacts, quiet hours and digest. Asks for your PIN."""
    found = signed("show your notifications", "Show how you are told", calls.show)
    if as_json:
        say_json(found)
        return
    rows = [(c["contact_id"], c["channel"], c["address"], c["takes"]) for c in found["contacts"]]
    show_table(["id", "channel", "address", "takes"], rows, "You have no contact.")
    quiet = found["quiet"]
    days = ", ".join(_DAYS[d] for d in quiet["days"])
    hours = f"{days} {quiet['start']} to {quiet['end']} ({quiet['zone']})" if days else "none"
    say(f"quiet hours: {hours}; a digest every {found['digest_minutes']} min")
    say(f"channels here: {', '.join(found['channels'])}")


def add(channel: str, address: str, /, *, takes: str = "all", as_json: Json = False) -> None:
    """Add a way to reach you. Asks for your PIN. The secret of a webhook is printed once.

    Parameters
    ----------
    channel
        email, webhook, or service:NAME as an operator named it.
    address
        An e-mail address, an https address, or your name at the service.
    takes
        What goes there: all, digest (urgent at once, the rest bundled), urgent, or none.
    """
    done = signed(
        "add a contact",
        f"From now on you are told at {channel} {address}",
        lambda proof: calls.add(channel, address, takes, proof),
    )
    _made(done, as_json=as_json)


def change(contact_id: str, /, *, takes: str, as_json: Json = False) -> None:
    """Change what goes to a contact. Asks for your PIN.

    Parameters
    ----------
    contact_id
        Its id in `handfast notify show`.
    takes
        all, digest, urgent or none.
    """
    done = signed(
        "change a contact",
        f"To {contact_id} goes: {takes}",
        lambda proof: calls.change(contact_id, takes, proof),
    )
    _made(done, as_json=as_json)


def remove(contact_id: str, /, *, as_json: Json = False) -> None:
    """Remove a contact; its address is erased. Asks for your PIN.

    Parameters
    ----------
    contact_id
        Its id in `handfast notify show`.
    """
    done = signed(
        "remove a contact",
        f"Nothing goes to {contact_id} any more",
        lambda proof: calls.remove(contact_id, proof),
    )
    _made(done, as_json=as_json)


def rotate(contact_id: str, /, *, as_json: Json = False) -> None:
    """Give a webhook a new secret; for 24 hours the old one signs too. Asks for your PIN.

    Parameters
    ----------
    contact_id
        Its id in `handfast notify show`.
    """
    done = signed(
        "rotate a secret",
        f"A new secret for {contact_id}",
        lambda proof: calls.rotate(contact_id, proof),
    )
    _made(done, as_json=as_json)


def quiet(
    *,
    days: str = "",
    from_: _From = "00:00",
    to: str = "00:00",
    zone: str = "UTC",
    digest: int = 60,
    as_json: Json = False,
) -> None:
    """Set your quiet hours and digest; what is urgent comes anyway. Asks for your PIN.

    Parameters
    ----------
    days
        mon,tue,wed,…; left out, there are no quiet hours.
    from_
        When they begin, 20:00.
    to
        When they end, 07:00; before the beginning it is the next day.
    zone
        The time zone, Europe/Berlin.
    digest
        How many minutes lie between two digests.
    """
    wanted = [_day(word) for word in days.split(",") if word.strip()]
    done = signed(
        "set quiet hours",
        f"Quiet: {days or 'never'} {from_} to {to} ({zone}); a digest every {digest} min",
        lambda proof: calls.quiet(zone, wanted, from_, to, digest, proof),
    )
    if as_json:
        say_json(done)
    else:
        say("saved")


def slack(*, as_json: Json = False) -> None:
    """Get a code that links your Slack account. Asks for your PIN."""
    done = signed("link a Slack account", "A code for your Slack account", calls.slack_code)
    if as_json:
        say_json(done)
        return
    say(f"/handfast link {done['code']}")
    note("Type this in Slack, in your own account, within ten minutes. Give it to nobody.")


def send_test(contact_id: str = "", /, *, as_json: Json = False) -> None:
    """Send a test to a contact, and wait for what comes of it. Asks for your PIN.

    Parameters
    ----------
    contact_id
        Its id in `handfast notify show`; your only contact when left out.
    """
    with logged_in("send a test", calls.test(contact_id or "one", {})) as (control, terminal):
        signed = sign(terminal, f"Send a test to {contact_id or 'your contact'}")
        wanted = contact_id or _only(control.send(calls.show(signed.fields))["contacts"])
        made = control.send(calls.test(wanted, signed.fields))
        signed.remember()
        found = _settled(control, str(made["notice_id"]))
    if as_json:
        say_json(found)
    else:
        say(f"{found['channel']}: {found['status']}")
    if found["status"] != "delivered":
        raise AdapterError(
            f"the test is {found['status']}: {found['error'] or found['why'] or 'no answer yet'}",
            hint="It is tried again by itself. `handfast relay status` shows whether deliveries run.",
        )


def status(handoff_id: str, /, *, as_json: Json = False) -> None:
    """Show who was told of a handoff, and what came of it.

    Parameters
    ----------
    handoff_id
        The handoff.
    """
    items = server().send(calls.notices(handoff_id))
    if as_json:
        say_json({"items": items})
        return
    rows = [
        (
            n["person_name"],
            n["channel"],
            n["status"],
            short_time(n["at"]),
            n["error"] or n["why"],
            "opened" if n["opened_at"] else "",
        )
        for n in items
    ]
    show_table(["who", "channel", "state", "(UTC)", "why", "link"], rows, "Nobody was told.")


def _settled(control: Control, notice_id: str) -> dict[str, Any]:
    until = time.monotonic() + _WAIT_S
    while True:
        found = control.send(calls.notice(notice_id))
        if found["status"] in _OVER or time.monotonic() > until:
            return found
        time.sleep(_EVERY_S)


def _only(contacts: list[dict[str, Any]]) -> str:
    if len(contacts) != 1:
        raise UsageError(
            f"you have {len(contacts)} contacts",
            hint="Name one: `handfast notify show` lists them.",
        )
    return str(contacts[0]["contact_id"])


def _day(word: str) -> int:
    name = word.strip().lower()
    if name not in _DAYS:
        raise UsageError(f"`{word.strip()[:20]}` is no day", hint=f"Of: {', '.join(_DAYS)}.")
    return _DAYS.index(name)


def _made(done: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(done)
        return
    say(str(done["contact_id"]))
    if done["secret"]:
        say(str(done["secret"]))
        note("This is the webhook's secret. Give it to the receiver now: it is not shown again.")
