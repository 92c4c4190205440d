"""Every part of the benchmark by its name, in the order of a whole run."""

from collections.abc import Iterator

from bench import cycles, load, scale
from bench.figures import Figure, Part, Room
from bench.floor import fsync_ms

LONG = frozenset({"scale", "huge", "load"})


def disk(room: Room) -> Iterator[Figure]:
    """What the disk under the databases costs; stated with every run."""
    means = "median of 200 writes of 4 KB, each followed by fsync, in the folder of the databases"
    yield Figure("fsync", fsync_ms(room.folder), "ms", means)


PARTS: dict[str, Part] = {
    "disk": disk,
    "cycles": cycles.figures,
    "scale": scale.figures,
    "huge": scale.huge,
    "load": load.figures,
}
