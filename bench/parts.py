"""Every part of the benchmark by its name, in the order of a whole run."""

from collections.abc import Iterator

from bench import cycles, facts, http, load, policy, race, record, scale
from bench import engine as in_process
from bench.figures import Figure, Part, Room, percentile, times
from bench.floor import Floor, fsync_ms

LONG = frozenset({"scale", "huge", "load"})


def disk(room: Room) -> Iterator[Figure]:
    """What the disk under the databases costs; stated with every run."""
    means = "median of 200 writes of 4 KB, each followed by fsync, in the folder of the databases"
    yield Figure("fsync", fsync_ms(room.folder), "ms", means)


def store(room: Room) -> Iterator[Figure]:
    """Commands beside a bare event table on SQLite."""
    floor, bench = Floor(room.folder), in_process.open_bench(room.new("home"))
    bare = "a bare event table (WAL, `synchronous=FULL`): one INSERT and commit per event"
    command = "a 1 KB event, its state, its leaf and an outbox row, decided and committed through the kernel"
    for flight, least in ((1, 0.4), (16, 1.2)):
        name = f"sqlite, {flight} in flight"
        beside = Figure(f"floor, {name}", floor.rate(flight, room.seconds), "/s", bare)
        yield beside
        rate = in_process.commands(bench, flight, room.seconds)
        yield times(Figure(f"commands, {name}", rate, "/s", command), beside, least)
    took = in_process.gate_checks(bench, int(150 * room.seconds))
    means = (
        "an allowed call: judged, recorded as a step with its sealed bodies, committed; in process"
    )
    for share in (0.5, 0.99):
        value = percentile(took, share) * 1000
        yield Figure(f"gate check in process, p{share * 100:g}", value, "ms", means)
    bench.engine.close()


def shell_facts(_: Room) -> Iterator[Figure]:
    """What the analyser costs."""
    means = (
        "24 everyday shell commands, by their text alone, each the fastest of seven; docs/facts.md"
    )
    for name, value, unit in facts.figures():
        yield Figure(name, value, unit, means)


def policies(room: Room) -> Iterator[Figure]:
    """Judgements and the simulation of a changed policy."""
    for name, value, unit in policy.judging(rounds=400 if room.quick else 4000):
        yield Figure(name, value, unit, "one judgement with the facts known, in process")
    folder = room.new("history")
    for name, value, unit in policy.simulation(folder, 2_000 if room.quick else 100_000):
        yield Figure(
            name, value, unit, "recorded actions judged again by a changed policy of 20 rules"
        )


PARTS: dict[str, Part] = {
    "disk": disk,
    "facts": shell_facts,
    "store": store,
    "cycles": cycles.figures,
    "sizes": record.sizes,
    "verify": record.verifying,
    "race": race.figures,
    "http": http.figures,
    "policy": policies,
    "scale": scale.figures,
    "huge": scale.huge,
    "load": load.figures,
}
