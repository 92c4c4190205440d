"""Makes signed logs and their bundles in memory, for the tests of the audit trail."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from handfast.core.audit import bundle_format as parts
from handfast.core.audit.bodies import body_digest
from handfast.core.audit.bundle import verify_bundle
from handfast.core.audit.note import VerifierKey, sign_checkpoint
from handfast.core.audit.report import Report
from handfast.core.audit.tree import Frontier, leaf_hash
from handfast.core.domain.canonical import canonical_json
from handfast.core.domain.errors import IntegrityError
from handfast.engine.keys import ed25519_verify

ORIGIN = "log.example/handfast"


@dataclass
class Signer:
    name: str = ORIGIN
    seed: int = 1
    private: Ed25519PrivateKey = field(init=False)
    key: VerifierKey = field(init=False)

    def __post_init__(self) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([self.seed]) * 32)
        self.key = VerifierKey(self.name, self.private.public_key().public_bytes_raw())

    def head(self, entries: Sequence[bytes], size: int | None = None) -> str:
        size = len(entries) if size is None else size
        tree, _ = Frontier().extend(leaf_hash(e) for e in entries[:size])
        return sign_checkpoint(ORIGIN, size, tree.root(), self.key, self.private.sign)


SIGNER = Signer()


class MemoryBundle:
    """A `BundleReader` over a dict; `piece` is the size of the pieces it gives."""

    def __init__(self, content: dict[str, bytes], piece: int = 1000) -> None:
        self.content = content
        self.piece = piece

    def names(self) -> Collection[str]:
        return self.content.keys()

    def chunks(self, name: str) -> Iterator[bytes]:
        if name not in self.content:
            raise IntegrityError(f"the bundle has no part `{name}`")
        data = self.content[name]
        for at in range(0, len(data), self.piece):
            yield data[at : at + self.piece]


@dataclass
class Body:
    body_id: str
    data: bytes
    state: str = "held"

    @property
    def salt(self) -> bytes:
        return self.body_id.encode().ljust(32, b"\x07")

    def reference(self) -> dict[str, object]:
        digest = body_digest(self.salt, [self.data])
        return {
            "body_id": self.body_id,
            "digest": digest,
            "size": len(self.data),
            "media": "text/plain",
        }


def event(
    position: int,
    stream: str,
    version: int,
    data: dict[str, object] | None = None,
    kind: str = "step.judged",
) -> bytes:
    return canonical_json(
        {
            "id": f"ev_{position:026d}",
            "type": kind,
            "stream": stream,
            "version": version,
            "at": "2026-01-01T00:00:00.000000Z",
            "actor": {"type": "agent", "id": "ag_1"},
            "data": data or {"n": position},
        }
    )


def make_entries(count: int, streams: int = 3, bodies: Sequence[Body] = ()) -> list[bytes]:
    """Entries spread over streams; the first ones refer to `bodies`."""
    out = []
    for i in range(count):
        data: dict[str, object] = {"n": i}
        if i < len(bodies):
            data["output"] = bodies[i].reference()
        out.append(event(i + 1, f"run_{i % streams}", i // streams + 1, data))
    return out


def make_bundle(
    entries: Sequence[bytes],
    heads: Sequence[int] = (),
    bodies: Sequence[Body] = (),
    signer: Signer = SIGNER,
    leaves: Sequence[bytes] | None = None,
) -> MemoryBundle:
    hashes = [leaf_hash(e) for e in entries] if leaves is None else leaves
    index = [
        {"body_id": b.body_id, "state": b.state}
        | ({"salt": b.salt.hex()} if b.state == "held" else {})
        for b in bodies
    ]
    content = {
        parts.META: json.dumps(
            {"format": parts.FORMAT, "origin": ORIGIN, "size": len(entries)}
        ).encode(),
        parts.CHECKPOINT: signer.head(entries).encode(),
        parts.KEYS: json.dumps({"keys": [str(signer.key)]}).encode(),
        parts.HEADS: json_lines([{"note": signer.head(entries, n)} for n in heads]),
        parts.ENTRIES: join(entries),
        parts.LEAVES: b"".join(hashes),
        parts.BODY_INDEX: json_lines(index),
    }
    content |= {parts.BODY_FOLDER + b.body_id: b.data for b in bodies if b.state == "held"}
    return MemoryBundle(content)


def join(entries: Sequence[bytes]) -> bytes:
    return b"".join(e + b"\n" for e in entries)


def json_lines(values: Sequence[object]) -> bytes:
    return b"".join(json.dumps(v).encode() + b"\n" for v in values)


def check(bundle: MemoryBundle, *since: str, key: VerifierKey | None = SIGNER.key) -> Report:
    return verify_bundle(bundle, [] if key is None else [key], since, ed25519_verify)
