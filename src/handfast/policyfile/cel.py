"""CEL as the language of conditions: Google's binding `cel-expr-python`, typed by the Subject dataclasses.

Conditions are checked against protobuf types made from the dataclasses, so that a mistyped field or a
comparison of different types is an error when the policy is loaded. They are asked of plain maps of the
same shape, whose values are checked against the same types: making a message for every question costs
more than all conditions together. For the same reason all conditions are asked in one expression, a list;
only when that list is not clean is each asked alone, to find which of them failed.
"""

import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_math, ext_optional, ext_strings
from google.protobuf import descriptor_pb2, descriptor_pool, timestamp_pb2

from handfast.core.policy.subject import Subject
from handfast.policyfile.conditions import Fault

_PACKAGE = "handfast"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS: Mapping[object, Any] = {
    str: _Field.TYPE_STRING,
    int: _Field.TYPE_INT64,
    float: _Field.TYPE_DOUBLE,
    bool: _Field.TYPE_BOOL,
}
_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.+)")
# A list of this many conditions stays far below the library's limits on one expression.
_BATCH = 64
_MAX_COMPILED = 20_000
_WORD = re.compile(r"\w+")


class CelLanguage:
    """One environment for the process; see `language()`."""

    def __init__(self) -> None:
        hints = typing.get_type_hints(Subject)
        self._typed = _environment(
            {name: _kind(hint) for name, hint in hints.items()}, _Types(hints.values()).pool
        )
        self._plain = _environment(dict.fromkeys(hints, cel.Type.DYN))
        self._compiled: dict[str, Any] = {}
        self._kinds = hints

    def check(self, text: str) -> Fault | None:
        try:
            compiled = self._typed.compile(text)
        except RuntimeError as e:
            return _fault(str(e))
        kind = compiled.return_type().name()
        if kind != "BOOL":
            return Fault(f"a condition must be true or false; this gives {kind.lower()}")
        return None

    def constant(self, text: str) -> bool | None:
        value = self._typed.compile(text).eval(self._typed.Activation({}))
        found = value.value() if value.type().name() == "BOOL" else None
        return found if isinstance(found, bool) else None

    def compile(self, texts: Sequence[str]) -> "CelConditions":
        compiled = [self._one(text) for text in texts]
        return CelConditions(self._plain, self._kinds, tuple(texts), compiled)

    def _one(self, text: str) -> Any:
        """Compiled once for the process: a condition stands in many groups of one policy."""
        if text not in self._compiled:
            if fault := self.check(text):
                raise ValueError(fault.message)
            if len(self._compiled) >= _MAX_COMPILED:
                self._compiled.clear()
            self._compiled[text] = self._plain.compile(text)
        return self._compiled[text]


def _environment(variables: Mapping[str, Any], pool: Any = None) -> Any:
    extensions = [ext_optional.ExtOptional(), ext_strings.ExtStrings(), ext_math.ExtMath()]
    return cel.NewEnv(descriptor_pool=pool, variables=variables, extensions=extensions)


@cache
def language() -> CelLanguage:
    """The process's CEL environment, built on first use (some 10 ms)."""
    return CelLanguage()


class CelConditions:
    def __init__(
        self, env: Any, kinds: Mapping[str, type], texts: tuple[str, ...], single: list[Any]
    ) -> None:
        self._env = env
        self._single = single
        self._batches = [
            (i, env.compile("[" + ", ".join(f"({t})" for t in texts[i : i + _BATCH]) + "]"))
            for i in range(0, len(texts), _BATCH)
        ]
        # What no condition names need not be made.
        words = frozenset(_WORD.findall(" ".join(texts)))
        self._asked = [(name, _Part(kind, words)) for name, kind in kinds.items() if name in words]

    def ask(self, subject: Subject) -> dict[int, str]:
        try:
            seen = {name: part.read(getattr(subject, name)) for name, part in self._asked}
            activation = self._env.Activation(seen)
        except (TypeError, ValueError, AttributeError, RuntimeError) as e:
            problem = f"the facts have a wrong shape: {type(e).__name__}: {e}"[:300]
            return dict.fromkeys(range(len(self._single)), problem)
        held: dict[int, str] = {}
        for start, batch in self._batches:
            self._batch(start, batch, activation, held)
        return held

    def _batch(self, start: int, batch: Any, activation: Any, held: dict[int, str]) -> None:
        found = batch.eval(activation).plain_value()
        size = min(_BATCH, len(self._single) - start)
        if type(found) is list and len(found) == size and set(map(type, found)) == {bool}:
            if True in found:
                held.update((start + i, "") for i, value in enumerate(found) if value)
            return
        for i in range(start, start + size):
            # An error is a value in this library, and as a value it is truthy: only `True` is true.
            value = self._single[i].eval(activation).value()
            if value is not False:
                held[i] = "" if value is True else str(value)[:300] or "no answer"


def _fault(said: str) -> Fault:
    found = _ERROR.search(said)
    if found is None:
        return Fault(said.splitlines()[0][:300] if said else "it cannot be read")
    line, column, message = (
        int(found[1]),
        int(found[2]),
        found[3].replace(" [INVALID_ARGUMENT]", ""),
    )
    message = re.sub(rf"'{_PACKAGE}\.(\w+)'", r"`\1`", message).replace(" (in container '')", "")
    return Fault(message, max(line - 1, 0), column - 1 if column > 0 else -1)


def _kind(hint: object) -> Any:
    return cel.Type(f"{_PACKAGE}.{typing.cast('type', hint).__name__}")


class _Types:
    """Protobuf types made from dataclasses. Only conditions are checked against them."""

    def __init__(self, kinds: Iterable[type]) -> None:
        self._file = descriptor_pb2.FileDescriptorProto(
            name="handfast_subject.proto", package=_PACKAGE, syntax="proto3"
        )
        self._file.dependency.append("google/protobuf/timestamp.proto")
        self._described: set[type] = set()
        for kind in kinds:
            self._describe(kind)
        self.pool = descriptor_pool.DescriptorPool()
        timestamp = descriptor_pb2.FileDescriptorProto()
        timestamp_pb2.DESCRIPTOR.CopyToProto(timestamp)
        self.pool.Add(timestamp)
        self.pool.Add(self._file)

    def _describe(self, kind: type) -> None:
        if kind in self._described:
            return
        self._described.add(kind)
        message = self._file.message_type.add()
        message.name = kind.__name__
        for number, (name, hint) in enumerate(typing.get_type_hints(kind).items(), 1):
            described = message.field.add()
            described.name, described.number, described.label = name, number, _Field.LABEL_OPTIONAL
            inner, optional = _without_none(hint)
            if typing.get_origin(inner) is Mapping:
                described.label, described.type = _Field.LABEL_REPEATED, _Field.TYPE_MESSAGE
                described.type_name = _text_map(message, name)
                continue
            if typing.get_origin(inner) is tuple:
                described.label, inner = _Field.LABEL_REPEATED, typing.get_args(inner)[0]
            if inner is datetime:
                described.type = _Field.TYPE_MESSAGE
                described.type_name = ".google.protobuf.Timestamp"
            elif is_dataclass(inner):
                described.type = _Field.TYPE_MESSAGE
                described.type_name = f".{_PACKAGE}.{typing.cast('type', inner).__name__}"
                self._describe(typing.cast("type", inner))
            else:
                described.type = _SCALARS[inner]
                if optional:
                    described.proto3_optional = True
                    message.oneof_decl.add().name = f"_{name}"
                    described.oneof_index = len(message.oneof_decl) - 1


class _Part:
    """How the fields of a dataclass that `words` name become the map that conditions are asked of. The type
    of every value is checked."""

    def __init__(self, kind: type, words: frozenset[str]) -> None:
        scalars: dict[str, type] = {}
        self._others: list[tuple[str, bool, Callable[[Any], object]]] = []
        for name, hint in typing.get_type_hints(kind).items():
            if name not in words:
                continue
            inner, optional = _without_none(hint)
            if inner in _SCALARS and not optional:
                scalars[name] = typing.cast("type", inner)
            else:
                self._others.append((name, optional, _reader(inner, words)))
        self._names, self._expected = tuple(scalars), tuple(scalars.values())
        # With fewer than two names it would give a bare value: two more keep it a tuple.
        self._get = attrgetter(*self._names, "__class__", "__class__")

    def read(self, value: object) -> dict[str, object]:
        """Raises TypeError for a value of another type than declared."""
        values = self._get(value)[:-2]
        if tuple(map(type, values)) != self._expected:
            raise TypeError(f"one of {', '.join(self._names)} has another type")
        found: dict[str, object] = dict(zip(self._names, values, strict=True))
        for name, optional, read in self._others:
            item = getattr(value, name)
            if item is not None or not optional:
                found[name] = read(item)
        return found


def _reader(hint: object, words: frozenset[str]) -> Callable[[Any], object]:
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        if is_dataclass(item):
            part = _Part(typing.cast("type", item), words)
            return lambda value: [part.read(each) for each in value]
        return _texts
    if typing.get_origin(hint) is Mapping:
        return _text_pairs
    if hint is datetime:
        return _moment
    return lambda value: _exactly(typing.cast("type", hint), value)


def _moment(value: datetime) -> object:
    """The library takes a time within a map only as a message."""
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(value.astimezone(UTC).replace(tzinfo=None))
    return message


def _texts(value: tuple[str, ...]) -> list[str]:
    if value and set(map(type, value)) != {str}:
        raise TypeError("a list holds something that is no text")
    return list(value)


def _text_pairs(value: Mapping[str, str]) -> dict[str, str]:
    _texts((*value, *value.values()))
    return dict(value)


def _exactly(kind: type, value: object) -> object:
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} where {kind.__name__} is declared")
    return value


def _text_map(message: Any, name: str) -> str:
    """A map from text to text within a message: protobuf writes it as a list of entries."""
    entry = message.nested_type.add()
    entry.name = f"{name.title()}Entry"
    entry.options.map_entry = True
    for number, part in enumerate(("key", "value"), 1):
        entry.field.add(
            name=part, number=number, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL
        )
    return f".{_PACKAGE}.{message.name}.{entry.name}"


def _without_none(hint: object) -> tuple[object, bool]:
    args = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType) and type(None) in args:
        return next(a for a in args if a is not type(None)), True
    return hint, False
