"""Where a server is reached, and what it takes."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from handfast.engine.passkeys import Relying

MIB = 1024 * 1024
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Site:
    """`hosts` are names that a request may carry besides those of loopback and of `public_url`.

    `public_url` is how people reach the server when it is not the address it listens on. Sizes are bytes.
    """

    public_url: str = ""
    hosts: tuple[str, ...] = ()
    body_limit: int = MIB
    upload_limit: int = 32 * MIB

    def allows(self, host: str) -> bool:
        """Whether a Host header names this server. Anything else may be a rebound DNS name."""
        named = host_name(host)
        return named in LOOPBACK_NAMES or named in self.hosts or named == self._public_name()

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

    def _public_name(self) -> str | None:
        return urlsplit(self.public_url).hostname if self.public_url else None


def host_name(host: str) -> str:
    """The name in `name:port`, `[::1]:port` or `name`; '' when it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
