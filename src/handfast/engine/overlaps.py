"""Files that the finished work of several runs changes, among all of it that waits.

A package says which files a work changes, and opening thousands of them for each page would be much. So each is
opened once and its files are kept in memory as long as it waits: a look asks the database which works wait,
and opens only what is new. What the log holds is all it rests on, so every server comes to the same.
"""

import heapq
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from handfast.core.domain.handoff import Handoff
from handfast.core.domain.project import Sight
from handfast.engine.effects import open_packages
from handfast.engine.kernel import Kernel
from handfast.engine.projections import BY_NAME, FINISHED_WORK, load
from handfast.storage.api import Query, StateRow

AT_ONCE = 200  # packages that one look opens
MOST_WORKS = 10  # named for one file
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Work:
    """Finished work that waits for its review."""

    handoff_id: str
    run_id: str
    root: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    """`works` are the reviews of the first works that change the file, the oldest first."""

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
    """Thread-safe. Of each work it keeps its ids and its paths."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._lock = threading.Lock()
        self._works: dict[int, Work] = {}  # by where their handoffs begin in the log
        self._changing: dict[tuple[str, str], tuple[int, ...]] = {}  # by repository and path
        self._shared: dict[str, set[str]] = defaultdict(set)  # paths by repository
        self._behind = True
        self._size = -1

    def found(self, within: Sight | None = None, most: int = 5) -> Found:
        """What somebody with this sight may know of, by repository and path."""
        with self._lock:
            waiting = self._look(AT_ONCE)
            roots = sorted(r for r in self._shared if within is None or within.covers(r))
            files: list[tuple[str, str]] = []
            for root in roots:
                left = most - len(files)
                files += [(root, path) for path in heapq.nsmallest(left, self._shared[root])]
            total = sum(len(self._shared[root]) for root in roots)
            named = [[self._works[n].handoff_id for n in self._changing[file]] for file in files]
            compared = len(self._works)
        overlaps = tuple(
            Overlap(*file, tuple(self._kernel.state(Handoff, h) for h in ids[:MOST_WORKS]))
            for file, ids in zip(files, named, strict=True)
        )
        return Found(overlaps, total, compared, waiting)

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
        for gone in sorted(self._works.keys() - waiting):
            self._forget(gone)
        missing = waiting - self._works.keys()
        while missing and most > 0:
            limit = min(_BATCH, len(missing))
            query = Query(
                "handoff",
                match=FINISHED_WORK,
                newest_first=True,
                after=(0, max(missing) + 1),
                limit=limit,
            )
            rows = self._kernel.store.find(query)
            self._open([row for row in rows if row.opened in missing])
            most -= limit
            last = rows[-1].opened if len(rows) == limit else 0
            missing = {n for n in missing if n < last}
        self._size, self._behind = size, bool(missing)
        return len(waiting)

    def _open(self, rows: Iterable[StateRow]) -> None:
        states = {row.opened: cast("Handoff", load(BY_NAME["handoff"], row.doc)) for row in rows}
        roots = {row.opened: row.root or "" for row in rows}
        packages = open_packages(self._kernel, list(states.values()))
        for opened, h in states.items():
            review = packages[h.package.body_id].review
            files = tuple(dict.fromkeys(review.files)) if review else ()
            work = self._works[opened] = Work(h.handoff_id, h.run_id, roots[opened], files)
            for path in files:
                others = self._changing.get((work.root, path), ())
                self._change(work.root, path, tuple(sorted((*others, opened))))

    def _forget(self, opened: int) -> None:
        work = self._works[opened]
        for path in work.files:
            others = self._changing[work.root, path]
            self._change(work.root, path, tuple(n for n in others if n != opened))
        del self._works[opened]

    def _change(self, root: str, path: str, works: tuple[int, ...]) -> None:
        """These works change a file now."""
        if works:
            self._changing[root, path] = works
        else:
            del self._changing[root, path]
        if len(works) > 1 and len({self._works[n].run_id for n in works}) > 1:
            self._shared[root].add(path)
        elif path in self._shared.get(root, ()):
            self._shared[root].discard(path)
