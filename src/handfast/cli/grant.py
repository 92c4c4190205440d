"""`handfast grant revoke`: take back what an approval still permits."""

from handfast.cli.output import Json, say, say_json
from handfast.cli.person import logged_in, sign
from handfast.client import grant_calls


def revoke(grant: str, /, *, reason: str = "", as_json: Json = False) -> None:
    """Take back the starts of a grant that are left. Asks for your PIN on the terminal.

    A start that runs already is not stopped.

    Parameters
    ----------
    grant
        Its id, `gr_…`.
    reason
        Why; it goes into the audit trail.
    """
    attempt = grant_calls.revoke(grant)
    with logged_in(f"revoke {grant}", attempt) as (control, terminal):
        signed = sign(terminal, f"Revoke {grant}")
        done = control.send(
            grant_calls.revoke(grant, reason=reason, person=signed.login, pin=signed.pin)
        )
        signed.remember()
    if as_json:
        say_json(done)
    else:
        running = ", but the start that runs goes on" if done["status"] == "redeemed" else ""
        say(f"{grant}: revoked{running}")
