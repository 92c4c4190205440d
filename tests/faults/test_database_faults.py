"""PostgreSQL itself is killed, full, frozen or has no connection left; SQLite's disk is full.

Each time: what was answered is there afterwards, what was refused left nothing, and work goes on.
"""

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from handfast.core.domain.errors import Unavailable
from handfast.storage.sql import readers
from handfast.storage.sql.store import SqlStore
from tests import needs, postgres
from tests.faults.checker import Json
from tests.faults.databases import Durable, durable, full
from tests.faults.installation import Installation, installed, prepare
from tests.faults.load import Load, rest
from tests.faults.stories import Mediated
from tests.postgres import Postgres

pytestmark = [pytest.mark.faults, pytest.mark.slow]
ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def own() -> Iterator[Durable]:
    """A durable server of this module's own: it survives what the tests do to it."""
    binaries = postgres.binaries()
    if binaries is None:
        needs.missing("postgres", "no initdb here: apt-get install postgresql")
    with durable(binaries, space="160m" if ROOT else "", max_connections="40") as server:
        yield server


@pytest.fixture
def place(own: Durable, tmp_path: Path) -> Iterator[Installation]:
    root = tmp_path / "installation"
    root.mkdir()
    server = Postgres(own.url)
    url = server.create()
    with installed(root, url, prepare(url, root / "data"), SETTLE_WITHIN_S="5") as made:
        yield made
    server.drop(url)


def proposal(number: int) -> Json:
    command = f"git push -q nowhere main-{number}"
    call = {"tool": "Bash", "arguments": {"command": command}, "cwd": "."}
    return {"key": f"t{number}", "call": call, "executor": "mediated"}


def propose(place: Installation, run_id: str, number: int) -> httpx.Response:
    path = f"/v1/runs/{run_id}/actions"
    return place.call("POST", path, proposal(number), token="agent", key=f"key-{number}")


def refuses_and_recovers(
    place: Installation, broken: Callable[[], AbstractContextManager[object]]
) -> None:
    """While it is broken a command is refused, clearly; afterwards the same command is carried out once."""
    agent = Mediated(place)
    assert propose(place, agent.run_id, 1).status_code == 200
    with broken():
        refused = propose(place, agent.run_id, 2)
        assert refused.status_code == 503, refused.text
        assert refused.json()["code"] in ("unavailable", "disk_full")
        assert refused.json()["retryable"] == (refused.json()["code"] == "unavailable")
        assert refused.json()["hint"]
    answer = place.sure(lambda: propose(place, agent.run_id, 2))
    assert answer.status_code == 200
    assert len(place.events("handoff.requested")) == 2
    place.prove()


@pytest.mark.postgres
@pytest.mark.parametrize("children", [False, True], ids=["postmaster", "all"])
def test_postgres_is_killed_under_load(own: Durable, place: Installation, children: bool) -> None:
    """fsync is on. Where only the postmaster dies, its children may carry out what they are at."""
    place.start()
    load = Load(place, seed=3)
    load.start(hooked=2, executing=2, calls=1)
    try:
        place.until(lambda: load.counts["handoff.requested"] >= 1, "a case")
        own.kill(children=children)
        own.start()
        place.until(lambda: load.counts["handoff.decided"] >= 2 or load.over, "decisions")
        own.kill(children=children)
        own.start()
        assert rest(load, within_s=180) == [], place.story()
    finally:
        load.stop()
    assert load.counts["handoff.decided"] >= 3


@pytest.mark.postgres
def test_every_connection_of_postgres_is_taken(own: Durable, place: Installation) -> None:
    place.serve()
    refuses_and_recovers(place, own.used_up)


@pytest.mark.postgres
@pytest.mark.skipif(not ROOT, reason="needs root to make a small disk")
def test_the_disk_of_postgres_is_full(own: Durable, place: Installation) -> None:
    place.serve()

    def stored(client: httpx.Client, size: int) -> bool:
        answer = client.post(
            f"{place.url}/v1/bodies",
            content=secrets.token_bytes(size),
            headers=place.credentials("runner"),
        )
        assert answer.status_code in (201, 503), answer.text
        return answer.status_code == 201

    @contextmanager
    def crowded() -> Iterator[None]:
        """What fits into the pages that it has is still taken, so these are filled too."""
        with full(own.home), httpx.Client(timeout=20, trust_env=False) as client:
            for size in (1_000_000, 100_000, 10_000, 1_000):
                assert any(not stored(client, size) for _ in range(500))
            yield
        own.start()  # it ends itself when there is no place for its own log

    refuses_and_recovers(place, crowded)


@pytest.mark.skipif(not ROOT, reason="needs root to make a small disk")
@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_the_disk_of_sqlite_is_full(install: Callable[..., Installation]) -> None:
    place = install(SETTLE_WITHIN_S="5")
    aside = place.root / "aside"
    shutil.move(place.home, aside)
    place.home.mkdir(mode=0o700)
    words = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "handfast", str(place.home)]
    subprocess.run(words, check=True)
    try:
        shutil.copytree(aside, place.home, dirs_exist_ok=True)
        place.serve()
        refuses_and_recovers(place, lambda: full(place.home))
        place.close()
    finally:
        place.close()
        subprocess.run(["umount", "-l", place.home], check=True)


def test_the_pool_of_the_store_is_used_up(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads are refused as `unavailable`, nobody waits for ever, and given back they are used again."""
    monkeypatch.setattr(readers, "WAIT_S", 0.2)
    with closing(SqlStore(store_url)) as store:
        with ExitStack() as stack:
            for _ in range(readers.MOST):
                stack.enter_context(store._readers.connection())
            for _ in range(2):
                with pytest.raises(Unavailable, match="in use"):
                    store.size()
        assert store.size() == 0
