"""The supervisor: leases runs, gives each a thread, and lets go of them in order when it stops."""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from handfast.client import Client, calls, runner_calls
from handfast.client.request import Json
from handfast.core.domain.errors import (
    HandfastError,
    InvalidTransition,
    NotFound,
    StorageError,
    UsageError,
)
from handfast.core.domain.faults import fault_point
from handfast.runner.hooks.registry import SessionRegistry
from handfast.runner.supervisor.ground import Ground
from handfast.runner.supervisor.held import Declined, Held, LetGo
from handfast.runner.supervisor.leftovers import HOST
from handfast.runner.supervisor.life import Life
from handfast.runner.supervisor.presence import Presence
from handfast.runner.supervisor.settings import SupervisorSettings, kept_names

_MAX_PAUSE_S: Final = 2.0
_MAX_FAILURES: Final = 3
_STOP_S: Final = 60.0
_DECLINED_S: Final = 600.0
_MAX_WITHOUT: Final = 200
# Outcomes after which nothing of a run is needed on this machine, and whether its branch goes too.
_OVER: Final = {
    "merged": False, "withdrawn": False, "rejected": True, "nothing_changed": True, "never_started": True,
}  # fmt: skip
log = logging.getLogger("handfast.runner")


class Supervisor:
    """Leases runs with `client` (a runner's token) and works on up to `runs` at once.

    `hook_url` is the hook's endpoint, `registry` the one that endpoint answers by, and `flush` delivers
    what it has not delivered yet. `environment` is what agents inherit, after scrubbing.

    `stop` ends the agents, once the calls that run are done or `drain_s` is over. Runs that wait for a person
    are paused; the others are given back with what they had kept, so that another runner takes them at once.
    """

    def __init__(
        self,
        client: Client,
        home: Path,
        hook_url: str,
        registry: SessionRegistry,
        *,
        flush: Callable[[], bool] = lambda: True,
        runs: int = 4,
        environment: Mapping[str, str] | None = None,
        settings: SupervisorSettings | None = None,
    ) -> None:
        self._client = client
        self._registry = registry
        self._flush = flush
        self._environment = dict(os.environ if environment is None else environment)
        self.settings = settings or SupervisorSettings(
            home=home,
            hook_url=hook_url,
            server_url=client.url,
            runs=runs,
            keep=kept_names(self._environment),
        )
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._refused: Callable[[], None] = lambda: None
        self.presence = Presence(client, home, self.settings.runs, self._turned_away)
        self._lock = threading.Lock()
        self._working: dict[str, threading.Thread] = {}
        self._failures: dict[str, int] = {}
        self._declined: dict[str, float] = {}
        self._thread = threading.Thread(target=self._lease, name="handfast-supervisor", daemon=True)

    @property
    def runner_id(self) -> str:
        """As the server knows it; '' until it has answered."""
        return self.presence.runner_id

    def hide(self, *files: Path) -> None:
        """Keep files from contained agents, wherever they lie. Before `start`."""
        self.settings = replace(self.settings, hidden=(*self.settings.hidden, *files))

    def apart(self, refused: Callable[[], None], *, declines: bool) -> None:
        """`refused` is called when the server wants no more of this runner: it was retired, or another process
        has its place. `declines`: what cannot be had here is given back. Before `start`."""
        self._refused = refused
        self.settings = replace(self.settings, declines=declines)

    def start(self) -> Self:
        """Begin to take runs. The server may come up later."""
        self.settings.worktrees.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Returns when the agents are gone and what they did is kept. Idempotent."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)
        for thread in self._threads():
            thread.join(_STOP_S)
        self.presence.end("told to stop")

    def _turned_away(self) -> None:
        self._stopping.set()
        self._wake.set()
        self._refused()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _threads(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._working.values())

    # -- leasing

    def _lease(self) -> None:
        pause_s, tidied = self.settings.poll_s, False
        while not self._stopping.is_set():
            try:
                if not self.presence.begun:
                    self.presence.begin()
                tidied = tidied or self._tidied()
                taken = self._take()
                pause_s = 0.0 if taken else self.settings.poll_s
            except HandfastError as error:
                log.warning("no run could be leased: %s", error.message)
                pause_s = min(max(pause_s, self.settings.poll_s) * 2, _MAX_PAUSE_S)
            except Exception:
                log.exception("leasing failed")
                pause_s = _MAX_PAUSE_S
            self._wake.wait(pause_s)
            if not self._stopping.is_set():
                self._wake.clear()

    def _take(self) -> bool:
        free = self.settings.runs - len(self._threads())
        if free <= 0:
            return False
        where, presence = self._without(), self.presence
        asked = runner_calls.lease(presence.runner_id, HOST, presence.instance, free, where)
        run = self._client.send(asked)
        if run is None:
            return False
        fault_point("runner.after_lease")
        thread = threading.Thread(
            target=self._see_through, args=(run,), name=f"run-{run['run_id']}", daemon=True
        )
        with self._lock:
            self._working[f"{run['run_id']}.{run['epoch']}"] = thread
        thread.start()
        return True

    def _without(self) -> list[str]:
        """Runs given back because they cannot be worked on here, which after a while are tried again; and those
        that are worked on here: a lease that is over by a clock that was set is kept by the next heartbeat, and
        taking it over would end an agent that lacks nothing."""
        now = time.monotonic()
        kept = {run: at for run, at in self._declined.items() if now - at < _DECLINED_S}
        self._declined = kept
        with self._lock:
            here = [at_work.rpartition(".")[0] for at_work in self._working]
        return [*kept, *here][-_MAX_WITHOUT:]

    def _see_through(self, run: Json) -> None:
        """The edge of a run's thread: whatever goes wrong, the lease is let go and nothing else suffers."""
        lease_s = self.presence.lease_s
        held = Held(self._client, run, self.settings, self._stopping, lease_s)
        life: Life | None = None
        try:
            with held:
                life = Life(held, self._registry, self._environment, self._flush)
                self._live(held, life)
        except LetGo:
            log.info("let go of run `%s`", held.run_id)
        except StorageError as error:
            log.warning("run `%s` waits for the server: %s", held.run_id, error.message)
        except Exception:
            log.exception("run `%s` failed in the runner", held.run_id)
        finally:
            if held.lost.is_set() and not held.killed:
                held.say_lost(ended=life is not None and life.started)
            with self._lock:
                self._working.pop(f"{held.run_id}.{held.epoch}", None)
            self._wake.set()

    def _live(self, held: Held, life: Life) -> None:
        try:
            life.go()
            self._failures.pop(held.run_id, None)
        except (LetGo, StorageError):
            raise
        except Declined as declined:
            self._declined[held.run_id] = time.monotonic()
            log.warning("run `%s` is given back: %s", held.run_id, declined)
            held.tell("release", reason=f"not to be had on {HOST}: {declined}"[:500])
        except InvalidTransition:
            if held.refresh().get("status") == "ended":
                raise LetGo from None
            raise
        except HandfastError as error:
            log.warning("run `%s`: %s", held.run_id, error.message)
            why = f"{error.message}. {error.hint}".strip()
            if held.taken.is_set():
                self._not_handed_over(held, why)
            else:
                self._broken(held, why)
        except Exception as error:
            log.exception("run `%s` failed in the runner", held.run_id)
            self._failures[held.run_id] = self._failures.get(held.run_id, 0) + 1
            if self._failures[held.run_id] < _MAX_FAILURES:
                raise LetGo from error
            self._broken(held, f"the runner failed ({type(error).__name__}); see its log")

    def _not_handed_over(self, held: Held, why: str) -> None:
        """A person waits for the worktree and does not get it here. Somebody else may try; nothing ends."""
        self._declined[held.run_id] = time.monotonic()
        held.gap("not-handed-over", why)
        held.tell("release", reason=why[:500])

    def _broken(self, held: Held, why: str) -> None:
        """It cannot go on here. Worktree and branch stay, so that a person finds the work."""
        if held.run.get("worktree") or held.refresh().get("worktree"):
            held.tell("exited", reason=why[:500])
            held.tell("ended", outcome="failed")
        else:
            held.tell("never-started", reason=why[:2_000])

    # -- what earlier runners left behind

    def _tidied(self) -> bool:
        """Take away worktrees of runs that are over, which a killed runner had no time for."""
        for record in sorted(self.settings.worktrees.glob("*.json")):
            try:
                run = self._client.send(calls.run(record.stem))
                self._tidy(run)
            except (NotFound, UsageError):
                continue  # another server's
            except StorageError:
                raise
            except (HandfastError, OSError) as error:
                log.warning("the worktree of run `%s` stays: %s", record.stem, error)
        return True

    def _tidy(self, run: Json) -> None:
        discards = _OVER.get(str(run.get("outcome") or ""))
        if run.get("status") != "ended" or discards is None:
            return
        ground = Ground(run, self.settings)
        if discards:
            ground.discard()
        else:
            tip = ground.git.commit_id(f"refs/heads/{run.get('target_branch', '')}")
            ground.close(tip or "" if run["outcome"] == "merged" else "")
