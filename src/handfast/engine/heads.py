"""Signs tree heads and publishes them outside the database."""

import threading
from pathlib import Path

from handfast.core.audit.note import sign_checkpoint
from handfast.core.audit.tree import Frontier
from handfast.engine.keys import SigningKey
from handfast.storage.api import Store, TreeHead


class Heads:
    """Signed tree heads of one log. `sign` is idempotent for an unchanged log."""

    def __init__(self, store: Store, key: SigningKey, folder: Path) -> None:
        self._store = store
        self._key = key
        self._folder = folder
        self._lock = threading.Lock()

    def latest(self) -> TreeHead | None:
        found = self._store.heads(limit=1)
        return found[-1] if found else None

    def sign(self) -> TreeHead:
        """A signed head of the log as it is now, stored, and written to the file sink."""
        with self._lock:
            frontier = Frontier.from_bytes(self._store.frontier())
            last = self.latest()
            if last is not None and last.size == frontier.size:
                return last
            key = self._key.verifier
            note = sign_checkpoint(key.name, frontier.size, frontier.root(), key, self._key.sign)
            head = TreeHead(frontier.size, note)
            self._store.add_head(head)
            self._publish(head)
            return head

    def _publish(self, head: TreeHead) -> None:
        """The newest head as a file: copy it elsewhere, and a rewrite of the log shows."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self._folder / "latest.part"
        part.write_text(head.note)
        part.replace(self._folder / "latest")
