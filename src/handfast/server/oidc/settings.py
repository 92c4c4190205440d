"""The provider that people sign in at, as `identity.yaml` in the data folder says it.

oidc:
  issuer: https://id.example
  client_id: handfast
  client_secret_file: /etc/handfast/oidc.secret   # without it a public client with PKCE
  name: Example ID
  scopes: [openid, profile, groups]
  groups_claim: groups
  login_claim: ""                                 # what policies call a person; "" takes the subject
  roles: {handfast-admins: [admin, operator], developers: [reviewer]}
  teams: {dba: [dba]}
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from handfast.core.domain.errors import UsageError
from handfast.core.domain.person import ROLES
from handfast.engine.federation import Mapped
from handfast.server.site import LOOPBACK_NAMES

FILE = "identity.yaml"
_NAMES = frozenset(
    [
        "issuer",
        "client_id",
        "client_secret_file",
        "name",
        "scopes",
        "groups_claim",
        "login_claim",
        "roles",
        "teams",
    ]
)


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    name: str = "single sign-on"
    scopes: tuple[str, ...] = ("openid", "profile")
    groups_claim: str = "groups"
    login_claim: str = ""
    mapped: Mapped = field(default_factory=Mapped)


def read_settings(home: Path) -> ProviderSettings | None:
    """None without the file. Raises UsageError for one that cannot be taken as it is."""
    path = home / FILE
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise _wrong(path, f"cannot be read: {e}") from None
    given = found.get("oidc") if isinstance(found, dict) else None
    if not isinstance(given, dict) or set(found) != {"oidc"}:
        raise _wrong(path, "has no `oidc:` section, or something beside it")
    if unknown := sorted(map(str, set(given) - _NAMES)):
        raise _wrong(path, f"has `{unknown[0]}`, which nothing reads")
    return _settings(path, given)


def _settings(path: Path, given: Mapping[str, object]) -> ProviderSettings:
    issuer = _text(path, given, "issuer")
    parts = urlsplit(issuer)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK_NAMES)
    if not safe or parts.query or parts.fragment:
        raise _wrong(path, "has an `issuer` that is no https address")
    secret = given.get("client_secret_file")
    return ProviderSettings(
        issuer=issuer,
        client_id=_text(path, given, "client_id"),
        client_secret=_secret(path, secret) if secret is not None else "",
        name=_text(path, given, "name", "single sign-on"),
        scopes=_list(path, "scopes", given.get("scopes", ["openid", "profile"])),
        groups_claim=_text(path, given, "groups_claim", "groups"),
        login_claim=_text(path, given, "login_claim", ""),
        mapped=Mapped(
            _groups(path, "roles", given.get("roles", {}), frozenset(ROLES)),
            _groups(path, "teams", given.get("teams", {})),
        ),
    )


def _secret(path: Path, name: object) -> str:
    try:
        return Path(str(name)).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise _wrong(path, f"names a `client_secret_file` that cannot be read: {e}") from None


def _groups(
    path: Path, name: str, given: object, known: frozenset[str] = frozenset()
) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, dict):
        raise _wrong(path, f"has `{name}` that is no mapping from group to list")
    found = {str(group): _list(path, name, each) for group, each in given.items()}
    unknown = sorted({x for each in found.values() for x in each} - known) if known else []
    if unknown:
        raise _wrong(path, f"has `{name}` with `{unknown[0]}`; there is {', '.join(sorted(known))}")
    return found


def _list(path: Path, name: str, given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(x, str) for x in given):
        raise _wrong(path, f"has `{name}` that is no list of words")
    return tuple(given)


def _text(path: Path, given: Mapping[str, object], name: str, default: str | None = None) -> str:
    value = given.get(name, default)
    if not isinstance(value, str) or (default is None and not value):
        raise _wrong(path, f"has no `{name}`")
    return value


def _wrong(path: Path, what: str) -> UsageError:
    return UsageError(f"`{path}` {what}", hint="`docs/identity.md` shows the whole file.")
