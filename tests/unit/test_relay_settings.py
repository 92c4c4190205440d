"""What the relay sets inside DBOS, where that has no setting: an upgrade that renames it must not go unseen."""

import inspect

from dbos import _queue, _workflow_commands


def test_dbos_still_reads_how_often_it_looks_where_the_relay_sets_it() -> None:
    jobs = inspect.getsource(_workflow_commands.background_jobs_thread)
    assert "_BACKGROUND_JOBS_INTERVAL_SEC," in jobs
    assert "queue._polling_interval_sec" in inspect.getsource(_queue.queue_worker_thread)
