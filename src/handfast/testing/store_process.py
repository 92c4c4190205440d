"""One process at work on a store, for tests that need real processes.

    python -m handfast.testing.store_process module:Store PLACE write NAME COUNT
    python -m handfast.testing.store_process module:Store PLACE threads NAME COUNT
    python -m handfast.testing.store_process module:Store PLACE follow UNTIL

`write` and `threads` write `whole` sets and print the name of each one that was acknowledged.
`follow` reads by position until `UNTIL` and fails when it ever sees a gap. `HANDFAST_FAULT` arms a
fault point as in the product.
"""

import importlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import handfast
from handfast.core.domain.errors import Concurrency
from handfast.engine.faults import arm_from_environment
from handfast.storage.api import Store
from handfast.testing.store_writes import whole, write

THREADS = 8
PATIENCE_S = 60.0


def open_named(opener: str, place: str) -> Store:
    """`module:callable` called with the place of the store."""
    module, _, name = opener.partition(":")
    return cast("Callable[[str], Store]", getattr(importlib.import_module(module), name))(place)


def start(opener: str, place: str, *task: str, fault: str = "") -> "subprocess.Popen[str]":
    """Start such a process. Its answer is on stdout."""
    source = str(Path(handfast.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": source, "HANDFAST_FAULT": fault}
    command = [sys.executable, "-m", "handfast.testing.store_process", opener, place, *task]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )


def finish(process: "subprocess.Popen[str]") -> list[str]:
    """Wait for a process that must succeed, and give its lines."""
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    return out.split()


def _write(store: Store, name: str, count: int) -> None:
    for n in range(1, count + 1):
        _hard(store, f"{name}.{n}")
        print(f"{name}.{n}", flush=True)


def _hard(store: Store, name: str) -> None:
    """A write of its own, and one to a stream that every process wants."""
    store.commit(whole(name))
    while True:
        row = store.load("thing/shared")
        try:
            store.commit(write("thing/shared", row.version if row else 0))
        except Concurrency:
            continue
        return


def _threads(store: Store, name: str, count: int) -> None:
    def work(number: int) -> None:
        for n in range(1, count + 1):
            store.commit(whole(f"{name}.{number}.{n}"))
            with saying:
                print(f"{name}.{number}.{n}", flush=True)

    saying = threading.Lock()
    running = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def _follow(store: Store, until: int) -> None:
    after, deadline = 0, time.monotonic() + PATIENCE_S
    while after < until:
        assert time.monotonic() < deadline, f"stuck after position {after} of {until}"
        for row in store.events(after=after, limit=50):
            assert row.position == after + 1, f"{row.position} came after {after}"
            after = row.position
    print(after, flush=True)


def main(arguments: Sequence[str]) -> None:
    opener, place, task, *rest = arguments
    arm_from_environment()
    store = open_named(opener, place)
    try:
        match task, rest:
            case "write", [name, count]:
                _write(store, name, int(count))
            case "threads", [name, count]:
                _threads(store, name, int(count))
            case "follow", [until]:
                _follow(store, int(until))
            case _:
                raise SystemExit(__doc__)
    finally:
        store.close()


if __name__ == "__main__":
    main(sys.argv[1:])
