"""`handfast hook`: the hook in an agent's harness. Loosening it is a person's, with a PIN."""

from typing import Any, Literal

from handfast.cli.control import server
from handfast.cli.durations import seconds
from handfast.cli.output import Json, say, say_json, short_time
from handfast.cli.person import logged_in, sign
from handfast.client import calls
from handfast.core.domain.errors import UsageError

Harness = Literal["claude-code"]


def status(*, as_json: Json = False) -> None:
    """Show mode, pause and where the hook is installed."""
    found = server().send(calls.hook_status())
    if as_json:
        say_json(found)
        return
    say(_sentence(found))


def _sentence(found: dict[str, Any]) -> str:
    if found.get("paused_until"):
        until = short_time(found["paused_until"])
        return f"PAUSED until {until} UTC: everything is let through and recorded"
    if found["mode"] == "observe":
        return "observe: nothing is stopped, everything is recorded"
    return "enforce: what the policy gates waits for a person"


def pause(duration: str, /, *, reason: str = "", as_json: Json = False) -> None:
    """Let everything through for a while. Asks for your PIN on the terminal, and ends by itself.

    Parameters
    ----------
    duration
        How long: 15m, 2h; at most 8h.
    reason
        Why; it stands in the audit trail.
    """
    minutes, rest = divmod(seconds(duration, "duration"), 60)
    if rest or not minutes:
        raise UsageError(f"`duration` is `{duration}`", hint="Give whole minutes: 15m, 2h.")
    attempt = calls.pause_hooks(minutes, reason, "", "")
    with logged_in(f"pause the hook for {duration}", attempt) as (control, terminal):
        signed = sign(terminal, f"Pause the hook for {duration}: nothing will be stopped")
        done = control.send(calls.pause_hooks(minutes, reason, signed.login, signed.pin))
        signed.remember()
    if as_json:
        say_json(done)
    else:
        say(
            f"paused until {short_time(done['paused_until'])} UTC; end it with: handfast hook resume"
        )


def resume(*, as_json: Json = False) -> None:
    """End a pause early."""
    done = server().send(calls.resume_hooks())
    if as_json:
        say_json(done)
    else:
        say(_sentence(done))


def mode(mode: Literal["observe", "enforce"], /, *, as_json: Json = False) -> None:
    """Switch between observe and enforce, for sessions that start from now on.

    Loosening asks for your PIN on the terminal; tightening does not.

    Parameters
    ----------
    mode
        `observe` records what would have been stopped, `enforce` stops it.
    """
    if mode == "enforce":
        done = server().send(calls.set_hook_mode(mode))
    else:
        with logged_in(f"set the hook to {mode}", calls.set_hook_mode(mode)) as (control, terminal):
            signed = sign(terminal, "Set the hook to observe: nothing will be stopped")
            done = control.send(calls.set_hook_mode(mode, signed.login, signed.pin))
            signed.remember()
    if as_json:
        say_json(done)
    else:
        say(_sentence(done))
