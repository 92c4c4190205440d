"""Database URLs: refused where they can be misread, and shown without their secrets."""

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from handfast.core.domain.errors import UsageError

_HINT = (
    "Use `sqlite:////absolute/path.db` or `postgresql://user@host/name`. Keep the password in a file: "
    "`?passfile=/path` names one in the format of `.pgpass`."
)
_HIDDEN = "***"


def shown(url: str) -> str:
    """The URL for messages: without the password, and without anything that may be a part of it."""
    scheme, found, rest = url.partition("://")
    if not found:
        return url if re.fullmatch(r"\w{0,40}", url) else _HIDDEN
    if scheme == "sqlite":
        return url
    authority, path, query = _split(rest)
    if _ambiguous(authority, path + query):
        return f"{scheme}://{_HIDDEN}"
    who, at, where = authority.rpartition("@")
    user, colon, _ = who.partition(":")
    query = re.sub(r"(?i)((?:ssl)?password=)[^&#]*", rf"\g<1>{_HIDDEN}", query)
    return f"{scheme}://{user}{colon and ':' + _HIDDEN}{at}{where}{path}{query}"


def scrubbed(text: str, url: str) -> str:
    """A driver's message about a connection, without the URL's password."""
    for secret in sorted(_secrets(url), key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text


def check_server_url(url: str) -> None:
    """Raises UsageError where a reserved character in user or password moves the rest of the URL."""
    authority, path, query = _split(url.partition("://")[2])
    if _ambiguous(authority, path + query):
        raise UsageError(
            f"the database URL `{shown(url)}` can be read in more than one way",
            hint="Write @ / ? # : and % in a password as %40 %2F %3F %23 %3A and %25. " + _HINT,
        )


def refused(url: str, why: str) -> UsageError:
    return UsageError(f"the database URL `{shown(url)}` {why}", hint=_HINT)


def _split(rest: str) -> tuple[str, str, str]:
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path, mark, query = rest[len(authority) :].partition("?")
    return authority, path, mark + query


def _ambiguous(authority: str, after: str) -> bool:
    strange = "@" in after and "@" not in authority and ":" in authority
    return strange or authority.count("@") > 1 or authority.rpartition("@")[0].count(":") > 1


def _secrets(url: str) -> set[str]:
    parts = urlsplit(url)
    found = {parts.netloc.rpartition("@")[0].partition(":")[2]}
    found |= {v for k, v in parse_qsl(parts.query) if k.lower() in ("password", "sslpassword")}
    return {form for secret in found if secret for form in (secret, unquote(secret))}
