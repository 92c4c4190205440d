"""CEL as the language of conditions: Google's binding `cel-expr-python`, typed by the Subject dataclasses.

The dataclasses become protobuf messages, so that a mistyped field or a comparison of different types is
an error when the policy is loaded. All conditions are asked in one expression, a list, because each call
into the library costs more than evaluating a condition; only when that list is not clean is each asked
alone, to find which of them failed.
"""

import re
import threading
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_math, ext_optional, ext_strings
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

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


class CelLanguage:
    """One environment for the process; see `language()`."""

    def __init__(self) -> None:
        self._types = _Types(Subject)
        variables = {
            f.name: _kind(hint)
            for f, hint in zip(fields(Subject), self._types.hints(), strict=True)
        }
        self._env = cel.NewEnv(
            descriptor_pool=self._types.pool,
            variables=variables,
            extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings(), ext_math.ExtMath()],
        )
        self._lock = threading.Lock()

    def check(self, text: str) -> Fault | None:
        try:
            compiled = self._env.compile(text)
        except RuntimeError as e:
            return _fault(str(e))
        kind = compiled.return_type().name()
        if kind != "BOOL":
            return Fault(f"a condition must be true or false; this gives {kind.lower()}")
        return None

    def constant(self, text: str) -> bool | None:
        value = self._env.compile(text).eval(self._env.Activation({}))
        found = value.value() if value.type().name() == "BOOL" else None
        return found if isinstance(found, bool) else None

    def compile(self, texts: Sequence[str]) -> "CelConditions":
        for text in texts:
            if fault := self.check(text):
                raise ValueError(fault.message)
        return CelConditions(self._env, self._types, tuple(texts))


@cache
def language() -> CelLanguage:
    """The process's CEL environment, built on first use (some 10 ms)."""
    return CelLanguage()


class CelConditions:
    def __init__(self, env: Any, built: "_Types", texts: tuple[str, ...]) -> None:
        self._env, self._types = env, built
        self._single = [env.compile(text) for text in texts]
        self._batches = [
            (i, env.compile("[" + ", ".join(f"({t})" for t in texts[i : i + _BATCH]) + "]"))
            for i in range(0, len(texts), _BATCH)
        ]
        # A part of the subject that no condition names need not be made.
        self._asked = [name for name in built.names if any(name in text for text in texts)]

    def ask(self, subject: Subject) -> dict[int, str]:
        try:
            activation = self._env.Activation(self._types.messages(subject, self._asked))
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


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one dataclass becomes its message: the class, and each field with the plan of what it holds."""

    message: Any
    fields: tuple[
        tuple[str, "_Plan | None", str], ...
    ]  # name, plan of a message in it, how it is set


class _Types:
    """Protobuf messages made from a tree of dataclasses, and values of the one turned into the other."""

    def __init__(self, root: type) -> None:
        self._root = root
        self._file = descriptor_pb2.FileDescriptorProto(
            name="handfast_subject.proto", package=_PACKAGE, syntax="proto3"
        )
        self._file.dependency.append("google/protobuf/timestamp.proto")
        self._described: set[type] = set()
        for hint in self.hints():
            self._describe(hint)
        self.pool = descriptor_pool.DescriptorPool()
        timestamp = descriptor_pb2.FileDescriptorProto()
        _timestamp_file().CopyToProto(timestamp)
        self.pool.Add(timestamp)
        self.pool.Add(self._file)
        self._plans = {
            f.name: self._plan(h) for f, h in zip(fields(root), self.hints(), strict=True)
        }

    def hints(self) -> list[type]:
        return list(typing.get_type_hints(self._root).values())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._plans)

    def messages(self, subject: Subject, names: Sequence[str]) -> dict[str, Any]:
        """Raises TypeError or ValueError for a value of another type than declared."""
        plans = self._plans
        return {name: _message(plans[name], getattr(subject, name)) for name in names}

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

    def _plan(self, kind: type) -> _Plan:
        found = self.pool.FindMessageTypeByName(f"{_PACKAGE}.{kind.__name__}")
        parts = []
        for name, hint in typing.get_type_hints(kind).items():
            inner, optional = _without_none(hint)
            repeated = typing.get_origin(inner) is tuple
            item = typing.get_args(inner)[0] if repeated else inner
            nested = self._plan(typing.cast("type", item)) if is_dataclass(item) else None
            how = "time" if item is datetime else "many" if repeated else "one"
            parts.append((name, nested, "optional" if optional else how))
        return _Plan(message_factory.GetMessageClass(found), tuple(parts))


def _message(plan: _Plan, value: object) -> Any:
    """Unset is the same as empty, but for an optional field: there None is unset."""
    given: dict[str, Any] = {}
    for name, nested, how in plan.fields:
        item = getattr(value, name)
        if not item and (item is None or (how != "optional" and type(item) in _EMPTY)):
            continue
        if how == "time":
            item = item.astimezone(UTC)
        elif nested is not None:
            item = [_message(nested, i) for i in item] if how == "many" else _message(nested, item)
        given[name] = item
    return plan.message(**given)


# What may be left out when it is empty. A value of any other type goes in, and is refused there.
_EMPTY = frozenset({str, int, float, bool, tuple, dict})


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


def _timestamp_file() -> Any:
    from google.protobuf import timestamp_pb2  # noqa: PLC0415 - registered where it is needed

    return timestamp_pb2.DESCRIPTOR
