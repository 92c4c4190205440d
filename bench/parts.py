"""Every part of the benchmark by its name, in the order of a whole run."""

from collections.abc import Iterator

from bench import (
    costs,
    cycles,
    facts,
    http,
    load,
    pages,
    policy,
    race,
    rates,
    record,
    resume,
    scale,
    store,
    takeover,
)
from bench import engine as in_process
from bench.figures import Figure, Part, Room, percentile
from bench.floor import fsync_ms

# Only when they are named: they take long, or need what a plain installation lacks.
LONG = frozenset({"scale", "huge", "load", "pages"})


def disk(room: Room) -> Iterator[Figure]:
    """What the disk under the databases costs; stated with every run."""
    means = "median of 200 writes of 4 KB, each followed by fsync, in the folder of the databases"
    yield Figure("fsync", fsync_ms(room.folder), "ms", means)


def checks(room: Room) -> Iterator[Figure]:
    """An allowed call, in process."""
    bench = in_process.open_bench(room.new("home"))
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
    "store": store.figures,
    "checks": checks,
    "cycles": cycles.figures,
    "sizes": record.sizes,
    "verify": record.verifying,
    "race": race.figures,
    "http": http.figures,
    "rates": rates.figures,
    "costs": costs.figures,
    "policy": policies,
    "resume": resume.figures,
    "takeover": takeover.figures,
    "scale": scale.figures,
    "huge": scale.huge,
    "load": load.figures,
    "pages": pages.figures,
}
