"""A run whose agent is stopped by the kill switch: ended by its runner, not lost, not started again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repositories import new_repository
from tests.run_bench import RunBench, plain_environment

SRC = Path(__file__).parents[2] / "src"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunBench]:
    monkeypatch.setenv("HANDFAST_LEASE_S", "6")
    repository = new_repository(tmp_path / "repo")
    environment = {**plain_environment(), "PYTHONPATH": str(SRC)}
    with RunBench(tmp_path, repository, environment).serving() as bench:
        yield bench


def test_a_stopped_agent_is_ended_and_its_work_is_kept(bench: RunBench, tmp_path: Path) -> None:
    beats = tmp_path / "beats"
    agent = f'echo half > half.txt; while true; do echo . >> "{beats}"; sleep 0.1; done'
    run_id = bench.order("bash", "-c", agent)
    bench.until("the agent works", beats.exists)
    process = bench.until("its start is on record", lambda: bench.run(run_id).get("process"))
    bench.engine.switch.kill(bench.person, "all", "stop")
    bench.until("the agent is gone", lambda: not Path(f"/proc/{process['pid']}").exists())
    size = beats.stat().st_size
    other = bench.order("bash", "-c", f'touch "{tmp_path}/started"')
    epoch = bench.run(run_id)["epoch"]

    def lease_is_out() -> bool:
        lease = bench.engine.kernel.store.lease(f"run/{run_id}")
        return lease is not None and lease.expires_at < bench.engine.kernel.clock.now()

    bench.until("the lease is out", lease_is_out)
    assert bench.run(run_id)["epoch"] == epoch
    assert bench.run(run_id)["status"] == "running"
    assert bench.run(other)["status"] == "queued"
    assert beats.stat().st_size == size
    for stage in ("review", "all"):
        bench.engine.switch.release(bench.person, "all", stage, "go on")
    review = bench.waiting(run_id, "review")
    assert review["package"]["review"]["files"] == ["half.txt"]
    bench.until("the other run went on", (tmp_path / "started").exists)
