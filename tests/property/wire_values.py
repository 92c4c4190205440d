"""Hypothesis strategies for domain values, drawn from their type hints."""

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum

from hypothesis import strategies as st

from handfast.core.domain.canonical import MAX_SAFE_INTEGER
from handfast.core.domain.events import WIRE, Recorded

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN_KEYS = st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF), max_size=8)
TIMES = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - hypothesis takes naive bounds
    max_value=datetime(2999, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
INTEGERS = st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN_KEYS, inner, max_size=4),
    max_leaves=12,
)
_SCALARS: dict[object, st.SearchStrategy[object]] = {
    str: TEXT,
    int: INTEGERS,
    bool: st.booleans(),
    datetime: TIMES,
}


def of_type(tp: object) -> st.SearchStrategy[object]:
    """Any value of a type that the codec takes."""
    if isinstance(tp, typing.NewType):
        return of_type(tp.__supertype__)
    if isinstance(tp, type) and is_dataclass(tp):
        return of_class(tp)
    if isinstance(tp, type) and issubclass(tp, Enum):
        return st.sampled_from(list(tp))
    if tp in _SCALARS:
        return _SCALARS[tp]
    return _generic(typing.get_origin(tp), typing.get_args(tp))


def _generic(origin: object, args: tuple[object, ...]) -> st.SearchStrategy[object]:
    if origin in (typing.Union, types.UnionType):
        inner = [a for a in args if a is not type(None)]
        return st.none() | (of_type(inner[0]) if len(inner) == 1 else VALUES)
    if origin is tuple:
        return st.lists(of_type(args[0]), max_size=3).map(tuple)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return st.dictionaries(PLAIN_KEYS, of_type(args[1]), max_size=3)
    raise TypeError(f"no strategy for {origin} of {args}")


def of_class(cls: type) -> st.SearchStrategy[object]:
    """Any instance of a frozen dataclass, defaults and all."""
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{f.name: of_type(hints[f.name]) for f in fields(cls)})


def records() -> st.SearchStrategy[Recorded]:
    """Any event of the union in any envelope."""
    hints = typing.get_type_hints(Recorded)
    parts = {f.name: of_type(hints[f.name]) for f in fields(Recorded) if f.name != "event"}
    return st.builds(Recorded, event=st.one_of([of_class(c) for c in WIRE.values()]), **parts)
