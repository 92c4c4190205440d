"""Conditions of plain forms, answered without the library: a comparison of a field with a literal, `in`,
`has`, `startsWith` and its like, `exists` and `all` over a list, joined by `&&`, `||` and `!`.

An answer is true, false, or None: not told here. What is not recognised, and what asks for an optional
field that is absent, is not told, and as in CEL one part that is told may settle the whole: `false && …`
is false whatever the rest is. A property test holds every answer equal to the library's.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass
from operator import attrgetter
from typing import Any, TypeAlias, get_args, get_origin, get_type_hints

from handfast.core.policy.subject import Subject
from handfast.policyfile.shapes import without_none
from handfast.policyfile.tokens import Tokens, enclosed, outside, split, tokens

Answer: TypeAlias = Callable[[Any], bool | None]

# The library ends a condition after 10,000 steps within lists. This many loops over the most items that are
# asked here (`shapes.MAX_ITEMS`) stay below.
_MAX_LOOPS = 16
_MAX_DEPTH = 64
_STRING = r"(?:\"[^\"\\]*\"|'[^'\\]*')"
_PATH = rf"[A-Za-z_]\w*(?: \. [A-Za-z_]\w*)*(?: \[ {_STRING} \])?"
_Get: TypeAlias = Callable[[Any], Any]
_Make: TypeAlias = Callable[[_Get, Any], Callable[[Any], bool]]
# Written out: one call less for each of some fifty conditions of every judgement.
_ORDER: Mapping[str, _Make] = {
    "==": lambda get, value: lambda asked: get(asked) == value,
    "!=": lambda get, value: lambda asked: get(asked) != value,
    "<": lambda get, value: lambda asked: get(asked) < value,
    "<=": lambda get, value: lambda asked: get(asked) <= value,
    ">": lambda get, value: lambda asked: get(asked) > value,
    ">=": lambda get, value: lambda asked: get(asked) >= value,
}
_METHODS: Mapping[str, _Make] = {
    "startsWith": lambda get, value: lambda asked: get(asked).startswith(value),
    "endsWith": lambda get, value: lambda asked: get(asked).endswith(value),
    "contains": lambda get, value: lambda asked: value in get(asked),
}


def _is_in(get: _Get, value: object) -> Callable[[Any], bool]:
    return lambda asked: get(asked) in value  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class _Field:
    """Where a path leads: through the attributes `dotted` (none: the thing itself), then to `key` in a map.

    Only an `optional` one may be absent, and then `get` gives None.
    """

    hint: object
    dotted: str = ""
    key: str | None = None
    optional: bool = False

    @property
    def get(self) -> "_Get":
        found: _Get = attrgetter(self.dotted) if self.dotted else _itself
        key = self.key
        return found if key is None else lambda asked: found(asked).get(key)


def _itself(asked: object) -> object:
    return asked


# What names stand for: the parts of a subject, or within `exists` its variable alone.
_Names: TypeAlias = Mapping[str, _Field]
_SUBJECT: _Names = {name: _Field(hint, name) for name, hint in get_type_hints(Subject).items()}


def answer(condition: str) -> Answer:
    """Of a condition that the language has checked. Never raises when it is asked of plain facts."""
    found = tokens(condition)
    if found is None or sum(t in ("exists", "all") for t in found) > _MAX_LOOPS:
        return _untold
    deep = sum(t in ("(", "!") for t in found) > _MAX_DEPTH
    return _untold if deep else _whole(found, _SUBJECT)


def _untold(_: object) -> None:
    return None


def _whole(parts: Tokens, names: _Names) -> Answer:
    either = split(parts, "||")
    if either is None or "?" in outside(parts):
        return _untold
    return _joined([_conjunction(part, names) for part in either], settles=True)


def _conjunction(parts: Tokens, names: _Names) -> Answer:
    every = split(parts, "&&") or [()]
    # What settles the whole may be asked in any order: what loops comes last.
    every.sort(key=lambda part: "exists" in part or "all" in part)
    return _joined([_single(part, names) for part in every], settles=False)


def _single(parts: Tokens, names: _Names) -> Answer:
    if (inner := enclosed(parts)) is not None:
        return _whole(inner, names)
    if parts[:1] == ("!",):
        binds_all = all(t == "." or (t != "in" and t.isidentifier()) for t in outside(parts[1:]))
        return _not(_single(parts[1:], names)) if binds_all else _untold
    if parts in (("true",), ("false",)):
        value = parts == ("true",)
        return lambda _: value
    if parts[-1:] == (")",) and (looped := _loop(parts, names)) is not None:
        return looped
    text = " ".join(parts)
    for form, read in _FORMS:
        if (said := form.fullmatch(text)) is not None:
            field = _field(said["path"], names)
            return (read(said, field) if field else None) or _untold
    return _untold


def _joined(parts: list[Answer], *, settles: bool) -> Answer:
    """Joined by `||` where one that is true settles the whole, by `&&` where one that is false does."""
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        return _pair(*parts, settles=settles)

    def whole(asked: object) -> bool | None:
        told: bool | None = not settles
        for part in parts:
            value = part(asked)
            if value is settles:
                return settles
            if value is None:
                told = None
        return told

    return whole


def _pair(left: Answer, right: Answer, *, settles: bool) -> Answer:
    """The same for two, which nearly all are, without a loop."""

    def whole(asked: object) -> bool | None:
        a = left(asked)
        if a is settles:
            return settles
        b = right(asked)
        return b if a is not None or b is settles else None

    return whole


def _not(inner: Answer) -> Answer:
    def opposite(asked: object) -> bool | None:
        value = inner(asked)
        return None if value is None else not value

    return opposite


def _loop(parts: Tokens, names: _Names) -> Answer | None:
    """`path.exists(name, body)` and `path.all(name, body)`; the body may ask about its element only."""
    start = parts.index("(") if "(" in parts else 0
    inner = enclosed(parts[start:])
    if start < 3 or inner is None or inner[1:2] != (",",) or not inner[0].isidentifier():
        return None
    dot, macro = parts[start - 2 : start]
    over = _field(" ".join(parts[: start - 2]), names)
    if dot != "." or macro not in ("exists", "all"):
        return None
    if over is None or get_origin(over.hint) is not tuple:
        return None
    element = _Field(get_args(over.hint)[0])
    settles = macro == "exists"
    if settles and element.hint is str and (value := _equals(inner)) is not None:
        return _METHODS["contains"](over.get, value)
    body, get = _whole(inner[2:], {inner[0]: element}), over.get

    def each(asked: object) -> bool | None:
        told: bool | None = not settles
        for item in get(asked):
            value = body(item)
            if value is settles:
                return settles
            if value is None:
                told = None
        return told

    return each


def _equals(inner: Tokens) -> str | None:
    """`h, h == "git.push"`: looking for one text."""
    if len(inner) != 5 or inner[2:4] != (inner[0], "=="):
        return None
    return inner[4][1:-1] if re.fullmatch(_STRING, inner[4]) else None


def _field(path: str, names: _Names) -> _Field | None:
    """Where a path of names leads, by the declared types. None for anything but a plain path."""
    if re.fullmatch(_PATH, path) is None:
        return None
    dotted, _, key = path.partition(" [ ")
    first, *rest = dotted.split(" . ")
    found = names.get(first)
    for name in rest:
        found = _within(found, name)
    return _keyed(found, key[1:-3]) if key else found


def _within(outer: _Field | None, name: str) -> _Field | None:
    if outer is None or outer.optional:
        return None
    if get_origin(outer.hint) is Mapping:
        return _keyed(outer, name)
    hint = get_type_hints(outer.hint).get(name) if is_dataclass(outer.hint) else None
    if hint is None:
        return None
    kind, optional = without_none(hint)
    return _Field(kind, f"{outer.dotted}.{name}".lstrip("."), optional=optional)


def _keyed(outer: _Field | None, key: str) -> _Field | None:
    if outer is None or get_origin(outer.hint) is not Mapping:
        return None
    return _Field(str, outer.dotted, key, optional=True)


def _told(field: _Field, make: _Make, value: object) -> Answer:
    """The test that `make` makes, of the field's value where there is one."""
    get = field.get
    if not field.optional:
        return make(get, value)
    test = make(_itself, value)

    def where_known(asked: object) -> bool | None:
        found = get(asked)
        return None if found is None else test(found)

    return where_known


def _literal(text: str) -> str | int | float | bool:
    if text[0] in "\"'":
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    return float(text) if "." in text else int(text)


def _compared(said: re.Match[str], field: _Field) -> Answer | None:
    value, order = _literal(said["value"]), said["order"]
    if field.hint is not type(value) or (order not in ("==", "!=") and type(value) in (str, bool)):
        return None
    return _told(field, _ORDER[order], value)


def _method(said: re.Match[str], field: _Field) -> Answer | None:
    make = _METHODS[said["method"]]
    return _told(field, make, _literal(said["value"])) if field.hint is str else None


def _among(said: re.Match[str], field: _Field) -> Answer | None:
    """A text in a list of texts, or among the keys of a map."""
    if get_args(field.hint)[:1] != (str,):
        return None
    return _told(field, _METHODS["contains"], _literal(said["value"]))


def _one_of(said: re.Match[str], field: _Field) -> Answer | None:
    values = frozenset(text[1:-1] for text in re.findall(_STRING, said["values"]))
    return _told(field, _is_in, values) if field.hint is str else None


def _has(_: re.Match[str], field: _Field) -> Answer | None:
    get = field.get
    return (lambda asked: get(asked) is not None) if field.optional else None


def _truth(_: re.Match[str], field: _Field) -> Answer | None:
    return _told(field, _ORDER["=="], value=True) if field.hint is bool else None


def _sized(said: re.Match[str], field: _Field) -> Answer | None:
    if not (field.hint is str or get_args(field.hint)):
        return None
    size = _ORDER[said["order"]](len, int(said["value"]))
    return _told(field, lambda get, _: lambda asked: size(get(asked)), None)


_Read: TypeAlias = Callable[[re.Match[str], _Field], Answer | None]
_ANY_ORDER = r"(?P<order>==|!=|<=|>=|<|>)"
_VALUE = rf"(?P<value>{_STRING}|true|false|\d+(?:\.\d+)?)"
_FORMS: tuple[tuple[re.Pattern[str], _Read], ...] = tuple(
    (re.compile(form), read)
    for form, read in (
        (rf"(?P<path>{_PATH}) {_ANY_ORDER} {_VALUE}", _compared),
        (rf"{_VALUE} (?P<order>==|!=) (?P<path>{_PATH})", _compared),
        (
            rf"(?P<path>{_PATH}) \. (?P<method>startsWith|endsWith|contains) \( (?P<value>{_STRING}) \)",
            _method,
        ),
        (rf"(?P<value>{_STRING}) in (?P<path>{_PATH})", _among),
        (
            rf"(?P<path>{_PATH}) in \[ (?P<values>{_STRING}(?: , {_STRING})*) \]",
            _one_of,
        ),
        (rf"has \( (?P<path>{_PATH}) \)", _has),
        (rf"(?P<path>{_PATH})", _truth),
        (rf"size \( (?P<path>{_PATH}) \) {_ANY_ORDER} (?P<value>\d+)", _sized),
        (rf"(?P<path>{_PATH}) \. size \( \) {_ANY_ORDER} (?P<value>\d+)", _sized),
    )
)
