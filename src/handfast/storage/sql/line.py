"""The line of waiting writers: whoever comes first writes for all who wait.

A caller that finds nobody writing leads at once. Others wait, each on a lock of its own; when the
leader is done it hands the lead to the first who came meanwhile, and then wakes those it wrote for.
So one fsync serves a whole group, and no thread stands between a caller and its answer.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from handfast.storage.api import Committed, WriteSet


@dataclass(slots=True, eq=False)
class Job:
    """One write set on its way: `committed` or `error` is set when it is answered."""

    write: WriteSet
    committed: Committed | None = None
    error: Exception | None = None
    leads: bool = False
    wake: "threading.Lock | None" = None  # held until the job is answered, or leads


def _wake(job: Job) -> None:
    if job.wake is not None:
        job.wake.release()


class Line:
    """Gives every job to `lead` in one group or another, never two groups at a time. Thread-safe."""

    def __init__(self, lead: Callable[[list[Job]], None]) -> None:
        """`lead` must answer every job of its list."""
        self._lead = lead
        self._lock = threading.Lock()
        self._waiting: list[Job] = []
        self._led = False

    def submit(self, job: Job) -> None:
        """Returns when the job is answered."""
        try:
            with self._lock:
                if self._led:
                    job.wake = threading.Lock()
                    job.wake.acquire()
                    self._waiting.append(job)
                else:
                    self._led = job.leads = True
            if job.wake is not None:
                job.wake.acquire()
            if job.leads:
                self._group(job)
        except BaseException:
            self._leave(job)
            raise

    def _group(self, job: Job) -> None:
        with self._lock:
            jobs, self._waiting = [job, *self._waiting], []
        try:
            self._lead(jobs)
        finally:
            self._pass_on(job)
            for follower in jobs[1:]:
                _wake(follower)

    def _pass_on(self, job: Job) -> None:
        with self._lock:
            job.leads = False
            if not self._waiting:
                self._led = False
                return
            successor = self._waiting.pop(0)
            successor.leads = True
        _wake(successor)

    def _leave(self, job: Job) -> None:
        """A caller was interrupted. The others must not wait for it."""
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
        if job.leads:
            self._pass_on(job)
