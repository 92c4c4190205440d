"""Who is calling: tokens to principals, and what each kind of principal may do."""

import hmac
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from handfast.core.domain.errors import NotPermitted
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.events_org import AccessRefused
from handfast.core.domain.installation import Installation
from handfast.engine.actions import INSTALLATION_ID
from handfast.engine.ids import hash_secret, new_secret
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.storage.api import Credential


class PrincipalKind(StrEnum):
    AGENT = "agent"
    RUNNER = "runner"
    OPERATOR = "operator"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `scopes` are those of the token it came with."""

    kind: PrincipalKind
    id: str
    scopes: frozenset[str] = frozenset()

    @property
    def actor(self) -> Actor:
        auth = "browser" if self.kind is PrincipalKind.PERSON else "token"
        return Actor(self.kind.value, self.id, auth)


FILES = {
    PrincipalKind.RUNNER: ("runner.token", "hfr_"),
    PrincipalKind.OPERATOR: ("operator.token", "hfo_"),
}


class Access:
    """Checks bearer tokens. Every refusal is recorded in the audit trail."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def ensure_file_token(self, home: Path, kind: PrincipalKind) -> str:
        """The token in the data folder for this kind, made on first use (file mode 0600)."""
        name, prefix = FILES[kind]
        path = home / name
        if path.exists():
            return path.read_text().strip()
        secret = new_secret()

        def work(unit: Unit) -> Result:
            unit.put_credential(Credential(kind.value, "file", kind.value, hash_secret(secret)))
            return {}

        path.touch(mode=0o600)
        path.write_text(prefix + secret + "\n")
        self._kernel.run(SYSTEM, work)
        return prefix + secret

    def principal(self, token: str) -> Principal:
        """Raises NotPermitted (code `unauthenticated`) for a token that is not valid now."""
        for kind, (_, prefix) in FILES.items():
            if token.startswith(prefix):
                return self._file_principal(kind, token.removeprefix(prefix))
        if token.startswith("hfa_"):
            return self._agent(token)
        raise _unknown()

    def _file_principal(self, kind: PrincipalKind, secret: str) -> Principal:
        found = self._kernel.store.credential(kind.value)
        if found is None or not hmac.compare_digest(found.secret, hash_secret(secret)):
            raise _unknown()
        return Principal(kind, kind.value)

    def _agent(self, token: str) -> Principal:
        token_id, _, secret = token.removeprefix("hfa_").partition("_")
        found = self._kernel.store.credential("tok_" + token_id)
        if found is None or found.revoked or found.kind != "token":
            raise _unknown()
        if found.expires_at is None or found.expires_at <= self._kernel.clock.now():
            raise _unknown()
        if not hmac.compare_digest(found.secret, hash_secret(secret)):
            raise _unknown()
        return Principal(PrincipalKind.AGENT, found.subject, frozenset(found.scopes))

    def refused(self, actor: Actor, what: str, why: str) -> None:
        """Put a refusal into the audit trail."""

        def work(unit: Unit) -> Result:
            event = AccessRefused(what=what[:200], why=why[:200], subject=actor.id)
            unit.record(Installation, INSTALLATION_ID, [event])
            return {}

        self._kernel.run(actor, work)


def _unknown() -> NotPermitted:
    return NotPermitted(
        "the credential is not valid",
        code="unauthenticated",
        hint="Use a current token: `handfast agent token NAME` issues one.",
    )
