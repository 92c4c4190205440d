"""Lengths of time as people write them."""

import re

from handfast.core.domain.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(text: str, name: str) -> int:
    """`45s`, `15m`, `8h`, `30d` in seconds. Raises UsageError naming the argument."""
    match = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text.strip())
    if match is None:
        raise UsageError(f"`{name}` is `{text}`", hint="Write it like 45s, 15m, 8h or 30d.")
    return int(match[1]) * _UNITS[match[2]]
