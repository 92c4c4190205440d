"""What an operator may set. Read from the environment once, when the engine is opened."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from handfast.core.domain.errors import UsageError

HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Settings:
    """Names that end in `_s` are seconds, `rate_*` requests a second. Each is set by `HANDFAST_` and its name in capitals."""

    approval_within_s: int = DAY
    review_within_s: int = 7 * DAY
    grant_ttl_s: int = DAY
    settle_within_s: int = HOUR
    lease_s: int = 6
    session_s: int = 12 * HOUR
    link_s: int = 7 * DAY
    agent_token_s: int = 30 * DAY
    relay_attempts: int = 12
    relay_backoff_s: int = 1
    relay_backoff_max_s: int = 300
    relay_timeout_s: int = 60
    relay_concurrency: int = 8
    relay_lease_s: int = 5
    relay_drain_s: int = 5
    rate_person: int = 20
    rate_agent: int = 200
    rate_runner: int = 2000

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises UsageError naming the variable that is not a whole positive number."""
        values: dict[str, int] = {}
        for f in fields(cls):
            name = "HANDFAST_" + f.name.upper()
            text = environment.get(name)
            if text is None:
                continue
            if not text.isdigit() or int(text) == 0:
                raise UsageError(f"{name} is `{text}`", hint="Give a whole number, 1 or more.")
            values[f.name] = int(text)
        return cls(**values)
