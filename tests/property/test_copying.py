"""The copies of states are those that `dataclasses.replace` makes."""

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handfast.core.domain.copying import replace
from handfast.core.domain.events_work import Mode
from handfast.core.domain.ids import AgentId, RunId
from handfast.core.domain.run import Counts, Run, RunStatus

RUN = Run(RunId("r"), AgentId("a"), "h", Mode.ENFORCE, RunStatus.QUEUED, datetime.now(UTC))


@dataclasses.dataclass(frozen=True, slots=True)
class One:
    only: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByName:
    name: str


@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "run_id": st.text(max_size=3),
            "turns": st.integers(),
            "counts": st.builds(Counts, steps=st.integers()),
            "requested_by": st.text(max_size=3),
            "exit_code": st.none() | st.integers(),
        },
    )
)
def test_a_copy_is_the_standard_one(changes: dict[str, object]) -> None:
    made = replace(RUN, **changes)  # type: ignore[arg-type]
    assert made == dataclasses.replace(RUN, **changes)  # type: ignore[arg-type]
    assert made is not RUN
    assert replace(One(1), only=2) == One(2)


def test_a_field_that_is_not_there_is_refused() -> None:
    with pytest.raises(TypeError, match="no field `colour`"):
        replace(RUN, colour="red")  # type: ignore[call-arg]


def test_a_class_that_is_not_made_from_its_fields_in_order_is_refused() -> None:
    with pytest.raises(TypeError, match="in their order"):
        replace(ByName(name="x"), name="y")
