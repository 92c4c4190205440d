"""Bodies: content beside the log, sealed with the installation's data key, salted, erasable."""

import hmac
import json
import secrets
from dataclasses import dataclass

from handfast.core.audit.bodies import body_digest
from handfast.core.domain.errors import IntegrityError, NotFound, UsageError
from handfast.core.domain.events_work import BodyRef
from handfast.engine.encoding import canonical
from handfast.engine.ids import new_id
from handfast.engine.keys import seal, unseal
from handfast.storage.api import SealedBody, Store

MAX_BODY = 32 * 1024 * 1024
# What a machine sends ahead of a request. Its id is known to who sent it alone: no entry of the log names one.
UPLOAD = "up"


@dataclass(frozen=True, slots=True)
class Content:
    """An opened body. `erased` content is empty and was here once."""

    data: bytes
    media: str
    erased: bool = False

    @property
    def text(self) -> str:
        return "(erased)" if self.erased else self.data.decode("utf-8", "replace")


def is_upload(body_id: str) -> bool:
    return body_id.startswith(f"{UPLOAD}_")


class Vault:
    """Seals and opens bodies. It never writes: a sealed body goes into a write set."""

    def __init__(self, store: Store, data_key: bytes) -> None:
        self._store = store
        self._key = data_key

    def seal(
        self, data: bytes | str, media: str = "text/plain", prefix: str = "bo"
    ) -> tuple[BodyRef, SealedBody]:
        """Raises UsageError above 32 MiB."""
        plain = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        if len(plain) > MAX_BODY:
            raise UsageError(f"a body has {len(plain)} bytes; at most {MAX_BODY} are taken")
        body_id = new_id(prefix)
        salt = secrets.token_bytes(16)
        nonce, ciphertext = seal(self._key, body_id, media, plain)
        digest = body_digest(salt, [plain])
        sealed = SealedBody(body_id, salt, nonce, ciphertext, digest, media, len(plain))
        return BodyRef(body_id, digest, len(plain), media), sealed

    def stamp(self, purpose: str, data: bytes) -> bytes:
        """32 bytes that only an installation with this data key can make of `data`."""
        key = hmac.digest(self._key, f"handfast {purpose}".encode(), "sha256")
        return hmac.digest(key, data, "sha256")

    def seal_json(self, value: object) -> tuple[BodyRef, SealedBody]:
        return self.seal(canonical(value), "application/json")

    def open(self, body_id: str) -> Content:
        """Raises NotFound, or IntegrityError when the bytes are not those that were sealed."""
        sealed = self._store.body(body_id)
        if sealed is None:
            raise NotFound(f"there is no body `{body_id}`")
        return self.unseal(sealed)

    def text(self, ref: BodyRef | None) -> str:
        """Its text; '' without one. Raises what `open` raises."""
        return self.open(ref.body_id).text if ref else ""

    def json(self, ref: BodyRef | None) -> object:
        """Its content as JSON; None without one, or where it was erased. Raises what `open` raises."""
        content = self.open(ref.body_id) if ref else None
        return json.loads(content.data) if content and not content.erased else None

    def open_many(self, body_ids: list[str]) -> dict[str, Content]:
        found = self._store.bodies(body_ids)
        return {body_id: self.unseal(sealed) for body_id, sealed in found.items()}

    def unseal(self, sealed: SealedBody) -> Content:
        if not sealed.nonce:
            return Content(b"", sealed.media, erased=True)
        plain = unseal(self._key, sealed.body_id, sealed.media, sealed.nonce, sealed.ciphertext)
        if not hmac.compare_digest(body_digest(sealed.salt, [plain]), sealed.digest):
            raise IntegrityError(
                f"body `{sealed.body_id}` is not what was recorded",
                hint="Run `handfast audit verify` and restore the database from a backup.",
            )
        return Content(plain, sealed.media)
