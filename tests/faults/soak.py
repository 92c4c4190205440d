"""`make soak`: random load and random faults for as long as asked, each round proved by the checker.

    python -m tests.faults.soak --minutes 30 --seed 1 --database postgres

A round is a fresh installation: one server or two, a runner, agents, deciders; fault points are armed and
other faults strike from outside, all drawn from the seed. Then everything is mended, comes to rest, and is
checked. `--round N` plays one round of the seed again. The folder of a round that failed is kept.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from handfast.core.domain.faults import POINTS
from tests import postgres
from tests.conftest import GIT_CONFIG
from tests.faults.checker import Json, read_log
from tests.faults.databases import Durable, copied, durable, full
from tests.faults.installation import Installation, free_port, installed, prepare
from tests.faults.load import Load, rest
from tests.faults.matrix import CASES, Case
from tests.faults.proxies import CommitCutter, Repeater
from tests.faults.stories import Run
from tests.postgres import Postgres

HOUR, DAY = 3600, 86_400
REST_S = 240.0
NTH = 25  # a server comes by a point of its commits this often in a round
# A grant that its agent gave up is over before the round is.
SETTINGS = {"SETTLE_WITHIN_S": "8", "LEASE_S": "3", "GRANT_TTL_S": "45", "RELAY": "on"}
NTH_OF_A_RUN = 3  # a point on a run's way: there is one run
# The relay is a part of the server. What it does with its points is shown by `test_relay_killed`.
RELAYED = tuple(
    Case(point, "server", "hooked") for point in sorted(POINTS) if point.startswith("relay.")
)


class Sturdy(Installation):
    """Started again as a service manager does: until it stays up."""

    def again(self, name: str, fault: str = "") -> None:
        for attempt in range(5):
            try:
                super().again(name, fault if attempt == 0 else "")
                break
            except AssertionError:
                if attempt == 4:
                    raise
                self.parts.pop(name).end()
                time.sleep(0.5)


@dataclass
class Round:
    """What one round has to break."""

    place: Sturdy
    random: random.Random
    load: Load
    postgres: Durable | None = None
    cutter: CommitCutter | None = None
    repeater: Repeater | None = None
    struck: Counter[str] = field(default_factory=Counter)

    def point(self, part: str) -> str:
        """A fault point that this part comes by, armed for one of the next times."""
        case = self.random.choice([c for c in (*CASES, *RELAYED) if c.part == part])
        kind = self.random.choice(case.kinds)
        often = NTH_OF_A_RUN if case.story == "run" else NTH
        return replace(case, nth=self.random.randint(1, often)).fault(kind)

    def kill(self, name: str) -> None:
        self.place.kill(name)
        self.place.again(name, self.point(name))

    def freeze(self, name: str) -> None:
        part = self.place.parts[name]
        part.process.send_signal(signal.SIGSTOP)
        time.sleep(self.random.uniform(0.2, 2.5))
        part.process.send_signal(signal.SIGCONT)

    def fill_sqlite(self) -> None:
        part = self.place.parts["server"]
        part.limit_files(0)
        time.sleep(self.random.uniform(0.2, 2.0))
        part.limit_files()

    def clock(self, *shifts: int) -> None:
        """Set wrong, left so for a while, and set right."""
        self.place.set_clock(self.random.choice(shifts))
        time.sleep(self.random.uniform(0.5, 2.0))
        self.place.set_clock(0)

    # -- PostgreSQL's own

    def kill_postgres(self, *, children: bool) -> None:
        if self.postgres is not None:
            self.postgres.kill(children=children)
            time.sleep(self.random.uniform(0, 1))
            self.postgres.start()

    def freeze_postgres(self) -> None:
        if self.postgres is not None:
            with self.postgres.frozen():
                time.sleep(self.random.uniform(0.2, 2.5))

    def fill_postgres(self) -> None:
        if self.postgres is not None:
            with full(self.postgres.home):
                time.sleep(self.random.uniform(0.5, 2.0))
            self.postgres.start()

    def use_up_postgres(self) -> None:
        if self.postgres is not None:
            with self.postgres.used_up():
                time.sleep(self.random.uniform(0.2, 1.5))

    def cut(self) -> None:
        if self.cutter is not None:
            self.cutter.arm(self.random.randint(1, 3))


Strike = Callable[[Round], None]
STRIKES: dict[str, Strike] = {
    "kill server": lambda r: r.kill("server"),
    "kill runner": lambda r: r.kill("runner"),
    "freeze server": lambda r: r.freeze("server"),
    "freeze runner": lambda r: r.freeze("runner"),
    "clock forward": lambda r: r.clock(60, HOUR, 2 * DAY),
    "clock back": lambda r: r.clock(-60, -HOUR, -2 * DAY),
}
OF_SQLITE: dict[str, Strike] = {"disk full": lambda r: r.fill_sqlite()}
OF_POSTGRES: dict[str, Strike] = {
    "kill postgres": lambda r: r.kill_postgres(children=False),
    "kill postgres and its children": lambda r: r.kill_postgres(children=True),
    "freeze postgres": lambda r: r.freeze_postgres(),
    "connections used up": lambda r: r.use_up_postgres(),
    "commit unanswered": lambda r: r.cut(),
    **({"disk full": lambda r: r.fill_postgres()} if os.geteuid() == 0 else {}),
}


def strikes(database: str) -> dict[str, Strike]:
    return STRIKES | (OF_POSTGRES if database == "postgres" else OF_SQLITE)


@dataclass
class Ground:
    """What all rounds share: prepared installations to copy, and a PostgreSQL."""

    folder: Path
    database: str
    postgres: Durable | None = None
    _server: Postgres = field(default_factory=lambda: Postgres(""))
    _home: Path = Path()
    _names: Json = field(default_factory=dict)
    _url: str = ""

    def prepare(self) -> None:
        self._home = self.folder / "prepared"
        self._url = f"sqlite:///{self._home / 'handfast.db'}"
        if self.postgres is not None:
            self._server = Postgres(self.postgres.url)
            self._url = self._server.create()
        self._names = prepare(self._url, self._home)

    @contextmanager
    def installation(self, root: Path) -> Iterator[Sturdy]:
        with ExitStack() as stack:
            root.mkdir()
            shutil.copytree(self._home, root / "data")
            url = f"sqlite:///{root / 'data' / 'handfast.db'}"
            if self.postgres is not None:
                url = stack.enter_context(copied(self._server, self._url))
            made = stack.enter_context(installed(root, url, self._names, Sturdy, **SETTINGS))
            assert isinstance(made, Sturdy)
            yield made


def play(ground: Ground, seed: int, number: int) -> Json:
    """One round. `wrong` of the answer is empty when all was proved."""
    began = time.monotonic()
    chance = random.Random(f"{seed}/{number}")  # noqa: S311 - no secret
    root = ground.folder / f"round-{number}"
    with ExitStack() as stack:
        place = stack.enter_context(ground.installation(root))
        load = Load(place, chance.randrange(2**32))
        playing = Round(place, chance, load, ground.postgres)
        try:
            wrong = _played(playing, stack)
        except Exception as error:  # noqa: BLE001 - the edge of a round: it failed, and says how
            wrong = [f"{type(error).__name__}: {error}"[:4000]]
        finally:
            load.stop()
        report = _report(playing, wrong, began) | {"round": number}
        (root / "report.json").write_text(json.dumps(report, indent=1))
        if wrong:
            (root / "story.txt").write_text(place.story())
            with suppress(Exception):
                _keep_entries(place, root / "entries.jsonl")
    if not wrong:
        shutil.rmtree(root)
    return report


def _played(playing: Round, stack: ExitStack) -> list[str]:
    place, chance, load = playing.place, playing.random, playing.load
    place.set_clock(0)
    if playing.postgres is not None:
        playing.cutter = CommitCutter(playing.postgres.socket)
        stack.callback(playing.cutter.close)
        name = place.database.partition("?")[0].rpartition("/")[2]
        place.server_sees = playing.cutter.url(name)
    if chance.random() < 0.4:
        playing.repeater = Repeater(place.url, chance.randrange(2**32))
        stack.callback(playing.repeater.close)
        place.runner_sees = playing.repeater.url
    place.again("server", playing.point("server"))
    place.again("runner", playing.point("runner"))
    load.servers = [place.url]
    other = None
    if playing.postgres is not None and chance.random() < 0.6:
        other = _second(place)
        stack.callback(other.close)
        other.again("server")
        load.servers = [place.url, other.url]
        playing.struck["second server"] += 1
    load.start(
        hooked=chance.randint(1, 4), executing=chance.randint(1, 4), calls=chance.randint(1, 3)
    )
    run = Run(place, "echo work > work.txt\n") if chance.random() < 0.6 else None
    _strike(playing, other)
    place.set_clock(0)
    wrong = rest(load, REST_S)
    if run is not None and not wrong:
        place.until(lambda: run.state["status"] == "ended", "the run's end", within_s=120)
        wrong = place.wrong()
        playing.struck["run " + str(run.state["outcome"])] += 1
    if playing.repeater is not None and not wrong:
        wrong = _again(playing)
    if not wrong:
        load.stop()
        place.prove()
    return wrong


def _strike(playing: Round, other: Installation | None) -> None:
    """Some faults, one after the other, while the load goes on."""
    database = "postgres" if playing.postgres else "sqlite"
    known = strikes(database)
    for _ in range(playing.random.randint(2, 5)):
        name = playing.random.choice(sorted(known))
        time.sleep(playing.random.uniform(0.3, 2.0))
        playing.place.mend()
        known[name](playing)
        playing.struck[name] += 1
        if other is not None:
            other.mend()


def _again(playing: Round) -> list[str]:
    """All that the runner sent, once more in another order, after everything is over."""
    assert playing.repeater is not None
    playing.load.stop()  # what happens from here on is the repeats' doing
    before = len(playing.place.events("grant.redeemed", "handoff.decided", "effect.recorded"))
    try:
        statuses = playing.repeater.replay()
    except (OSError, httpx.HTTPError) as error:
        return [f"a repeated delivery was not answered: {error}"]
    after = len(playing.place.events("grant.redeemed", "handoff.decided", "effect.recorded"))
    playing.struck["deliveries repeated"] += playing.repeater.repeated + len(statuses)
    failed = [f"a repeated delivery got {status}" for status in statuses if status >= 500]
    moved = ["repeated deliveries had an effect"] if before != after else []
    return [*failed, *moved, *playing.place.wrong()]


def _second(place: Sturdy) -> Sturdy:
    """Another server for the same database, with the same keys."""
    root = place.root / "second"
    root.mkdir()
    shutil.copytree(place.home, root / "data", ignore=shutil.ignore_patterns("server.json"))
    made = replace(place, root=root, parts={}, agents=[], server_port=free_port())
    made.set_clock(0)
    return made


def _report(playing: Round, wrong: list[str], began: float) -> Json:
    place = playing.place
    struck = playing.struck + Counter(f"point {f.split(':')[1]}" for f in place.restarts)
    entries: Counter[str] = Counter()
    with suppress(Exception):
        entries = Counter(row.type for row in read_log(place.database).rows)
    if playing.cutter is not None and playing.cutter.cut:
        struck["commits that were not answered"] += playing.cutter.cut
    return {
        "faults": dict(struck),
        "points": place.restarts,
        "entries": sum(entries.values()),
        "handoffs": entries["handoff.requested"],
        "decisions": entries["handoff.decided"],
        "starts": entries["grant.redeemed"],
        "effects": entries["effect.recorded"],
        "receipts": len(place.witness.receipts),
        "heads": len(place.witness.heads),
        "load": dict(playing.load.counts),
        "seconds": round(time.monotonic() - began, 1),
        "wrong": wrong,
    }


def _keep_entries(place: Installation, path: Path) -> None:
    with path.open("w") as file:
        for row in read_log(place.database).rows:
            file.write(row.data.decode() + "\n")


@contextmanager
def grounds(database: str, folder: Path) -> Iterator[Ground]:
    with ExitStack() as stack:
        server = None
        if database == "postgres":
            binaries = postgres.binaries()
            if binaries is None:
                raise SystemExit("no initdb here: apt-get install postgresql")
            space = "256m" if os.geteuid() == 0 else ""
            server = stack.enter_context(durable(binaries, space=space, max_connections="100"))
        made = Ground(folder, database, server)
        made.prepare()
        yield made


def soak(database: str, seed: int, minutes: float, only: int | None, keep: Path) -> Json:
    """Rounds until the time is over. Gives the sums."""
    ends = time.monotonic() + minutes * 60
    sums: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    points: Counter[str] = Counter()
    failed: list[Json] = []
    keep.mkdir(parents=True, exist_ok=True)
    with grounds(database, keep) as ground:
        number = only or 1
        while True:
            done = play(ground, seed, number)
            faults.update(done["faults"])
            points.update(fault.partition(":")[0] for fault in done["points"])
            counted = ("entries", "handoffs", "decisions", "starts", "effects", "receipts", "heads")
            sums.update({name: done[name] for name in counted})
            sums["rounds"] += 1
            failed += [done] if done["wrong"] else []
            print(_line(database, done), flush=True)
            number += 1
            if only is not None or time.monotonic() > ends:
                break
    return {
        "database": database,
        "seed": seed,
        **sums,
        "faults": dict(faults.most_common()),
        "points": dict(points.most_common()),
        "violations": sum(len(each["wrong"]) for each in failed),
        "failed_rounds": [each["round"] for each in failed],
    }


def _line(database: str, done: Json) -> str:
    told = "; ".join(done["wrong"])[:600] if done["wrong"] else "proved"
    faults = ", ".join(f"{name} {n}" for name, n in done["faults"].items())
    return (
        f"{database} round {done['round']}: {done['seconds']} s, {done['handoffs']} handoffs, "
        f"{done['starts']} starts, {done['entries']} entries [{faults}] {told}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311 - no secret
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--round", type=int, dest="only", help="play only this round of the seed")
    parser.add_argument("--keep", type=Path, help="where the folders of failed rounds are left")
    asked = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # leave nothing running and nothing mounted
        signal.signal(number, signal.default_int_handler)
    keep = asked.keep or Path(tempfile.mkdtemp(prefix="handfast-soak-"))
    keep.mkdir(parents=True, exist_ok=True)
    config = keep / "gitconfig"
    config.write_text(GIT_CONFIG)
    os.environ |= {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_NOSYSTEM": "1"}
    databases = ["sqlite", "postgres"] if asked.database == "both" else [asked.database]
    print(f"seed {asked.seed}, {asked.minutes:g} minutes on {' and '.join(databases)}", flush=True)
    found = [
        soak(each, asked.seed, asked.minutes / len(databases), asked.only, keep / each)
        for each in databases
    ]
    print(json.dumps(found, indent=1))
    broken = any(each["violations"] for each in found)
    if broken:
        print(f"What is left of the rounds that failed: {keep}", file=sys.stderr)
    else:
        shutil.rmtree(keep)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
