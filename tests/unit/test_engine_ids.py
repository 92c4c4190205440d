"""Identifiers: their form and order, and that neither threads nor forked processes share one."""

import os
import re
import time

from handfast.engine.ids import new_id
from tests.engine_room import parallel

FORM = re.compile(r"ho_[0-9a-hjkmnp-tv-z]{26}")


def test_an_id_is_a_prefix_and_26_characters_that_sort_by_age() -> None:
    first = new_id("ho")
    began = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == began:
        pass
    second = new_id("ho")
    assert FORM.fullmatch(first)
    assert FORM.fullmatch(second)
    assert first < second


def test_no_id_is_given_out_twice() -> None:
    found = parallel(lambda _: [new_id("ho") for _ in range(500)])
    every = [each for ids in found for each in ids]
    assert len({each[-16:] for each in every}) == len(every)  # the random part alone


def test_a_forked_process_draws_ids_of_its_own() -> None:
    """Its memory is a copy of the parent's, in the middle of what was drawn for many ids."""
    new_id("ho")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        os.write(writing, " ".join(new_id("ho")[-16:] for _ in range(70)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        theirs = set(pipe.read().split())
    assert len(theirs) == 70
    assert not theirs & {new_id("ho")[-16:] for _ in range(70)}
