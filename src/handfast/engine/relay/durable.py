"""The one module that knows DBOS: durable attempts, queues with bounds, schedules.

Imported only by a relay that starts: it costs more than a second and 30 MB. DBOS is one in a process.
The outbox is the truth: a lost file of DBOS loses nothing, because what is not done is handed over again.

Rules learnt by running it: the version of the application is a constant, else changed code strands what
is under way; one executor id a boot; SQLite is put into WAL beforehand; no conductor, no telemetry, and
values are JSON, never pickles.
"""

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, cast

import sqlalchemy as sa
from dbos import (
    DBOS,
    DBOSConfig,
    ScheduleInput,
    Serializer,
    SetEnqueueOptions,
    SetWorkflowID,
    _workflow_commands,
)
from dbos import error as dbos_error

from handfast.core.domain.errors import UsageError
from handfast.engine.relay.attempts import Attempts
from handfast.engine.relay.place import SCHEMA, relay_file
from handfast.engine.relay.routing import Flow, Routes, Schedule
from handfast.engine.relay.takeover import Pending
from handfast.storage.outbox import OutboxRow

T = TypeVar("T")
APPLICATION, VERSION = "handfast-relay", "1"
POLL_S: Final = 0.1
_OWN_QUEUE_S: Final = 2.0
_UNUSED_S: Final = 10.0
KEPT: Final = timedelta(hours=1)
_ACTIVE = ("PENDING", "ENQUEUED", "DELAYED")
_PAGE = 500
_SPARE_THREADS = 8
log = logging.getLogger("handfast.relay")
_lock = threading.Lock()
_live: list["Durable"] = []


class Durable:
    """Runs attempts so that another server can go on with them. `start` is idempotent for an attempt."""

    def __init__(self, database: str, worker: str, attempts: Attempts, routes: Routes) -> None:
        self._database = database
        self._worker = worker
        self.attempts = attempts
        self.routes = routes
        self._engine: sa.Engine | None = None
        self.schedules = {s.name: s for s in (*routes.schedules, self._tidying())}

    def launch(self, threads: int) -> None:
        """Raises UsageError when this process has one already, and what DBOS raises."""
        bounded = {topic: flow for topic, flow in self.routes.flows.items() if flow.bounded}
        with _lock:
            if _live:
                raise UsageError(
                    "this process runs a relay already", hint="Start one server a process with it."
                )
            _live.append(self)
        try:
            # DBOS writes to the terminal unless its logger has a handler.
            logging.getLogger("dbos").addHandler(logging.NullHandler())
            _look_less_often(DBOS(config=self._config(threads)))
            DBOS.listen_queues([_queue(topic) for topic in bounded])
            DBOS.launch()
            for topic, flow in bounded.items():
                _register(topic, flow)
            self._schedule()
        except BaseException:
            self.stop()
            raise

    def start(self, row: OutboxRow) -> None:
        """Hand this attempt over, at once here or through the queue of its topic."""
        flow = self.routes.flow(row.topic)
        with SetWorkflowID(attempt_id(row)):
            if flow.bounded:
                with SetEnqueueOptions(priority=max(1, flow.priority)):
                    DBOS.enqueue_workflow(_queue(row.topic), _attempt, row.id, row.attempts)
            else:
                DBOS.start_workflow(_attempt, row.id, row.attempts)

    def pending(self) -> list[Pending]:
        """What servers have begun and not ended, dead ones too."""
        found = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        return [Pending(w.workflow_id, w.executor_id or "", w.queue_name or "") for w in found]

    def resume(self, taken: Iterable[Pending]) -> None:
        """Let any server go on with them, in their queue. What their last server still says is refused."""
        for each in taken:
            queue = each.queue if each.queue.startswith(_QUEUES) else None
            DBOS.resume_workflow(each.workflow_id, queue_name=queue)

    def ended(self, rows: Sequence[OutboxRow]) -> list[OutboxRow]:
        """Those that nobody works on or will: the attempt ended without a mark, or is not known."""
        ids = [attempt_id(row) for row in rows]
        found = DBOS.list_workflows(workflow_ids=ids, load_input=False, load_output=False)
        active = {w.workflow_id for w in found if w.status in _ACTIVE}
        return [row for row in rows if attempt_id(row) not in active]

    def stop(self) -> None:
        """Idempotent. What runs is left; its late results are refused."""
        DBOS.destroy()
        if self._engine is not None:
            self._engine.dispose()
        with _lock:
            if self in _live:
                _live.remove(self)

    def _config(self, threads: int) -> DBOSConfig:
        config: DBOSConfig = {
            "name": APPLICATION,
            "application_version": VERSION,
            "executor_id": self._worker,
            "dbos_system_schema": SCHEMA,
            "serializer": _Json(),
            "log_level": "WARNING",
            "use_listen_notify": False,
            "notification_listener_polling_interval_sec": 0.2,
            "max_executor_threads": threads + _SPARE_THREADS,
            "sys_db_pool_size": 5,
        }
        if self._database.startswith("sqlite"):
            path = relay_file(self._database)
            with closing(sqlite3.connect(path)) as c:
                c.execute("PRAGMA journal_mode=WAL")
            config["system_database_url"] = f"sqlite:///{path}"
        else:
            self._engine = config["system_database_engine"] = _postgres(self._database)
        return config

    # -- schedules

    def _schedule(self) -> None:
        wanted = [
            ScheduleInput(
                schedule_name=s.name,
                workflow_fn=cast("Callable[[datetime, Any], None]", _scheduled),
                schedule=s.crontab,
                context=s.name,
            )
            for s in self.schedules.values()
        ]
        DBOS.apply_schedules(wanted)
        for known in DBOS.list_schedules():
            name = known["schedule_name"]
            if name not in self.schedules:
                DBOS.delete_schedule(name)
            elif _missed(self.schedules[name], known["last_fired_at"]):
                DBOS.trigger_schedule(name)

    def _tidying(self) -> Schedule:
        return Schedule("relay.tidy", self.tidy, every_s=3600)

    def tidy(self) -> int:
        """Forget attempts that ended more than an hour ago. Gives how many."""
        before, gone = (datetime.now(UTC) - KEPT).isoformat(), 0  # noqa: TID251 - DBOS's own clock
        while True:
            found = DBOS.list_workflows(
                completed_before=before, limit=_PAGE, load_input=False, load_output=False
            )
            ids = [w.workflow_id for w in found if w.status not in _ACTIVE]
            if not ids:
                return gone
            DBOS.delete_workflows(ids)
            gone += len(ids)


def attempt_id(row: OutboxRow) -> str:
    """The outbox id and which attempt it is: the same on every server."""
    return f"outbox-{row.id}-{row.attempts}"


_QUEUES = "topic:"


def _queue(topic: str) -> str:
    return _QUEUES + topic


def _look_less_often(dbos: DBOS) -> None:
    """DBOS has no setting for these two, and they are half of what an idle server costs.

    Delays and time limits of workflows are looked for every second: attempts have neither. Its own queue
    holds schedules and attempts of a server that died: two seconds later will do.
    """
    _workflow_commands._BACKGROUND_JOBS_INTERVAL_SEC = _UNUSED_S  # noqa: SLF001
    dbos._registry.get_internal_queue()._polling_interval_sec = _OWN_QUEUE_S  # noqa: SLF001


def _register(topic: str, flow: Flow) -> None:
    DBOS.register_queue(
        _queue(topic),
        global_concurrency=flow.concurrency or None,
        limiter={"limit": flow.starts, "period": flow.within_s} if flow.starts else None,
        polling_interval_sec=POLL_S,
        on_conflict="always_update",
    )


def _postgres(url: str) -> sa.Engine:
    """Connections to the handoff database itself, in a schema of their own: no right to make databases
    is needed, and the address is understood as the store understands it."""
    import psycopg  # noqa: PLC0415 - only where the database is one

    return sa.create_engine(
        "postgresql+psycopg://handfast@/handfast",
        creator=lambda: psycopg.connect(url, connect_timeout=10),
        pool_size=5,
        max_overflow=10,
        pool_pre_ping=True,
    )


def _missed(schedule: Schedule, last_fired_at: str | None) -> bool:
    """Never ran, or too long ago."""
    if last_fired_at is None:
        return False
    since = datetime.now(UTC) - datetime.fromisoformat(last_fired_at)  # noqa: TID251 - DBOS's own clock
    return since > timedelta(seconds=max(schedule.at_least_every_s, schedule.every_s))


class _Json(Serializer):
    """DBOS's default would unpickle whatever stands in the database."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=_plain)

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data, object_hook=_special)

    def name(self) -> str:
        return "handfast_json"


def _plain(value: object) -> dict[str, str]:
    if isinstance(value, datetime):
        return {"$time": value.isoformat()}
    if isinstance(value, BaseException):
        return {"$error": f"{type(value).__name__}: {value}"}
    raise TypeError(f"a durable step gave a {type(value).__name__}, which JSON does not know")


def _special(value: dict[str, Any]) -> object:
    if value.keys() == {"$time"}:
        return datetime.fromisoformat(value["$time"])
    if value.keys() == {"$error"}:
        return RuntimeError(value["$error"])
    return value


def _step(name: str, work: Callable[[], T]) -> T:
    return DBOS.run_step({"name": name}, work)


def _here() -> Durable:
    return _live[0]


@DBOS.workflow(name="handfast.attempt")
def _attempt(row_id: int, attempt: int) -> str:
    try:
        return _here().attempts.deliver(row_id, attempt, _step)
    except dbos_error.DBOSWorkflowConflictIDError:
        log.warning("delivery %s: a late result was discarded, another server has it", row_id)
        raise


@DBOS.workflow(name="handfast.scheduled")
def _scheduled(_at: datetime, name: str) -> str:
    relay = _here()
    schedule = relay.schedules.get(name)
    if schedule is None:
        return "not known here"
    with relay.attempts.entered():
        return _step(name, lambda: _run(relay, schedule))


def _run(relay: Durable, schedule: Schedule) -> str:
    try:
        relay.attempts.guarded(schedule.work)
    except Exception as e:
        # The edge: it runs again at its next time.
        log.exception("the schedule `%s` failed", schedule.name)
        return f"{type(e).__name__}: {e}"
    return "done"
