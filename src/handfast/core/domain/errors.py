"""The error tree: the branch says who must act.

    HandfastError
    ├── UsageError        the developer: the call itself is wrong
    ├── RejectedError     a person or an agent: expected, nothing was changed
    │   ├── NotFound · NotPermitted · InvalidTransition · StaleDecision
    │   └── AlreadyDecided · GateClosed · LimitExceeded · Incomplete · StaleEpoch
    ├── StorageError      the operator: Unavailable and Concurrency may be tried again
    │   └── Unavailable · Concurrency · SchemaVersion · DiskFull
    ├── IntegrityError    stop the stream and page someone
    └── AdapterError      a third party misbehaved

A message says what happened, names ids in backticks, and `hint` says what to do next.
"""

from collections.abc import Mapping
from typing import ClassVar, TypeAlias

Detail: TypeAlias = str | int | bool | list[str] | None


class HandfastError(Exception):
    """Root of all errors raised on purpose. `details` travels into the HTTP problem body."""

    default_code: ClassVar[str] = "error"
    default_retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        retryable: bool | None = None,
        hint: str = "",
        details: Mapping[str, Detail] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.retryable = self.default_retryable if retryable is None else retryable
        self.hint = hint
        self.details: dict[str, Detail] = dict(details or {})


class UsageError(HandfastError):
    """The call is wrong and will stay wrong: the message names the field and the remedy."""

    default_code = "usage"


class RejectedError(HandfastError):
    """An expected refusal. Nothing was changed. `recorded`: it is in the audit trail as a try of what is not
    permitted."""

    default_code = "rejected"
    recorded = False


class NotFound(RejectedError):
    default_code = "not_found"


class NotPermitted(RejectedError):
    default_code = "not_permitted"

    def told(self) -> "NotPermitted":
        """The same, as one that is in the audit trail."""
        self.recorded = True
        return self


class InvalidTransition(RejectedError):
    default_code = "invalid_transition"


class StaleDecision(RejectedError):
    """What was decided on, or is about to run, is not what was shown or approved."""

    default_code = "stale_decision"


class AlreadyDecided(RejectedError):
    """Another decision won. `details` says who (`decided_by`) and when (`decided_at`)."""

    default_code = "already_decided"


class GateClosed(RejectedError):
    """No valid grant: it expired, was used, or was never given."""

    default_code = "gate_closed"


class StaleEpoch(RejectedError):
    """The caller's lease was taken over. It must stop working on this run."""

    default_code = "stale_epoch"


class LimitExceeded(RejectedError):
    default_code = "limit_exceeded"


class Incomplete(RejectedError):
    """A package lacks a required part. `details['missing']` lists the parts."""

    default_code = "incomplete"


class StorageError(HandfastError):
    default_code = "storage"


class Unavailable(StorageError):
    default_code = "unavailable"
    default_retryable = True


class Concurrency(StorageError):
    """The stream moved on since it was read. Read it again and decide again."""

    default_code = "concurrency"
    default_retryable = True


class SchemaVersion(StorageError):
    default_code = "schema_version"


class DiskFull(StorageError):
    default_code = "disk_full"


class IntegrityError(HandfastError):
    """Stored data contradicts itself or its proofs. Never continue on it."""

    default_code = "integrity"


class AdapterError(HandfastError):
    default_code = "adapter"
