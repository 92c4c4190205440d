"""What a run asks for: an agent in a sandbox or not, and which hosts it may reach from there."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from handfast.core.domain.errors import UsageError
from handfast.core.domain.inert import inert

CONTAINED: Final = "contained: "  # how the sentence of a contained agent begins
NOT_CONTAINED: Final = "not contained: "
MAX_HOSTS: Final = 50
_MAX_PORT: Final = 65535
_HOST: Final = re.compile(
    r"(?P<host>[a-z0-9_]([a-z0-9._-]{0,252}[a-z0-9_])?|\[[0-9a-f:.]{2,45}\]):(?P<port>[0-9]{1,5})"
)


class Contained(StrEnum):
    AUTO = "auto"  # where it can be done; else the page says why not
    REQUIRE = "require"  # or the run does not start
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Containment:
    """`hosts` are `name:port`, as `allowed_host` gives them."""

    want: Contained = Contained.AUTO
    hosts: tuple[str, ...] = ()


def allowed_host(text: str) -> str:
    """`HOST:PORT` in lower case. Raises UsageError: there are no patterns, and a port must be named."""
    found = _HOST.fullmatch(text.strip().lower())
    if found is None or not 0 < int(found["port"]) <= _MAX_PORT:
        raise UsageError(
            f"`{inert(text, 100, multiline=False)}` is no host with a port",
            code="bad_host",
            hint="Write HOST:PORT, as in `--allow-host registry.example.org:443`.",
            details={"field": "allow_hosts"},
        )
    return f"{found['host']}:{int(found['port'])}"


def split_host(host: str) -> tuple[str, int]:
    """Name and port of what `allowed_host` gave; an IPv6 address without its brackets."""
    name, _, port = host.rpartition(":")
    return name.strip("[]"), int(port)
