"""Files that the finished work of several runs changes, among all of it that waits.

A package says which files a work changes, and opening thousands of them for each page would be much. So each is
opened once and its files are kept in memory as long as it waits: a look asks the database which works wait,
and opens only what is new. What the log holds is all it rests on, so every server comes to the same.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias, cast

from handfast.core.domain.handoff import Handoff
from handfast.core.domain.project import Sight
from handfast.engine.effects import open_packages
from handfast.engine.kernel import Kernel
from handfast.engine.projections import BY_NAME, FINISHED_WORK, load
from handfast.storage.api import Query, StateRow

AT_ONCE = 200  # packages that one look opens
_BATCH = 100
File: TypeAlias = tuple[str, str]  # repository, path


@dataclass(frozen=True, slots=True)
class Work:
    """Finished work that waits for its review."""

    handoff: Handoff
    root: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    repository: str
    path: str
    works: tuple[Handoff, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The first ones in order, and how many there are. `compared` of `waiting` works were looked at."""

    overlaps: tuple[Overlap, ...]
    total: int
    compared: int
    waiting: int


class Overlaps:
    """Thread-safe. Of each work it keeps the state of its handoff and its paths."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._lock = threading.Lock()
        self._works: dict[int, Work] = {}
        self._changing: dict[File, set[int]] = defaultdict(set)
        self._shared: set[File] = set()
        self._behind = True
        self._size = -1

    def found(self, within: Sight | None = None, most: int = 5) -> Found:
        """What somebody with this sight may know of, by repository and path."""
        with self._lock:
            waiting = self._look(AT_ONCE)
            shared = sorted(f for f in self._shared if within is None or within.covers(f[0]))
            overlaps = tuple(
                Overlap(*file, tuple(self._works[n].handoff for n in sorted(self._changing[file])))
                for file in shared[:most]
            )
            return Found(overlaps, len(shared), len(self._works), waiting)

    def catch_up(self) -> None:
        """Open what is not opened yet, a part at a time, so that no page waits for all of it."""
        while self._behind:
            with self._lock:
                self._look(AT_ONCE)

    def _look(self, most: int) -> int:
        """How many works wait. At most so many that are new, the newest first, are opened."""
        size = self._kernel.store.size()
        if size == self._size and not self._behind:
            return len(self._works)
        waiting = set(self._kernel.store.begun("handoff", FINISHED_WORK))
        for gone in self._works.keys() - waiting:
            self._forget(gone)
        missing = waiting - self._works.keys()
        while missing and most > 0:
            query = Query(
                "handoff",
                match=FINISHED_WORK,
                newest_first=True,
                after=(0, max(missing) + 1),
                limit=_BATCH,
            )
            rows = self._kernel.store.find(query)
            self._open([row for row in rows if row.opened in missing])
            most -= _BATCH
            last = rows[-1].opened if len(rows) == _BATCH else 0
            missing = {n for n in missing if n < last}
        self._size, self._behind = size, bool(missing)
        return len(waiting)

    def _open(self, rows: Iterable[StateRow]) -> None:
        states = {row.opened: cast("Handoff", load(BY_NAME["handoff"], row.doc)) for row in rows}
        roots = {row.opened: row.root or "" for row in rows}
        packages = open_packages(self._kernel, list(states.values()))
        for opened, handoff in states.items():
            review = packages[handoff.package.body_id].review
            work = Work(handoff, roots[opened], review.files if review else ())
            self._works[opened] = work
            for path in work.files:
                self._changing[work.root, path].add(opened)
                self._count(work.root, path)

    def _forget(self, opened: int) -> None:
        work = self._works.pop(opened)
        for path in work.files:
            self._changing[work.root, path].discard(opened)
            self._count(work.root, path)

    def _count(self, *file: str) -> None:
        """Whether several runs change a file."""
        key = cast("File", file)
        works = self._changing[key]
        if len({self._works[n].handoff.run_id for n in works}) > 1:
            self._shared.add(key)
        else:
            self._shared.discard(key)
        if not works:
            del self._changing[key]
