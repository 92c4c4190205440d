"""What of the log a reader may see: asked again for each batch, so that a changed project holds at once."""

from collections.abc import Sequence

from handfast.engine.facade import Engine
from handfast.storage.api import EventRow


def seen_by(engine: Engine, person_id: str, rows: Sequence[EventRow]) -> list[EventRow]:
    """Those of the entries that this person may know of; all of them for '' (no person)."""
    if not (person_id and rows):
        return list(rows)
    knowing = engine.knowing
    sight = knowing.sight(person_id)
    if sight is None:
        return list(rows)
    streams = {row.stream for row in rows}
    seen = {s for s in streams if knowing.sees_with(sight, person_id, s)}
    return [row for row in rows if row.stream in seen]
