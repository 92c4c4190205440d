"""Where a server is reached, and what it takes."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from handfast.core.domain.errors import UsageError
from handfast.engine.passkeys import Relying

MIB = 1024 * 1024
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
# Cookies know no ports: whatever listens on another port of a host is sent the cookies of all of it. So the
# pages have a host of their own. Browsers find every name below `localhost` on this machine (RFC 6761).
PAGES_NAME = "handfast.localhost"


@dataclass(frozen=True, slots=True)
class Site:
    """`hosts` are names that a request may carry besides those of loopback and of the pages.

    `public_url` is how people reach the pages, when that is not `PAGES_NAME`. Sizes are bytes. Raises
    UsageError for a `public_url` that is no address of a server.
    """

    public_url: str = ""
    hosts: tuple[str, ...] = ()
    body_limit: int = MIB
    upload_limit: int = 32 * MIB

    def __post_init__(self) -> None:
        if self.public_url and not _is_address(self.public_url):
            raise UsageError(
                f"`{self.public_url}` is not an address that people reach a server at",
                hint="It looks like https://handfast.example or http://127.0.0.1:8480.",
            )

    def allows(self, host: str) -> bool:
        """Whether a Host header names this server. Anything else may be a rebound DNS name."""
        return host_name(host) in LOOPBACK_NAMES or self.has_pages(host)

    def has_pages(self, host: str) -> bool:
        """Whether people sign in at the name of a Host header. At no other name a session holds."""
        named = host_name(host)
        return named in self.hosts or named == self._pages_name()

    def pages(self, url: str) -> str:
        """The address of the pages of a server that answers at `url`."""
        if self.public_url:
            return self.public_url.rstrip("/")
        parts = urlsplit(url)
        if parts.hostname not in LOOPBACK_NAMES:
            return url
        port = parts.netloc.rpartition("]")[2].partition(":")[2]
        return f"{parts.scheme}://{PAGES_NAME}" + (f":{port}" if port.isdecimal() else "")

    @property
    def on_loopback(self) -> bool:
        """Whether the pages are at a name of this machine."""
        named = self._pages_name()
        return named in LOOPBACK_NAMES or named.endswith(".localhost")

    @property
    def secure(self) -> bool:
        """Whether people come through HTTPS, so that cookies must never leave it."""
        return self.public_url.startswith("https://")

    def relying(self, host: str) -> Relying:
        """Whom passkeys are made for, when a request came with this Host header."""
        if self.public_url:
            parts = urlsplit(self.public_url)
            return Relying(parts.hostname or "", f"{parts.scheme}://{parts.netloc}")
        return Relying(host_name(host), f"http://{host}")

    def _pages_name(self) -> str:
        return urlsplit(self.public_url).hostname or PAGES_NAME


def without_the_name(pages_url: str) -> str:
    """What helps a browser that does not find the pages' own name; '' where they have another one."""
    if urlsplit(pages_url).hostname != PAGES_NAME:
        return ""
    address = pages_url.replace(PAGES_NAME, "127.0.0.1")
    return (
        f"A browser that does not find {PAGES_NAME} (Safari, old systems) needs "
        f"`handfast serve --public-url {address}`; docs/operation.md says at what price."
    )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def host_name(host: str) -> str:
    """The name in `name:port`, `[::1]:port` or `name`; '' when it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
