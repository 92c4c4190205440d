"""What an operator wrote into notify.yaml: the mail server, Slack, services, webhooks of the installation.

    smtp: {host: mail.example.com, from: "Handfast <handfast@example.com>", password_file: /run/smtp}
    slack: {token_file: /run/slack.token, signing_secret_file: /run/slack.secret}
    services: {phone: "ntfy://ntfy.example.com/{address}"}
    webhooks: {chatops: {url: https://hooks.example.com/handfast, secret_files: [/run/hook.secret]}}
    private_hosts: [hooks.internal]

Secrets stand in files, or in HANDFAST_SMTP_PASSWORD, HANDFAST_SLACK_TOKEN, HANDFAST_SLACK_SIGNING_SECRET.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from handfast.core.domain.errors import UsageError

FILE_VARIABLE: Final = "HANDFAST_NOTIFY_FILE"
NAME: Final = "notify.yaml"
TOPICS: Final = ("handoff.requested", "handoff.routed", "handoff.decided")
_MAX = 100_000
_NAMED = re.compile(r"[a-z][a-z0-9-]{0,30}")
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")


@dataclass(frozen=True, slots=True)
class Smtp:
    """`security` is starttls, tls or none. `domains` bounds the addresses of people; empty is any."""

    host: str
    sender: str
    port: int = 587
    security: str = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    domains: tuple[str, ...] = ()
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class SlackApp:
    """`team` bounds whose requests are taken; '' is any workspace that has the signing secret."""

    token: str = field(repr=False)
    signing_secret: str = field(default="", repr=False)
    api_url: str = "https://slack.com/api/"
    team: str = ""


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook of the installation. The first secret is the newest; all sign."""

    name: str
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    topics: tuple[str, ...] = TOPICS


@dataclass(frozen=True, slots=True)
class Outlets:
    """Everything that may be used. `services` are Apprise URLs with `{address}` for what a person gives;
    `files` hold the settings and the secrets, and are no agent's to see."""

    smtp: Smtp | None = None
    slack: SlackApp | None = None
    services: Mapping[str, str] = field(default_factory=dict, repr=False)
    hooks: tuple[Hook, ...] = ()
    private_hosts: frozenset[str] = frozenset()
    files: tuple[Path, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        """What a person may add a contact of."""
        named = tuple(f"service:{name}" for name in sorted(self.services))
        return (
            *(("email",) if self.smtp else ()),
            *(("slack",) if self.slack else ()),
            "webhook",
            *named,
        )


def outlets_of(home: Path, environment: Mapping[str, str]) -> Outlets:
    """Without a file only webhooks can be used. Raises UsageError naming what is wrong in it."""
    said = environment.get(FILE_VARIABLE, "")
    path = Path(said) if said else home / NAME
    if not said and not path.exists():
        return read_outlets({}, environment)
    import yaml  # noqa: PLC0415 - only where there is a file

    try:
        text = path.read_text(encoding="utf-8")
        found = yaml.safe_load(text[:_MAX]) or {}
    except (OSError, ValueError, yaml.YAMLError) as e:
        raise UsageError(f"`{path}` cannot be read: {' '.join(str(e).split())[:300]}") from None
    try:
        made = read_outlets(found, environment)
    except UsageError as e:
        raise UsageError(f"`{path}`: {e.message}", hint=e.hint) from None
    return replace(made, files=(path.absolute(), *_secret_files(found)))


def read_outlets(found: object, environment: Mapping[str, str]) -> Outlets:
    """Raises UsageError naming the entry."""
    known = ("smtp", "slack", "services", "webhooks", "private_hosts")
    top = _mapping(found, "the file", known)
    hosts = _texts(top, "private_hosts", "")
    return Outlets(
        smtp=_smtp(top["smtp"], environment) if "smtp" in top else None,
        slack=_slack(top["slack"], environment) if "slack" in top else None,
        services=_services(top.get("services", {})),
        hooks=_hooks(top.get("webhooks", {})),
        private_hosts=frozenset(host.lower() for host in hosts),
    )


def _smtp(value: object, environment: Mapping[str, str]) -> Smtp:
    known = ("host", "port", "security", "username", "password_file", "from", "domains", "ca_file")
    found = _mapping(value, "smtp", known)
    security = _text(found, "security", "smtp", "starttls")
    if security not in ("starttls", "tls", "none"):
        raise UsageError(f"`smtp.security` is `{security}`", hint="Use starttls, tls or none.")
    port = found.get("port", {"starttls": 587, "tls": 465, "none": 25}[security])
    if type(port) is not int or not 0 < port < 65_536:
        raise UsageError("`smtp.port` is not a port")
    username = _text(found, "username", "smtp", "")
    password = _secret(found, "password_file", "smtp", environment, "HANDFAST_SMTP_PASSWORD")
    if username and security == "none":
        raise UsageError(
            "`smtp.username` would send the password unencrypted", hint="Use starttls or tls."
        )
    return Smtp(
        host=_host(_text(found, "host", "smtp"), "smtp.host"),
        sender=_text(found, "from", "smtp"),
        port=port,
        security=security,
        username=username,
        password=password,
        domains=tuple(d.lower() for d in _texts(found, "domains", "smtp.")),
        ca_file=_text(found, "ca_file", "smtp", ""),
    )


def _slack(value: object, environment: Mapping[str, str]) -> SlackApp:
    found = _mapping(value, "slack", ("token_file", "signing_secret_file", "api_url", "team"))
    token = _secret(found, "token_file", "slack", environment, "HANDFAST_SLACK_TOKEN")
    if not token:
        raise UsageError("`slack` has no token", hint="Set `token_file` or HANDFAST_SLACK_TOKEN.")
    return SlackApp(
        token=token,
        signing_secret=_secret(
            found, "signing_secret_file", "slack", environment, "HANDFAST_SLACK_SIGNING_SECRET"
        ),
        api_url=_text(found, "api_url", "slack", "https://slack.com/api/").rstrip("/") + "/",
        team=_text(found, "team", "slack", ""),
    )


def _services(value: object) -> dict[str, str]:
    found = _mapping(value, "services")
    for name in found:
        url = _text(found, name, "services")
        if "{address}" not in url or "://" not in url:
            raise UsageError(
                f"`services.{name}` is not an Apprise URL with `{{address}}`",
                hint='For instance "ntfy://ntfy.example.com/{address}".',
            )
        host = url.partition("://")[2].partition("/")[0]
        if "{address}" in host.rpartition("@")[2]:
            raise UsageError(
                f"`services.{name}` would let a person choose the host",
                hint="Put `{address}` behind the host.",
            )
    return {name: str(url) for name, url in found.items()}


def _hooks(value: object) -> tuple[Hook, ...]:
    made = []
    for name, each in _mapping(value, "webhooks").items():
        where = f"webhooks.{name}"
        found = _mapping(each, where, ("url", "secret_files", "topics"))
        topics = _texts(found, "topics", f"{where}.") or TOPICS
        if unknown := sorted(set(topics) - set(TOPICS)):
            raise UsageError(
                f"`{where}.topics` has {', '.join(unknown)}", hint=f"Of: {', '.join(TOPICS)}."
            )
        secrets = tuple(
            _read(path, f"{where}.secret_files")
            for path in _texts(found, "secret_files", f"{where}.")
        )
        if not 1 <= len(secrets) <= 3:
            raise UsageError(f"`{where}.secret_files` names no secret, or more than 3")
        made.append(Hook(name, _text(found, "url", where), secrets, tuple(topics)))
    return tuple(made)


def _mapping(value: object, where: str, known: Sequence[str] = ()) -> dict[str, Any]:
    """With `known` only those names, else names of lower-case letters, digits and dashes."""
    if not isinstance(value, dict) or any(not isinstance(k, str) for k in value):
        raise UsageError(f"`{where}` is not a mapping")
    wrong = [k for k in value if (k not in known if known else not _NAMED.fullmatch(k))]
    if wrong:
        names = (
            f"Known: {', '.join(known)}." if known else "Use lower-case letters, digits, dashes."
        )
        raise UsageError(f"`{where}` has `{wrong[0][:60]}`", hint=names)
    return value


def _text(found: Mapping[str, object], name: str, where: str, default: str | None = None) -> str:
    value = found.get(name, default)
    if not isinstance(value, str) or (default is None and not value.strip()):
        raise UsageError(f"`{where}.{name}` is missing or no text")
    if len(value) > 2_000 or not value.isprintable():
        raise UsageError(f"`{where}.{name}` is longer than a line")
    return value.strip()


def _texts(found: Mapping[str, object], name: str, where: str) -> tuple[str, ...]:
    value = found.get(name, [])
    if not isinstance(value, list) or any(not isinstance(item, str) for item in value):
        raise UsageError(f"`{where}{name}` is not a list of texts")
    return tuple(value)


def _host(value: str, where: str) -> str:
    if not _HOST.fullmatch(value):
        raise UsageError(f"`{where}` is not the name of a host")
    return value


def _secret(
    found: Mapping[str, object],
    name: str,
    where: str,
    environment: Mapping[str, str],
    variable: str,
) -> str:
    """Of the file, else of the environment, else ''."""
    path = _text(found, name, where, "")
    return _read(path, f"{where}.{name}") if path else environment.get(variable, "").strip()


def _read(path: str, where: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as e:
        raise UsageError(f"`{where}`: `{path}` cannot be read: {type(e).__name__}") from None


def _secret_files(value: object) -> Iterator[Path]:
    """Every file that an entry names, but for the authority of a certificate: that is for all to read."""
    if not isinstance(value, dict):
        return
    for name, each in value.items():
        if name.endswith(("_file", "_files")) and name != "ca_file":
            yield from (Path(p).absolute() for p in (each if isinstance(each, list) else [each]))
        else:
            yield from _secret_files(each)
