"""Whether a condition picks rows out, or only seems to.

It does when a part that must hold compares a column with a fixed value: equality, a list, a range with a
real bound, a pattern with letters in it, IS NULL. `1=1`, `id = id`, `id > 0`, `name LIKE '%'`, `x IS NOT
NULL` and every condition that only excludes (`<>`, NOT) can hold for every row, so they count as none.
"""

import re
from collections.abc import Callable

from sqlglot import exp

_SAME_ROW = (
    exp.Paren
    | exp.Lower
    | exp.Upper
    | exp.Trim
    | exp.Cast
    | exp.TryCast
    | exp.Date
    | exp.TsOrDsToDate
)
_EARLIEST, _LATEST = 1970, 2100
_WIDE, _LONG = 1_000_000, 10_000
# To some databases every number is less than every text.
_NUMBERS = re.compile(r"(^|_)(id|no|num|number|count|size|active)$", re.IGNORECASE)
_DAYS = {"YEAR": 365, "MONTH": 30, "WEEK": 7}
_LONG_AGO = 3650
# Each turns the direction: `- INTERVAL '1' DAY` and DATE_SUB once, `- INTERVAL '-1' DAY` twice.
_BACK = re.compile(r"-(?=\s*(?:INTERVAL\b|'?\d))|SUB\(")
_EXPIRES = re.compile(r"expir|until|valid|due|deadline|ttl|stale|end", re.IGNORECASE)


def picks_rows(condition: object) -> bool:
    """`condition` is an expression or None. False where it may hold for every row."""
    if isinstance(condition, exp.Where | exp.Paren):
        return picks_rows(condition.this)
    if isinstance(condition, exp.And):
        return picks_rows(condition.left) or picks_rows(condition.right)
    if isinstance(condition, exp.Or):
        return (
            picks_rows(condition.left)
            and picks_rows(condition.right)
            and not _covers_all(condition)
        )
    rule = _RULES.get(type(condition))
    if rule is None or not isinstance(condition, exp.Expr) or condition.args.get("negate"):
        return False
    return rule(condition)


def _column(node: object) -> exp.Column | None:
    """The column a side stands for, through functions that keep rows apart."""
    inner = _inside(node)
    return inner if isinstance(inner, exp.Column) and not _is_parameter(inner) else None


def _inside(node: object) -> object:
    return _inside(node.this) if isinstance(node, _SAME_ROW) else node


def _is_parameter(column: exp.Column) -> bool:
    """`$1` and the like, where the dialect takes it for a name."""
    return bool(re.fullmatch(r"[$@:?]\w*", column.name))


def _fixed(node: object, beside: exp.Column) -> bool:
    """Whether a value does not depend on the row."""
    if not isinstance(node, exp.Expr):
        return False
    if query := node.find(exp.Select):
        return _few(query)
    return all(_is_text(column, beside) for column in node.find_all(exp.Column))


def _is_text(column: exp.Column, beside: exp.Column) -> bool:
    """A name in double quotes is a text to some databases."""
    if _is_parameter(column):
        return True
    quoted = isinstance(column.this, exp.Identifier) and bool(column.this.args.get("quoted"))
    return quoted and not column.table and column.name.lower() != beside.name.lower()


def _few(query: exp.Select) -> bool:
    """Whether a subquery names rows: by a condition, a limit, or as one aggregate."""
    if not query.args.get("from_") and not query.args.get("from"):
        return False
    projections, own = query.expressions, {each.alias_or_name for each in query.find_all(exp.Table)}
    if any(
        column.table not in {"", *own}
        for each in projections
        for column in each.find_all(exp.Column)
    ):
        return False  # a column of the row outside
    limit = query.args.get("limit")
    most = _number(limit.expression) if isinstance(limit, exp.Limit) else None
    if picks_rows(query.args.get("where")) or (most is not None and most <= _LONG):
        return True
    one = len(projections) == 1 and projections[0].find(exp.AggFunc) is not None
    return one and not query.args.get("group")


def _equal(node: exp.Expr) -> bool:
    left, right = node.args.get("this"), node.args.get("expression")
    for side, other in ((left, right), (right, left)):
        column = _column(side)
        if column is not None and not isinstance(other, exp.Boolean | exp.Null):
            return _fixed(other, column) if _column(other) is None else _is_quoted(other, column)
        if column is not None and isinstance(other, exp.Boolean):
            return True
    return False


def _is_quoted(node: object, beside: exp.Column) -> bool:
    column = _column(node)
    return column is not None and (_is_text(column, beside) or _is_text(beside, column))


def _listed(node: exp.Expr) -> bool:
    column = _column(node.this)
    if column is None:
        return False
    query = node.args.get("query")
    if query is not None:
        select = query.find(exp.Select)
        return select is not None and _few(select)
    values = node.args.get("expressions") or []
    if {str(value.this) for value in values if isinstance(value, exp.Boolean)} == {"True", "False"}:
        return False
    return bool(values) and all(_fixed(value, column) for value in values)


def _pattern(node: exp.Expr) -> bool:
    column, value = _column(node.this), node.args.get("expression")
    if isinstance(value, exp.Escape):
        value = value.this
    if column is None or not _fixed(value, column):
        return False
    if not isinstance(value, exp.Literal):
        return isinstance(value, exp.Placeholder | exp.Parameter)
    return bool(re.search(r"\w\w", value.name.replace("_", " ")))


def _regular(node: exp.Expr) -> bool:
    pattern = str(node.args.get("expression"))
    return _pattern(node) and "|" not in pattern and "[" not in pattern


def _null(node: exp.Expr) -> bool:
    return _column(node.this) is not None and isinstance(node.args.get("expression"), exp.Null)


def _above(node: exp.Expr) -> bool:
    return _range(node, lower=True)


def _below(node: exp.Expr) -> bool:
    return _range(node, lower=False)


def _range(node: exp.Expr, *, lower: bool) -> bool:
    left, right = node.args.get("this"), node.args.get("expression")
    texts = exp.Lower | exp.Upper | exp.Trim
    if isinstance(left, texts) or isinstance(right, texts):
        return False
    if _column(left) is not None:
        return _bounds(_column(left), right, lower=lower)
    return _column(right) is not None and _bounds(_column(right), left, lower=not lower)


def _bounds(column: exp.Column | None, value: object, *, lower: bool) -> bool:
    """Whether the bound leaves rows out, as far as a value can show it."""
    if column is None or not _fixed(value, column) or _queried(value):
        return False
    if isinstance(value, exp.Expr) and "'NOW'" in value.sql().upper():
        return _computed(value, lower=lower)
    return _bound(_inside(value), column, lower=lower)


def _queried(value: object) -> bool:
    """`id <= (SELECT max(id) …)` leaves no row out."""
    return isinstance(value, exp.Expr) and value.find(exp.Select) is not None


def _bound(value: object, column: exp.Column, *, lower: bool) -> bool:
    number = _number(value)
    if number is not None:
        return number > 1 if lower else number < _WIDE
    if isinstance(value, exp.Literal):
        year = re.match(r"(\d{4})-?\d\d", value.name)
        if year is None or _NUMBERS.search(column.name):
            return False
        return int(year[1]) > _EARLIEST if lower else int(year[1]) < _LATEST
    if not isinstance(value, exp.Expr):
        return False
    if _is_now(value):
        return lower or bool(_EXPIRES.search(column.name))
    return _computed(value, lower=lower)


def _is_now(value: exp.Expr) -> bool:
    now = exp.CurrentTimestamp | exp.CurrentDate | exp.CurrentDatetime
    return isinstance(value, now) or (
        isinstance(value, exp.Anonymous) and value.name.lower() in {"now", "getdate", "sysdate"}
    )


def _computed(value: exp.Expr, *, lower: bool) -> bool:
    """A bound worked out from the time or a parameter: `now() - interval '30 days'`, `$1`."""
    if value.find(exp.Any, exp.All):
        return False
    if value.find(exp.Placeholder, exp.Parameter):
        return True
    text = value.sql().upper()
    amounts = re.findall(r"(\d+)\W*(YEAR|MONTH|WEEK)?", text)
    if not re.search(r"NOW|CURRENT_|GETDATE|SYSDATE|LOCALTIME|TODAY", text) or len(amounts) != 1:
        return False
    days = int(amounts[0][0]) * _DAYS.get(amounts[0][1], 1)
    back = len(_BACK.findall(text)) % 2 == 1
    return days > 0 and back and (not lower or days <= _LONG_AGO)


def _number(value: object) -> float | None:
    sign = 1
    while isinstance(value, exp.Neg | exp.Paren):
        sign, value = (-sign if isinstance(value, exp.Neg) else sign), value.this
    if not isinstance(value, exp.Literal):
        return None
    try:
        return sign * float(value.name)
    except ValueError:
        return None


def _between(node: exp.Expr) -> bool:
    column, low, high = _column(node.this), node.args.get("low"), node.args.get("high")
    first, last = _number(low), _number(high)
    if column is None or not _fixed(low, column) or not _fixed(high, column):
        return False
    if _queried(low) or _queried(high):
        return False
    if first is not None and last is not None:
        return last - first <= _LONG
    return _bounds(column, low, lower=True) or _bounds(column, high, lower=False)


def _exists(node: exp.Expr) -> bool:
    """Only a subquery that is itself narrowed, and looks at the outer row."""
    query = node.find(exp.Select)
    if query is None or not (query.args.get("from_") or query.args.get("from")):
        return False
    joins = any(
        isinstance(each.this, exp.Column)
        and isinstance(each.expression, exp.Column)
        and each.this.table != each.expression.table
        for each in query.find_all(exp.EQ)
    )
    return joins and picks_rows(query.args.get("where"))


_SIDES: dict[type, str] = {
    exp.LT: "below",
    exp.LTE: "below",
    exp.GT: "above",
    exp.GTE: "above",
}


def _covers_all(condition: exp.Or) -> bool:
    """`a < 5 OR a >= 5`, `b = true OR b = false`: two sides of one column may be all there is."""
    ranges: dict[str, set[str]] = {}
    for part in condition.flatten():
        inner = part.unnest() if isinstance(part, exp.Paren) else part
        kind = _SIDES.get(type(inner))
        if isinstance(inner, exp.EQ) and isinstance(inner.expression, exp.Boolean):
            kind = str(inner.expression.this)
        elif isinstance(inner, exp.EQ) and _number(inner.expression) in {0.0, 1.0}:
            kind = str(bool(_number(inner.expression)))
        column = _column(inner.args.get("this")) if kind else None
        if kind and column is not None:
            ranges.setdefault(column.name.lower(), set()).add(kind)
    return any(
        {"below", "above"} <= kinds or {"True", "False"} <= kinds for kinds in ranges.values()
    )


_RULES: dict[type, Callable[[exp.Expr], bool]] = {
    exp.EQ: _equal,
    exp.NullSafeEQ: _equal,
    exp.In: _listed,
    exp.Is: _null,
    exp.Like: _pattern,
    exp.ILike: _pattern,
    exp.RegexpLike: _regular,
    exp.RegexpILike: _regular,
    exp.Glob: _pattern,
    exp.GT: _above,
    exp.GTE: _above,
    exp.LT: _below,
    exp.LTE: _below,
    exp.Between: _between,
    exp.Exists: _exists,
}
