"""Domain values to JSON and back, driven by their type hints.

One encoder and one decoder are compiled per class and kept. Supported: str, int, bool, None,
StrEnum, NewType over str, aware datetimes (RFC 3339, UTC, microseconds), tuples of one type,
mappings with string keys, frozen dataclasses, and unions of one of these with None.
A field that is missing takes its default; an unknown field is refused, so that an old program
never drops what a newer one wrote.
"""

import types
import typing
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import TypeAlias, TypeVar, cast

from handfast.core.domain.errors import IntegrityError, UsageError

Encode: TypeAlias = Callable[[object], object]
Decode: TypeAlias = Callable[[object], object]
T = TypeVar("T")


def encode(value: object) -> dict[str, object]:
    """A dataclass instance as a JSON object. Fields equal to their default are left out."""
    return cast("dict[str, object]", _encoder(cast("Hashable", type(value)))(value))


def decode(cls: type[T], data: Mapping[str, object]) -> T:
    """The inverse of `encode`. Raises IntegrityError when `data` does not fit `cls`."""
    return cast("T", _decoder(cast("Hashable", cls))(data))


def format_time(at: datetime) -> str:
    """RFC 3339 in UTC with six digits of a second. Raises UsageError for a naive time."""
    if at.tzinfo is None:
        raise UsageError("a time has no time zone", hint="Pass an aware time in UTC.")
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return at.isoformat(timespec="microseconds")[:-6] + "Z"


def parse_time(text: str) -> datetime:
    """The inverse of `format_time`. Raises ValueError for a time without a zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"a time without a zone: {text}")
    return at


def _identity(value: object) -> object:
    return value


def _exactly(kind: type) -> Decode:
    """Takes only values JSON decodes to this very type: `true` is no integer, `1` is no text."""

    def check(value: object) -> object:
        if type(value) is not kind:
            raise TypeError(f"{kind.__name__} expected, {type(value).__name__} found")
        return value

    return check


_SCALARS: dict[object, Decode] = {kind: _exactly(kind) for kind in (str, int, bool)}
_list = _exactly(list)
_object = _exactly(dict)


@cache
def _encoder(tp: object) -> Encode:
    tp = _plain(tp)
    if isinstance(tp, type) and is_dataclass(tp):
        return _dataclass_encoder(tp)
    origin, args = typing.get_origin(tp), typing.get_args(tp)
    if origin in (typing.Union, types.UnionType):
        inner = _encoder(_some(args))
        return inner if inner is _identity else lambda v: None if v is None else inner(v)
    if origin is tuple:
        item = _encoder(args[0])
        return lambda v: [item(x) for x in cast("tuple[object, ...]", v)]
    if origin is not None and issubclass(origin, Mapping):
        item = _encoder(args[1])
        return lambda v: {k: item(x) for k, x in cast("Mapping[str, object]", v).items()}
    if isinstance(tp, type) and issubclass(tp, Enum):
        return lambda v: cast("Enum", v).value
    if tp is datetime:
        return lambda v: format_time(cast("datetime", v))
    return _identity


def _dataclass_encoder(cls: type) -> Encode:
    hints = _hints(cls)
    plan = [
        (
            f.name,
            _encoder(hints[f.name]),
            f.default if f.default_factory is MISSING else f.default_factory(),
        )
        for f in fields(cls)
    ]

    def run(value: object) -> object:
        out: dict[str, object] = {}
        for name, enc, default in plan:
            item = getattr(value, name)
            if item is not default and item != default:
                out[name] = item if enc is _identity else enc(item)
        return out

    return run


@cache
def _decoder(tp: object) -> Decode:
    tp = _plain(tp)
    if isinstance(tp, type) and is_dataclass(tp):
        return _dataclass_decoder(tp)
    origin, args = typing.get_origin(tp), typing.get_args(tp)
    if origin in (typing.Union, types.UnionType):
        inner = _decoder(_some(args))
        return inner if inner is _identity else lambda v: None if v is None else inner(v)
    if origin is tuple:
        item = _decoder(args[0])
        return lambda v: tuple([item(x) for x in cast("list[object]", _list(v))])
    if origin is not None and issubclass(origin, Mapping):
        item = _decoder(args[1])
        return lambda v: {k: item(x) for k, x in cast("dict[str, object]", _object(v)).items()}
    if isinstance(tp, type) and issubclass(tp, Enum):
        members = {m.value: m for m in tp}
        return lambda v: members[cast("str", v)]
    if tp is datetime:
        return lambda v: parse_time(cast("str", v))
    return _SCALARS.get(tp, _identity)


def _dataclass_decoder(cls: type) -> Decode:
    hints = _hints(cls)
    plan = {f.name: _decoder(hints[f.name]) for f in fields(cls)}

    def run(data: object) -> object:
        try:
            items = cast("Mapping[str, object]", data).items()
            return cls(**{k: v if (d := plan[k]) is _identity else d(v) for k, v in items})
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise IntegrityError(
                f"stored data does not fit `{cls.__name__}`: {type(e).__name__}: {e}",
                hint="It was written by another version of Handfast, or was changed.",
            ) from None

    return run


def _hints(cls: type) -> dict[str, object]:
    """Type hints of the fields; the names within the recursive alias JSON are those of its module."""
    return typing.get_type_hints(cls, localns={"JSON": object, "Sequence": Sequence})


def _plain(tp: object) -> object:
    """The type behind a NewType or a type alias."""
    while True:
        if hasattr(tp, "__supertype__"):
            tp = tp.__supertype__
        elif hasattr(tp, "__value__"):
            tp = tp.__value__
        else:
            return tp


def _some(args: tuple[object, ...]) -> object:
    rest = [a for a in args if a is not type(None)]
    return rest[0] if len(rest) == 1 else object
