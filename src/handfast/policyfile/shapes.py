"""How the parts of a Subject are read for conditions: checked against their declared types, then as the maps
that the library is asked of."""

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, is_dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, TypeAlias

from google.protobuf import timestamp_pb2

from handfast.core.policy.subject import Subject

SCALARS = (str, int, float, bool)
# More elements in lists than this are left to the library, which counts its steps.
MAX_ITEMS = 500
_MAX_INTEGER = 2**63 - 1


@dataclass(slots=True)
class _Seen:
    """What one check came upon. `odd` is what only the library can tell what to do with."""

    texts: list[str] = field(default_factory=list)
    items: int = 0
    odd: bool = False


class Shapes:
    """The parts and fields of a Subject that are named in some conditions. What none names is not read."""

    def __init__(self, words: frozenset[str]) -> None:
        hints = typing.get_type_hints(Subject).items()
        self._parts = [(name, _Shape(kind, words)) for name, kind in hints if name in words]

    def check(self, subject: Subject) -> bool:
        """Whether the facts are so plain that Python and the library see the same in them.

        Raises TypeError or AttributeError for a value of another type than declared, ValueError for a
        text that the library would not see whole: it ends at a NUL, and half a surrogate pair is none.
        """
        seen = _Seen()
        for name, shape in self._parts:
            shape.check(getattr(subject, name), seen)
        text = "".join(seen.texts)
        if not text.isascii():
            text.encode()
        if "\0" in text:
            raise ValueError("a text holds a NUL character")
        return not seen.odd and seen.items <= MAX_ITEMS

    def maps(self, subject: Subject) -> dict[str, dict[str, object]]:
        """Of a subject that was checked."""
        return {name: shape.map(getattr(subject, name)) for name, shape in self._parts}


class _Shape:
    """The fields of one dataclass that `words` name."""

    def __init__(self, kind: type, words: frozenset[str]) -> None:
        scalars: list[tuple[str, type]] = []
        self._others: list[tuple[str, bool, _Reader]] = []
        for name, hint in typing.get_type_hints(kind).items():
            inner, optional = without_none(hint)
            if name in words and inner in SCALARS and not optional:
                scalars.append((name, typing.cast("type", inner)))
            elif name in words:
                self._others.append((name, optional, _reader(inner, words)))
        scalars.sort(key=lambda s: SCALARS.index(s[1]))
        self._names = tuple(name for name, _ in scalars)
        self._expected = tuple(kind for _, kind in scalars)
        self._texts = self._expected.count(str)
        integers = self._expected.count(int)
        self._integers = slice(self._texts, self._texts + integers) if integers else None
        self._checks = [(attrgetter(name), o, reader.check) for name, o, reader in self._others]
        self._only_texts = not self._others and self._texts == len(self._names)
        self._columns = [(name, attrgetter(name)) for name in self._names]
        # With fewer than two names it would give a bare value: two more keep it a tuple.
        self._get = attrgetter(*self._names, "__class__", "__class__")

    def check(self, value: object, seen: _Seen) -> None:
        values = self._get(value)[:-2]
        if tuple(map(type, values)) != self._expected:
            raise TypeError(f"one of {', '.join(self._names)} has another type")
        if self._texts:
            seen.texts += values[: self._texts]
        for number in values[self._integers] if self._integers else ():
            if not -_MAX_INTEGER <= number <= _MAX_INTEGER:
                seen.odd = True
        for get, optional, check in self._checks:
            item = get(value)
            if item is not None or not optional:
                check(item, seen)

    def check_each(self, values: tuple[object, ...], seen: _Seen) -> None:
        """The same for a list of them: where only texts are read, field by field at once."""
        seen.items += len(values)
        if not self._only_texts:
            for value in values:
                self.check(value, seen)
            return
        for name, get in self._columns:
            texts = list(map(get, values))
            if texts and set(map(type, texts)) != {str}:
                raise TypeError(f"one of {name} has another type")
            seen.texts += texts

    def map(self, value: object) -> dict[str, object]:
        found: dict[str, object] = dict(zip(self._names, self._get(value), strict=False))
        for name, _, reader in self._others:
            item = getattr(value, name)
            if item is not None:
                found[name] = reader.map(item)
        return found


_Check: TypeAlias = Callable[[Any, _Seen], None]


@dataclass(frozen=True, slots=True)
class _Reader:
    check: _Check
    map: Callable[[Any], object]


def _reader(hint: object, words: frozenset[str]) -> _Reader:
    if typing.get_origin(hint) is Mapping:
        return _Reader(_text_pairs, dict)
    if typing.get_origin(hint) is not tuple:
        kind = typing.cast("type", hint)
        return _Reader(_exactly(kind), _moment if kind is datetime else lambda value: value)
    item = typing.get_args(hint)[0]
    if not is_dataclass(item):
        return _Reader(_texts, list)
    shape = _Shape(typing.cast("type", item), words)
    return _Reader(shape.check_each, lambda value: [shape.map(item) for item in value])


def _texts(value: tuple[str, ...], seen: _Seen) -> None:
    if value and set(map(type, value)) != {str}:
        raise TypeError("a list holds something that is no text")
    seen.items += len(value)
    seen.texts += value


def _text_pairs(value: Mapping[str, str], seen: _Seen) -> None:
    _texts((*value, *value.values()), seen)


def _exactly(kind: type) -> _Check:
    def check(value: object, _: _Seen) -> None:
        if type(value) is not kind:
            raise TypeError(f"{type(value).__name__} where {kind.__name__} is declared")

    return check


def _moment(value: datetime) -> object:
    """The library takes a time within a map only as a message."""
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(value.astimezone(UTC).replace(tzinfo=None))
    return message


def without_none(hint: object) -> tuple[object, bool]:
    """The type of a field, and whether it may be None too."""
    args = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType) and type(None) in args:
        return next(a for a in args if a is not type(None)), True
    return hint, False
