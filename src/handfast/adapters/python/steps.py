"""What a course asks of whoever plays it: send a request, or call something of the developer's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from handfast.client.request import Request


@dataclass(frozen=True, slots=True)
class Invoke:
    """Call it, and wait for what it gives where that can be waited for."""

    work: Callable[[], object]


Step: TypeAlias = Request[Any] | Invoke
