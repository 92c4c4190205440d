"""Who is calling: tokens to principals, and what each kind of principal may do."""

import hmac
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from handfast.core.domain.errors import NotPermitted, StorageError
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.person import Person
from handfast.engine.ids import hash_secret, new_secret
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.own_tokens import KIND, PREFIX
from handfast.engine.proofs import Proof, Proven
from handfast.engine.refusals import Refusals
from handfast.engine.runners import runner_of
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
    by_token: bool = False  # of a person: with a token of their own, so not in a browser
    proof: Proof | None = field(default=None, compare=False)  # of a person's session

    @property
    def runner_id(self) -> str:
        """The registered runner; '' for anybody else, and for who holds the data folder's own token."""
        named = self.kind is PrincipalKind.RUNNER and self.id != PrincipalKind.RUNNER.value
        return self.id if named else ""

    @property
    def actor(self) -> Actor:
        in_browser = self.kind is PrincipalKind.PERSON and not self.by_token
        auth = "browser" if in_browser else "token"
        if self.proof is not None:
            return Proven(self.kind.value, self.id, auth, proof=self.proof)
        return Actor(self.kind.value, self.id, auth)


MIN_SECRET = 32
SERVER_ID = "server.id"
FILES = {
    PrincipalKind.RUNNER: ("runner.token", "hfr_"),
    PrincipalKind.OPERATOR: ("operator.token", "hfo_"),
}


class Access:
    """Checks bearer tokens. Every refusal is recorded in the audit trail."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.refusals = Refusals(kernel)

    def ensure_file_token(self, home: Path, kind: PrincipalKind) -> str:
        """The token in the data folder for this kind, made on first use (file mode 0600).

        The file is what counts: a crash between file and database is mended by the next call, and a file
        that was removed makes a new token take the place of the old one. Each data folder has tokens of
        its own, so several servers may share a database. Raises StorageError for a file without a token.
        """
        name, prefix = FILES[kind]
        path = home / name
        if not path.exists():
            _create(path, prefix + new_secret() + "\n")
        token = path.read_text().strip()
        secret = token.removeprefix(prefix)
        if secret == token or len(secret) < MIN_SECRET:
            raise StorageError(
                f"`{path}` holds no token", hint="Remove the file: the next start makes a new one."
            )
        self._keep(kind, server_id(home), hash_secret(secret))
        return token

    def _keep(self, kind: PrincipalKind, server: str, hashed: str) -> None:
        found = self._of_files(kind)
        known = [c for c in found if hmac.compare_digest(c.secret, hashed)]
        if any(c.id != kind.value for c in known):
            return

        def work(unit: Unit) -> Result:
            unit.put_credential(Credential(f"{kind.value}@{server}", "file", kind.value, hashed))
            for old in found:
                if old.id == kind.value:  # of the time when there was one data folder only
                    unit.put_credential(replace(old, secret="replaced", revoked=True))  # noqa: S106
            return {}

        self._kernel.run(SYSTEM, work)

    def principal(self, token: str) -> Principal:
        """Raises NotPermitted (code `unauthenticated`) for a token that is not valid now."""
        if not (token.isascii() and token.isprintable()):
            raise _unknown()
        runner_id, secret = runner_of(token)
        if runner_id:
            return self._runner(runner_id, secret)
        for kind, (_, prefix) in FILES.items():
            if token.startswith(prefix):
                return self._file_principal(kind, token.removeprefix(prefix))
        if token.startswith("hfa_"):
            return self._agent(token)
        if token.startswith(PREFIX):
            return self._person(token)
        raise _unknown()

    def _of_files(self, kind: PrincipalKind) -> list[Credential]:
        return self._kernel.store.credentials_of(kind.value, "file")

    def _file_principal(self, kind: PrincipalKind, secret: str) -> Principal:
        hashed = hash_secret(secret)
        if not any(hmac.compare_digest(c.secret, hashed) for c in self._of_files(kind)):
            raise _unknown()
        return Principal(kind, kind.value)

    def _runner(self, runner_id: str, secret: str) -> Principal:
        found = self._kernel.store.credential(runner_id)
        if found is None or found.revoked or found.kind != PrincipalKind.RUNNER.value:
            raise _unknown()
        if not hmac.compare_digest(found.secret, hash_secret(secret)):
            raise _unknown()
        return Principal(PrincipalKind.RUNNER, runner_id)

    def _agent(self, token: str) -> Principal:
        found = self._of_token(token.removeprefix("hfa_"), "token")
        return Principal(PrincipalKind.AGENT, found.subject, frozenset(found.scopes))

    def _person(self, token: str) -> Principal:
        found = self._of_token(token.removeprefix(PREFIX), KIND)
        if not self._kernel.state(Person, found.subject).roles:
            raise _unknown()
        scopes = frozenset(found.scopes)
        return Principal(PrincipalKind.PERSON, found.subject, scopes, by_token=True)

    def _of_token(self, token: str, kind: str) -> Credential:
        """The stored half of `ID_SECRET`. Raises NotPermitted."""
        token_id, _, secret = token.partition("_")
        found = self._kernel.store.credential("tok_" + token_id)
        if found is None or found.revoked or found.kind != kind:
            raise _unknown()
        if found.expires_at is None or found.expires_at <= self._kernel.clock.now():
            raise _unknown()
        if not hmac.compare_digest(found.secret, hash_secret(secret)):
            raise _unknown()
        return found

    def refused(self, actor: Actor, what: str, why: str) -> None:
        """Put a refusal into the audit trail; see `Refusals` for one that is repeated."""
        self.refusals.note(actor, what, why)


def server_id(home: Path) -> str:
    """Which data folder this is, drawn on first use. Not a secret."""
    path = home / SERVER_ID
    if not path.exists():
        _create(path, new_secret()[:12] + "\n")
    return path.read_text().strip()[:40]


def _create(path: Path, text: str) -> None:
    """Whole or not at all, and never over a file that another process made at the same time."""
    part = path.with_name(f".{path.name}.{new_secret()[:8]}")
    part.touch(mode=0o600)
    try:
        part.write_text(text)
        path.hardlink_to(part)
    except FileExistsError:
        pass
    finally:
        part.unlink()


def _unknown() -> NotPermitted:
    return NotPermitted(
        "the credential is not valid",
        code="unauthenticated",
        hint="Use a current token: `handfast agent token NAME` issues one.",
    )
