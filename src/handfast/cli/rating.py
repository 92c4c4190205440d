"""`handfast handoff rate`: whether a package was enough to decide."""

from typing import Annotated, Literal

from cyclopts import Parameter

from handfast.cli.output import Json, say, say_json
from handfast.cli.person import logged_in, sign
from handfast.client import calls
from handfast.core.domain.events_rating import Part


def rate(
    handoff: str,
    rating: Literal["good", "lacking"],
    /,
    *,
    lacks: Annotated[tuple[Part, ...], Parameter(negative=())] = (),
    note: str = "",
    as_json: Json = False,
) -> None:
    """Rate the package of what you decided. Decides nothing. Asks for your PIN on the terminal.

    Parameters
    ----------
    handoff
        Its id, `ho_…`.
    rating
        `good`, or `lacking` when something had to be looked up elsewhere.
    lacks
        What was lacking. May be repeated.
    note
        What you had to look up.
    """
    fields: dict[str, object] = {
        "good": rating == "good",
        "lacks": [part.value for part in lacks],
        "note": note,
    }
    attempt = calls.about_handoff(handoff, "rating", fields)
    with logged_in(f"rate {handoff}", attempt) as (control, terminal):
        signed = sign(terminal, f"Rate {handoff}: {rating}")
        done = control.send(calls.about_handoff(handoff, "rating", {**fields, **signed.fields}))
        signed.remember()
    if as_json:
        say_json(done)
    else:
        say(f"{handoff}: rated {rating}")
