"""Who is asked, from the terminal: route, snooze, release, take back an approval, override."""

from typing import Any

from handfast.cli.durations import seconds
from handfast.cli.output import Json, cell, say, say_json, short_time
from handfast.cli.person import logged_in, sign
from handfast.cli.reads import RemoteReads
from handfast.cli.show import handoff_lines
from handfast.client import calls


def _signed(handoff: str, what: str, does: str, fields: dict[str, object]) -> dict[str, Any]:
    """Ask for the PIN and send it. A refusal is sent without one, to be put into the audit trail."""
    attempt = calls.about_handoff(handoff, what, fields)
    with logged_in(f"{what} {handoff}", attempt) as (control, terminal):
        signed = sign(terminal, does)
        done = control.send(calls.about_handoff(handoff, what, {**fields, **signed.fields}))
        signed.remember()
    return done


def release(handoff: str, /, *, as_json: Json = False) -> None:
    """Give back what you acknowledged. Asks for your PIN on the terminal.

    Parameters
    ----------
    handoff
        Its id, `ho_…`.
    """
    done = _signed(handoff, "release", f"Release {handoff}", {})
    if as_json:
        say_json(done)
    else:
        say(f"{handoff}: nobody holds it")


def route(handoff: str, /, *to: str, reason: str, as_json: Json = False) -> None:
    """Ask somebody else instead. Who may decide stays as it was. Asks for your PIN on the terminal.

    Parameters
    ----------
    handoff
        Its id, `ho_…`.
    to
        `team:NAME`, `person:LOGIN`, `role:NAME`, `oncall:NAME` or `reviewers`; several are possible.
    reason
        Why; it is in the timeline.
    """
    fields: dict[str, object] = {"to": list(to), "reason": reason}
    done = _signed(handoff, "route", f"Ask {', '.join(to)} about {handoff}", fields)
    if as_json:
        say_json(done)
    else:
        say(f"{handoff}: asked {cell(done['asked'])}")


def snooze(handoff: str, time: str, /, *, as_json: Json = False) -> None:
    """Hide what you hold from your inbox. Its deadline stays. Asks for your PIN on the terminal.

    Parameters
    ----------
    handoff
        Its id, `ho_…`.
    time
        How long: `30m`, `2h`. It must come back before the deadline.
    """
    fields: dict[str, object] = {"for_s": seconds(time, "time")}
    done = _signed(handoff, "snooze", f"Snooze {handoff} for {time}", fields)
    if as_json:
        say_json(done)
    else:
        say(f"{handoff}: hidden from your inbox until {short_time(done['until'])} UTC")


def unvote(handoff: str, /, *, as_json: Json = False) -> None:
    """Take back your approval while it has decided nothing. Asks for your PIN on the terminal.

    Parameters
    ----------
    handoff
        Its id, `ho_…`.
    """
    done = _signed(handoff, "unvote", f"Take back your approval of {handoff}", {})
    if as_json:
        say_json(done)
    else:
        say(f"{handoff}: your approval is taken back")


def override(handoff: str, /, *, reason: str = "", as_json: Json = False) -> None:
    """Emergency: approve in place of all that it takes. Asks for your PIN on the terminal.

    For admins and operators. A second person must review it afterwards.

    Parameters
    ----------
    handoff
        Its id, `ho_…`.
    reason
        Why it cannot wait. Asked for when left out.
    """
    attempt = calls.about_handoff(
        handoff, "override", {"presented_digest": "sha256:" + "0" * 64, "reason": reason}
    )
    with logged_in(f"override {handoff}", attempt) as (control, terminal):
        shown = RemoteReads(control).handoff(handoff)
        for line in handoff_lines(shown):
            terminal.say(line)
        terminal.say()
        reason = reason.strip() or terminal.ask("Reason")
        digest = shown["presented_digest"]
        signed = sign(terminal, f"Override alone, reviewed by another person, for digest {digest}")
        fields = {"presented_digest": digest, "reason": reason, **signed.fields}
        done = control.send(calls.about_handoff(handoff, "override", fields))
        signed.remember()
    if as_json:
        say_json(done)
        return
    say(f"{handoff}: overridden; {done['review_id']} asks for its review")
    if done["grant_id"]:
        say(f"grant {done['grant_id']}")
