"""What a measurement gives back: a figure with its definition, what it stands beside, and its target."""

import fcntl
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import TypeAlias

SQLITE, POSTGRES = "sqlite", "postgresql"
AT_REST = 0.6  # load of the last minute
FULL_SECONDS, QUICK_SECONDS = 4.0, 0.6


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value.

    `means` is the definition. `beside` names the floor or peer of the same run with its value, `ratio` is
    value over that. `target` is in words; `met` is None where there is none.
    """

    name: str
    value: float
    unit: str
    means: str
    beside: str = ""
    ratio: float | None = None
    target: str = ""
    met: bool | None = None

    def line(self) -> str:
        value = f"{self.value:,.0f}" if self.value >= 1000 else f"{self.value:,.4g}"
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x {self.beside}"
        said = ratio or self.beside
        aim = f"[{self.target}: {verdict}]" if self.target else ""
        return f"{self.name:<66} {value:>9} {self.unit:<8} {said} {aim}".rstrip()


def at_most(figure: Figure, limit: float) -> Figure:
    """The figure with the target that its value is no more than `limit`."""
    return _aimed(figure, f"at most {limit:g} {figure.unit}", met=figure.value <= limit)


def at_least(figure: Figure, limit: float) -> Figure:
    return _aimed(figure, f"at least {limit:,g} {figure.unit}", met=figure.value >= limit)


def times(figure: Figure, floor: Figure, least: float | None = None) -> Figure:
    """The figure beside another of the same run, with the least ratio it should reach."""
    ratio = figure.value / floor.value if floor.value else float("inf")
    put = {"beside": f"{floor.name}: {floor.value:,.4g} {floor.unit}", "ratio": round(ratio, 3)}
    compared = Figure(**(asdict(figure) | put))
    return (
        compared if least is None else _aimed(compared, f"at least {least:g}x", met=ratio >= least)
    )


def _aimed(figure: Figure, target: str, *, met: bool) -> Figure:
    return Figure(**(asdict(figure) | {"target": target, "met": met}))


@dataclass(slots=True)
class Room:
    """What a part of the benchmark gets: a folder of its own on the disk that is measured, and how long."""

    folder: Path
    quick: bool = False
    minutes: float = 10.0
    handoffs: int = 100_000
    rest: bool = False

    @property
    def seconds(self) -> float:
        """How long a rate is measured."""
        return QUICK_SECONDS if self.quick else FULL_SECONDS

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Around what is measured after a long preparation. With `rest`, one run at a time, and not before
        the machine has come to rest."""
        if not self.rest:
            yield
            return
        with (Path(gettempdir()) / "handfast-bench.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            while os.getloadavg()[0] > AT_REST:
                time.sleep(2)
            yield

    def new(self, name: str) -> Path:
        """A fresh folder in it."""
        return Path(mkdtemp(prefix=f"{name}-", dir=self.folder))


Part: TypeAlias = Callable[[Room], Iterator[Figure]]


def percentile(took: list[float], share: float) -> float:
    """Of a list in any order."""
    ordered = sorted(took)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def machine() -> dict[str, object]:
    """Facts that explain a figure, without anything that names the machine."""
    return {
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
    }


def write(path: Path, part: str, figures: list[Figure], before: dict[str, object]) -> None:
    """One file of results: the machine before and after, and every figure with its definition."""
    path.parent.mkdir(parents=True, exist_ok=True)
    load_after = round(os.getloadavg()[0], 2)
    content = {
        "part": part,
        "machine": before | {"load_1min_after": load_after},
        "figures": [asdict(f) for f in figures],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
