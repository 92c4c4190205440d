"""CEL as the language of conditions: Google's binding `cel-expr-python`, typed by the Subject dataclasses.

Conditions are checked against protobuf types made from the dataclasses, so that a mistyped field or a
comparison of different types is an error when the policy is loaded. They are asked of plain maps of the
same shape, whose values are checked against the same types: making a message for every question costs
more than all conditions together. Conditions of plain forms are answered without the library
(`plain.py`). Where many are left, all are asked in one expression, a list; only when that list is not
clean is each asked alone, to find which of them failed.
"""

import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import datetime
from functools import cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_math, ext_optional, ext_strings
from google.protobuf import descriptor_pb2, descriptor_pool, timestamp_pb2

from handfast.core.policy.subject import Subject
from handfast.policyfile.conditions import Fault
from handfast.policyfile.plain import answer
from handfast.policyfile.shapes import Shapes, without_none

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
# How facts that do not fit show themselves, here and in the library.
_MISFITS = (TypeError, ValueError, AttributeError, OverflowError, RuntimeError)
# When more than one in so many is left to ask, asking all in their list costs less than each alone.
_FEW = 4
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
        return CelConditions(self._plain, tuple(texts), compiled)

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
    """Conditions asked together: those of plain forms here, the others of the library."""

    def __init__(self, env: Any, texts: tuple[str, ...], single: list[Any]) -> None:
        self._env = env
        self._single = single
        self._batches = [
            (i, env.compile("[" + ", ".join(f"({t})" for t in texts[i : i + _BATCH]) + "]"))
            for i in range(0, len(texts), _BATCH)
        ]
        self._answers = [answer(text) for text in texts]
        # What no condition names need not be read.
        self._shapes = Shapes(frozenset(_WORD.findall(" ".join(texts))))

    def ask(self, subject: Subject) -> dict[int, str]:
        try:
            if not self._shapes.check(subject):
                return self._of_library(subject)
            told = [answer(subject) for answer in self._answers]
            untold = told.count(None)
            if not untold:
                return {i: "" for i, value in enumerate(told) if value}
            few = untold <= max(_FEW, len(told) // _FEW)
            return self._completed(told, subject) if few else self._of_library(subject)
        except _MISFITS as e:
            return self._misshapen(e)

    def ask_library(self, subject: Subject) -> dict[int, str]:
        """The same as `ask`, with none of them answered here."""
        try:
            self._shapes.check(subject)
            return self._of_library(subject)
        except _MISFITS as e:
            return self._misshapen(e)

    def _completed(self, told: list[bool | None], subject: Subject) -> dict[int, str]:
        """The library asked about what is not told."""
        activation = self._env.Activation(self._shapes.maps(subject))
        held: dict[int, str] = {}
        for i, value in enumerate(told):
            if value:
                held[i] = ""
            elif value is None:
                self._one(i, activation, held)
        return held

    def _of_library(self, subject: Subject) -> dict[int, str]:
        activation = self._env.Activation(self._shapes.maps(subject))
        held: dict[int, str] = {}
        for start, batch in self._batches:
            self._batch(start, batch, activation, held)
        return held

    def _misshapen(self, e: Exception) -> dict[int, str]:
        problem = f"the facts have a wrong shape: {type(e).__name__}: {e}"[:300]
        return dict.fromkeys(range(len(self._single)), problem)

    def _batch(self, start: int, batch: Any, activation: Any, held: dict[int, str]) -> None:
        size = min(_BATCH, len(self._single) - start)
        try:
            found = batch.eval(activation).plain_value()
        except RuntimeError:  # too many steps for all of them together, at least
            found = None
        if type(found) is list and len(found) == size and set(map(type, found)) == {bool}:
            if True in found:
                held.update((start + i, "") for i, value in enumerate(found) if value)
            return
        for i in range(start, start + size):
            self._one(i, activation, held)

    def _one(self, i: int, activation: Any, held: dict[int, str]) -> None:
        try:
            value = self._single[i].eval(activation).value()
        except RuntimeError as e:
            value = str(e)
        # An error is a value in this library, and as a value it is truthy: only `True` is true.
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
            inner, optional = without_none(hint)
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
