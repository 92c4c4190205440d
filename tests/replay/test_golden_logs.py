"""Logs of earlier versions must still be read, and give the states they gave then; damaged ones must not."""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest

import handfast
from handfast.app import open_engine
from handfast.core.audit.tree import Frontier, leaf_hash
from handfast.core.domain.errors import IntegrityError
from handfast.core.domain.events import WIRE, from_bytes, to_bytes
from handfast.engine.projections import BY_NAME, fold
from handfast.storage.api import Append, EventRow, NewEvent, WriteSet
from handfast.storage.sql.store import SqlStore
from handfast.testing.store_writes import check_log
from tests.replay import history

LOGS = sorted(history.LOGS.glob("*.jsonl"))


@pytest.fixture(params=LOGS, ids=lambda path: path.stem)
def log(request: pytest.FixtureRequest) -> Path:
    return cast("Path", request.param)


def _rows(entries: list[bytes]) -> list[EventRow]:
    rows = []
    for position, data in enumerate(entries, start=1):
        record = from_bytes(data)
        leaf = leaf_hash(data)
        rows.append(EventRow(position, record.stream, record.version, record.type, data, leaf))
    return rows


def _streams(rows: list[EventRow]) -> dict[str, list[EventRow]]:
    streams: dict[str, list[EventRow]] = defaultdict(list)
    for row in rows:
        streams[row.stream].append(row)
    return streams


def _root(entries: list[bytes]) -> str:
    return Frontier().extend(leaf_hash(entry) for entry in entries)[0].root().hex()


def _reached(log: Path) -> dict[str, object]:
    return cast("dict[str, object]", json.loads(log.with_suffix(".states.json").read_text()))


def test_there_is_a_log_of_this_version() -> None:
    assert handfast.__version__ in [path.stem for path in LOGS]


def test_entries_are_read_and_written_back_unchanged(log: Path) -> None:
    entries = log.read_bytes().splitlines()
    assert _root(entries) == _reached(log)["root"]
    for entry in entries:
        assert to_bytes(from_bytes(entry)) == entry


def test_every_stream_reaches_its_recorded_state(log: Path) -> None:
    reached = _reached(log)
    rows = _rows(log.read_bytes().splitlines())
    assert len(rows) == reached["size"]
    recorded = cast("dict[str, Any]", reached["states"])
    assert set(recorded) == set(_streams(rows))
    for stream, events in _streams(rows).items():
        state = fold(events)
        doc, then = json.loads(state.doc), recorded[stream]
        assert state.version == then["version"]
        # A later version may keep more of the same events; what was kept then must not change.
        kept = cast("dict[str, object]", then["doc"])
        assert {name: doc.get(name) for name in kept} == kept, stream


def test_a_store_takes_it_and_gives_it_back(log: Path, ready_url: str) -> None:
    entries = log.read_bytes().splitlines()
    versions: dict[str, list[EventRow]] = defaultdict(list)
    with closing(SqlStore(ready_url)) as store:
        for row in _rows(entries):
            versions[row.stream].append(row)
            new = (NewEvent(row.type, row.data, row.leaf),)
            state = fold(versions[row.stream])
            store.commit(WriteSet(appends=(Append(row.version - 1, new, state),)))
        assert check_log(store) == len(entries)
        assert [row.data for row in store.scan()] == entries
        assert Frontier.from_bytes(store.frontier()).root().hex() == _reached(log)["root"]


def test_this_version_records_every_type_of_event() -> None:
    entries, reached = history.record()
    assert {json.loads(entry)["type"] for entry in entries} == set(WIRE)
    assert reached["size"] == len(entries)


def _damages(entries: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    for n in range(0, len(entries), 7):
        yield f"{n} missing", entries[:n] + entries[n + 1 :]
        yield f"{n} twice", [*entries[:n], entries[n], *entries[n:]]
        yield f"{n} cut", [*entries[:n], entries[n][:-1], *entries[n + 1 :]]
        yield f"{n} changed", [*entries[:n], _changed(entries[n]), *entries[n + 1 :]]
        if n + 1 < len(entries):
            yield f"{n} swapped", [*entries[:n], entries[n + 1], entries[n], *entries[n + 2 :]]


def _changed(entry: bytes) -> bytes:
    """One digit of a time or a digest, the rest as it was."""
    at = max(entry.rfind(b"0"), entry.rfind(b"1"), entry.rfind(b"2"))
    return entry[:at] + (b"3" if entry[at : at + 1] != b"3" else b"4") + entry[at + 1 :]


def test_no_damage_keeps_the_root(log: Path) -> None:
    """Whatever was done to an entry, the signed root tells."""
    entries = log.read_bytes().splitlines()
    for what, damaged in _damages(entries):
        assert _root(damaged) != _reached(log)["root"], what


def test_a_stream_with_a_hole_or_a_double_is_refused(log: Path) -> None:
    for stream, events in _streams(_rows(log.read_bytes().splitlines())).items():
        for n in range(len(events)):
            with pytest.raises(IntegrityError):
                fold([*events[: n + 1], *events[n:]])
            if n < len(events) - 1:
                with pytest.raises((IntegrityError, ValueError)):
                    fold(events[:n] + events[n + 1 :])
        assert fold(events).stream == stream


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"schema":1', b'"schema":2'),
        (b'"type":"', b'"type":"unknown.'),
        (b'"version":', b'"versions":'),
        (b'"data":{', b'"data":{"from_the_future":1,'),
        (b'"at":"', b'"at":"not a time'),
        (b"{", b"["),
    ],
)
def test_entries_this_version_does_not_know_are_refused(log: Path, old: bytes, new: bytes) -> None:
    for entry in log.read_bytes().splitlines():
        assert old in entry
        with pytest.raises(IntegrityError):
            from_bytes(new.join(entry.rsplit(old, 1)))  # the last one is the envelope's own


def test_a_state_that_was_changed_in_the_database_is_found(tmp_path: Path) -> None:
    """States are only a cache of the log: replaying a stream shows every difference."""
    import sqlite3

    with closing(open_engine(home=tmp_path / "home")) as engine:
        assert engine.audit.replay("installation/1").same
        with closing(sqlite3.connect(tmp_path / "home" / "handfast.db")) as c:
            c.execute(
                "UPDATE state SET doc = CAST(replace(CAST(doc AS TEXT), 'handfast-', 'attacker-') AS BLOB)"
            )
            c.commit()
        replayed = engine.audit.replay("installation/1")
        assert not replayed.same
        assert replayed.why


FOLDS = {
    "agent": (1, "b144212fb2282169"),
    "handoff": (1, "c3a2a7b2e2963963"),
    "installation": (1, "642a10e984d570a6"),
    "person": (1, "3947b07fbf877863"),
    "policy": (1, "84f5eadccb96d930"),
    "run": (2, "62a0f8166dcc142a"),
    "runner": (1, "48c54927a0a802fc"),
    "task": (1, "d77f3746d75739e8"),
    "topic": (1, "1e1b4666ee03b447"),
    "track": (1, "29225e2932c19bbf"),
}


def test_a_changed_fold_has_a_new_number() -> None:
    """The golden logs folded by this version. Where a digest differs, the same events now lead to another
    document: raise `fold` of that kind in `engine/projections.py`, then write both here.
    """
    reached: dict[str, list[str]] = defaultdict(list)
    for log in LOGS:
        for stream, events in sorted(_streams(_rows(log.read_bytes().splitlines())).items()):
            reached[stream.partition("/")[0]].append(sha256(fold(events).doc).hexdigest())
    found = {
        kind: (BY_NAME[kind].fold, sha256(" ".join(docs).encode()).hexdigest()[:16])
        for kind, docs in reached.items()
    }
    assert found == FOLDS
