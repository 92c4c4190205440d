"""`python -m bench [--seconds S] [--json FILE]`: every figure of one run, with its definition."""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import engine as in_process
from bench import facts
from bench.floor import Floor, fsync_ms
from bench.http import gate_checks_over_http
from bench.policy import judging, simulation


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each rate is measured")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="handfast-bench-") as name:
        figures = list(_figures(Path(name), args.seconds))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


def _figures(folder: Path, seconds: float) -> Iterator[dict[str, object]]:
    def figure(name: str, value: float, unit: str, beside: str = "") -> dict[str, object]:
        print(f"{name:<58} {value:>10,.2f} {unit:<10} {beside}")
        sys.stdout.flush()
        return {"name": name, "value": round(value, 3), "unit": unit, "beside": beside}

    machine = f"{platform.machine()}, Python {platform.python_version()}"
    yield figure("median fsync of 4 KB on this disk", fsync_ms(folder), "ms", machine)
    for name, value, unit in facts.figures():
        yield figure(name, value, unit)
    bench = in_process.open_bench(folder / "home")
    floor = Floor(folder)
    at_one = floor.rate(1, seconds)
    yield figure("floor: bare INSERT + commit, SQLite FULL, 1 in flight", at_one, "/s")
    for flight in (1, 16):
        base = at_one if flight == 1 else floor.rate(flight, seconds)
        if flight > 1:
            yield figure(f"floor, {flight} in flight", base, "/s")
        rate = in_process.commands(bench, flight, seconds)
        beside = f"{rate / base:.2f}x its floor, {rate / at_one:.2f}x the floor at 1"
        yield figure(
            f"commands (event, state, leaf, outbox), {flight} in flight", rate, "/s", beside
        )
    took = sorted(in_process.gate_checks(bench, int(150 * seconds)))
    yield figure("gate check in process, p50", took[len(took) // 2] * 1000, "ms")
    yield figure("gate check in process, p99", took[int(len(took) * 0.99)] * 1000, "ms")
    for flight in (1, 16):
        rate = in_process.cycles(bench, flight, seconds)
        name = f"cycles (hand over, decide, redeem, record), {flight} in flight"
        yield figure(name, rate, "/s", f"{rate / at_one:.3f}x the floor at 1; 4 commits each")
    bench.engine.close()
    for name, value, unit in judging():
        yield figure(name, value, unit)
    for name, value, unit in simulation(folder / "history"):
        yield figure(name, value, unit)
    for name, value in gate_checks_over_http(folder / "http", seconds):
        yield figure(name, value, "ms" if "p" in name.rpartition(", ")[2] else "/s")


if __name__ == "__main__":
    main()
