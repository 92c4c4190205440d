"""Every event and every state goes to bytes and comes back; what does not fit is refused."""

import json
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handfast.core.audit.bundle_format import MAX_ENTRY_BYTES
from handfast.core.domain.action import Call, Facts, Judgement
from handfast.core.domain.agent import Agent
from handfast.core.domain.brief import Brief
from handfast.core.domain.canonical import canonical_json
from handfast.core.domain.codec import decode, encode, format_time, parse_time
from handfast.core.domain.errors import IntegrityError, UsageError
from handfast.core.domain.events import MAX_EVENT_BYTES, NAMES, WIRE, Recorded, from_bytes, to_bytes
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.installation import Installation
from handfast.core.domain.package import Package
from handfast.core.domain.person import Person
from handfast.core.domain.run import Run
from handfast.core.domain.task import Task
from tests.property.wire_values import TIMES, VALUES, of_class, records

STATES = [Agent, Brief, Facts, Handoff, Installation, Judgement, Package, Person, Run, Task]
slow_to_draw = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@slow_to_draw
@given(records())
def test_every_record_comes_back_from_its_bytes(record: Recorded) -> None:
    data = to_bytes(record)
    assert from_bytes(data) == record
    assert to_bytes(from_bytes(data)) == data
    assert data == canonical_json(json.loads(data))


@pytest.mark.parametrize("name", sorted(WIRE))
def test_every_type_of_event_has_one_name(name: str) -> None:
    assert NAMES[WIRE[name]] == name
    assert len(NAMES) == len(WIRE)

    @settings(max_examples=10, suppress_health_check=list(HealthCheck))
    @given(of_class(WIRE[name]))
    def comes_back(event: object) -> None:
        assert decode(WIRE[name], json.loads(canonical_json(encode(event)))) == event

    comes_back()


@pytest.mark.parametrize("cls", STATES)
def test_every_state_comes_back(cls: type) -> None:
    @settings(max_examples=20, suppress_health_check=list(HealthCheck))
    @given(of_class(cls))
    def comes_back(state: object) -> None:
        assert decode(cls, json.loads(canonical_json(encode(state)))) == state

    comes_back()


@given(st.dictionaries(st.sampled_from(["command", "file_path"]), VALUES))
def test_a_call_comes_back_with_its_digest(arguments: dict[str, object]) -> None:
    call = Call("Bash", cast("dict[str, str]", arguments))
    again = decode(Call, json.loads(canonical_json(call.canonical())))
    assert again == call
    assert again.digest == call.digest


@slow_to_draw
@given(records(), st.data())
def test_damaged_records_are_refused(record: Recorded, data: st.DataObject) -> None:
    """A missing or unknown part, or a value of another type, is never read as something else."""
    envelope = cast("dict[str, object]", json.loads(to_bytes(record)))
    inner = cast("dict[str, object]", envelope["data"])
    part = data.draw(
        st.sampled_from([envelope, inner, cast("dict[str, object]", envelope["actor"])])
    )
    if data.draw(st.booleans()) and part:
        name = data.draw(st.sampled_from(sorted(part)))
        part[name] = data.draw(st.sampled_from([1.5, {"x": 1}, [[]], [None]]))
    else:
        part["no_such_field"] = "x"
    with pytest.raises(IntegrityError):
        from_bytes(json.dumps(envelope).encode())


@pytest.mark.parametrize(
    "missing", ["id", "type", "schema", "stream", "version", "at", "actor", "data"]
)
def test_a_record_without_a_part_is_refused(missing: str) -> None:
    envelope = json.loads(GOOD)
    del envelope[missing]
    with pytest.raises(IntegrityError):
        from_bytes(json.dumps(envelope).encode())


GOOD = json.dumps(
    {
        "id": "ev_1",
        "type": "task.closed",
        "schema": 1,
        "stream": "task/1",
        "version": 1,
        "at": "2026-01-01T00:00:00.000000Z",
        "actor": {"type": "system"},
        "data": {"task_id": "task_1", "outcome": "merged"},
    }
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"schema": 1', '"schema": 2'),
        ('"schema": 1', '"schema": 0'),
        ('"schema": 1', '"schema": "1"'),
        ("task.closed", "task.vanished"),
        ('"version": 1', '"version": "1"'),
        ('"version": 1', '"version": true'),
        ('"id": "ev_1"', '"id": 1'),
        ("000000Z", "000000"),
        ("2026-01-01", "2026-13-01"),
        ('"merged"', '"lost"'),
        ('"task_1"', "1"),
        ("}", ""),
    ],
)
def test_a_changed_record_is_refused(old: str, new: str) -> None:
    assert from_bytes(GOOD.encode()).version == 1
    assert old in GOOD
    with pytest.raises(IntegrityError):
        from_bytes(GOOD.replace(old, new, 1).encode())


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b'"x"', b"{}", b"\xff", b"{" * 10_000])
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        from_bytes(data)


def test_a_record_a_verifier_would_refuse_is_not_written() -> None:
    assert MAX_EVENT_BYTES == MAX_ENTRY_BYTES
    record = from_bytes(GOOD.encode())
    room = MAX_EVENT_BYTES - len(to_bytes(record))
    fits = Recorded(**{**_fields(record), "stream": record.stream + "x" * room})  # type: ignore[arg-type]
    assert len(to_bytes(fits)) == MAX_EVENT_BYTES
    with pytest.raises(UsageError, match="65537 bytes"):
        to_bytes(Recorded(**{**_fields(fits), "stream": fits.stream + "x"}))  # type: ignore[arg-type]


def _fields(record: Recorded) -> dict[str, object]:
    return {name: getattr(record, name) for name in Recorded.__slots__}


@given(TIMES)
def test_times_come_back(at: object) -> None:
    from datetime import datetime

    assert isinstance(at, datetime)
    text = format_time(at)
    assert parse_time(text) == at
    assert len(text) == 27
    assert text.endswith("Z")


def test_a_time_without_a_zone_is_refused() -> None:
    from datetime import datetime

    with pytest.raises(UsageError):
        format_time(datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused
