"""`handfast undo`: ask for the declared undo of what ran."""

from handfast.cli.control import server
from handfast.cli.output import Json, say, say_json
from handfast.client import grant_calls


def undo(handoff: str, /, *, as_json: Json = False) -> None:
    """Ask for the undo of what an approved action did. It needs an approval of its own.

    Parameters
    ----------
    handoff
        The handoff whose effect is to be undone, `ho_…`.
    """
    done = server().send(grant_calls.undo(handoff))
    if as_json:
        say_json(done)
        return
    new = str(done["handoff_id"])
    say(f"{new}: asked; nothing is undone yet")
    say(f"Approve it with `handfast handoff approve {new}`, then run it with `handfast exec`.")
