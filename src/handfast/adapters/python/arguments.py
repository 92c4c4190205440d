"""The arguments of a call in canonical form: bound by the function's signature, plain JSON, nothing guessed."""

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from handfast.core.domain.canonical import JSON, canonical_json
from handfast.core.domain.errors import UsageError

_REMEDY = "Pass `canonical=` to say what of it matters, or leave it out with `exclude=`."
_RECEIVER = ("self", "cls")
MAX_DEPTH = 50


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """How calls of one function become canonical arguments. `canonical` replaces the rule below.

    Text, whole numbers, booleans, None, lists, tuples and mappings with text keys are taken as they are,
    fractions as text. A class that receives the call (`cls`) is its name, a dataclass that does (`self`)
    its name and fields. Anything else is refused.
    """

    function: Callable[..., object]
    exclude: tuple[str, ...] = ()
    canonical: Callable[..., Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        names = inspect.signature(self.function).parameters
        unknown = [name for name in self.exclude if name not in names]
        if unknown:
            raise UsageError(
                f"`exclude` names `{unknown[0]}`, which `{self.function.__name__}` does not take"
            )

    def of(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, JSON]:
        """Canonical arguments of a call. Equal calls give equal values, however they were written.

        Raises UsageError for what has no canonical form, TypeError for a call the function would refuse.
        """
        bound = inspect.signature(self.function).bind(*args, **kwargs)
        if self.canonical is not None:
            given = self.canonical(*args, **kwargs)
            if not isinstance(given, Mapping):
                raise UsageError(
                    "`canonical` did not give a mapping", hint="Give names and values."
                )
            return _checked({str(name): plain(value, str(name)) for name, value in given.items()})
        bound.apply_defaults()
        receiver = next(iter(bound.arguments), "")
        found = {
            name: _receiver(value, name)
            if name == receiver and name in _RECEIVER
            else plain(value, name)
            for name, value in bound.arguments.items()
            if name not in self.exclude
        }
        return _checked(found)


def plain(value: object, path: str, depth: int = MAX_DEPTH) -> JSON:
    """`value` as JSON without fractions. Raises UsageError naming the part that has no such form."""
    kind = type(value)
    if value is None or kind in (str, bool, int):
        return value  # type: ignore[return-value]  # one of these
    if kind is float:
        return _fraction(value, path)
    if depth == 0:
        raise UsageError(f"`{path}` is nested more than {MAX_DEPTH} deep", hint=_REMEDY)
    if isinstance(value, list | tuple):
        return [plain(item, f"{path}[{n}]", depth - 1) for n, item in enumerate(value)]
    if isinstance(value, Mapping):
        wrong = next((key for key in value if type(key) is not str), None)
        if wrong is not None:
            raise UsageError(f"`{path}` has a key that is not text: {wrong!r}", hint=_REMEDY)
        return {key: plain(item, f"{path}.{key}", depth - 1) for key, item in value.items()}
    raise UsageError(f"`{path}` is {kind.__name__}, which has no canonical form", hint=_REMEDY)


def _fraction(value: object, path: str) -> str:
    if not isinstance(value, float) or not math.isfinite(value):
        raise UsageError(f"`{path}` is {value!r}, which has no canonical form", hint=_REMEDY)
    return repr(value)


def _receiver(value: object, path: str) -> JSON:
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        named = f"{type(value).__module__}.{type(value).__qualname__}"
        return {"type": named, "fields": plain(fields, path)}
    return plain(value, path)


def _checked(found: dict[str, JSON]) -> dict[str, JSON]:
    canonical_json(found)
    return found
