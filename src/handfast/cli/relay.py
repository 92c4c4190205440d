"""`handfast relay`: what is on its way out, what was given up, and trying that again."""

from handfast.cli.control import server
from handfast.cli.output import Json, say, say_json, show_table
from handfast.client import relay_calls as calls


def status(*, as_json: Json = False) -> None:
    """Show how many deliveries wait, are under way and were given up, by topic."""
    found = server().send(calls.status())
    if as_json:
        say_json(found)
        return
    rows = [(t["topic"], t["waiting"], t["handed"], t["dead"]) for t in found["topics"]]
    show_table(["topic", "waiting", "under way", "given up"], rows, "Everything is delivered.")


def dead(*, after: int = 0, as_json: Json = False) -> None:
    """List the deliveries that were given up, oldest first, 200 at a time.

    Parameters
    ----------
    after
        The last id of the page before.
    """
    items = server().send(calls.dead(after))
    if as_json:
        say_json({"items": items})
        return
    rows = [(d["delivery_id"], d["topic"], d["attempts"], d["error"]) for d in items]
    show_table(["id", "topic", "attempts", "last error"], rows, "Nothing was given up.")


def retry(delivery_id: int, /, *, as_json: Json = False) -> None:
    """Try a delivery again that was given up, with all attempts before it.

    Parameters
    ----------
    delivery_id
        Its number in `handfast relay dead`.
    """
    done = server().send(calls.retry(delivery_id))
    if as_json:
        say_json(done)
        return
    say(f"delivery `{done['delivery_id']}` of {done['topic']} is tried again")
