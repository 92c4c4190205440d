"""Canonical bytes by orjson: those of `core.domain.canonical`, in a fraction of its time.

orjson sorts keys by code point and writes numbers and escapes as RFC 8785 does for the values the
log may hold; `check_canonical` refuses the others. A property test holds both encoders equal.
"""

import orjson

from handfast.core.domain.canonical import check_canonical, half_a_pair

_SORTED = orjson.OPT_SORT_KEYS


def canonical(value: object) -> bytes:
    """RFC 8785 bytes of `value`. Raises UsageError for what has no canonical form."""
    check_canonical(value)
    try:
        return orjson.dumps(value, option=_SORTED)
    except orjson.JSONEncodeError:
        raise half_a_pair() from None


def compact(value: object) -> bytes:
    """The same form without the checks, for values that were checked when they were recorded."""
    return orjson.dumps(value, option=_SORTED)
