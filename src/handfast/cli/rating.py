"""`handfast handoff rate`: whether a package was enough to decide."""

from typing import Annotated, Literal

from cyclopts import Parameter

from handfast.cli.output import Json, say, say_json
from handfast.cli.person import signed
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
    done = signed(
        f"rate {handoff}",
        f"Rate {handoff}: {rating}",
        lambda who: calls.about_handoff(handoff, "rating", {**fields, **who}),
    )
    if as_json:
        say_json(done)
    else:
        say(f"{handoff}: rated {rating}")
