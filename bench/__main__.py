"""`python -m bench [NAME…] [--quick] [--json FOLDER]`: the parts in one run, each figure with its definition.

Without names all parts that take minutes run; `scale` and `load` take longer and run when they are named.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench import figures
from bench.figures import Figure, Room
from bench.parts import LONG, PARTS

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    args = _arguments()
    missed: list[Figure] = []
    for name in args.parts or [name for name in PARTS if name not in LONG]:
        with tempfile.TemporaryDirectory(prefix=f"handfast-bench-{name}-", dir=args.folder) as at:
            found = _run(name, _room(Path(at), args), args.json)
        missed += [f for f in found if f.met is False]
    for figure in missed:
        print(f"missed: {figure.name}: {figure.value:.4g} {figure.unit}, {figure.target}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="NAME", help=" ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="short rounds: shapes, not figures")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where result files go")
    parser.add_argument(
        "--folder", type=Path, help="the disk to measure; the system's own otherwise"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long `load` runs")
    parser.add_argument("--handoffs", type=int, default=100_000, help="how many `scale` fills in")
    parser.add_argument(
        "--rest",
        action="store_true",
        help="`scale`, `huge`: once filled, wait for a load under 0.6",
    )
    args = parser.parse_args()
    if unknown := [name for name in args.parts if name not in PARTS]:
        parser.error(f"there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return args


def _room(folder: Path, args: argparse.Namespace) -> Room:
    return Room(
        folder, quick=args.quick, minutes=args.minutes, handoffs=args.handoffs, rest=args.rest
    )


def _run(name: str, room: Room, results: Path) -> list[Figure]:
    before, start = figures.machine(), time.perf_counter()
    found: list[Figure] = []
    print(f"== {name}")
    for figure in PARTS[name](room):
        found.append(figure)
        print(figure.line())
        sys.stdout.flush()
    before["took_s"] = round(time.perf_counter() - start, 1)
    if not room.quick:
        figures.write(results / f"{name}.json", name, found, before)
    return found


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended as well
    sys.exit(main())
