"""The layout of an exported bundle, and the small parsers both ends share.

A bundle is a set of named parts (a zip file on disk, `engine.bundle_file`):

    meta.json       format, origin, size, when and by which version it was exported
    checkpoint      the signed tree head that covers exactly the entries below
    heads.jsonl     {"note": …} for every tree head signed so far, in order of size
    keys.json       {"keys": [verifier key, …]}: what the log says its keys are or were
    entries.jsonl   one event a line, its canonical bytes; line p is the entry at position p
    leaves          32 bytes an entry: the leaf hash the store kept with it
    bodies.jsonl    {"body_id", "state": held | erased | withheld}, of a held one "salt" (hex), "size"
    bodies.bin      content of the bodies that are held, one after the other in the order of that list

The leaf list is what names a wrong entry: while it leads to the signed root, an entry that does
not hash to its place in it is the wrong one. Interior nodes are left out on purpose: whoever
changes the leaf list can recompute them. Only signed heads narrow a change of both to an interval.

Bundles of Handfast 0.2 (`handfast-bundle/1`) have a part `bodies/<id>` for each held body instead, and no
sizes; they are read, too.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Literal, Protocol, TypeAlias

from handfast.core.audit.note import VerifierKey, parse_verifier_key
from handfast.core.audit.tree import HASH_SIZE
from handfast.core.domain.errors import IntegrityError, UsageError

FORMAT = "handfast-bundle/2"
FORMATS = (FORMAT, "handfast-bundle/1")
META = "meta.json"
CHECKPOINT = "checkpoint"
HEADS = "heads.jsonl"
KEYS = "keys.json"
ENTRIES = "entries.jsonl"
LEAVES = "leaves"
BODY_INDEX = "bodies.jsonl"
BODY_CONTENT = "bodies.bin"
BODY_FOLDER = "bodies/"
PARTS = (META, CHECKPOINT, HEADS, KEYS, ENTRIES, LEAVES, BODY_INDEX, BODY_CONTENT)

MAX_ENTRY_BYTES = 65_536
MAX_PART_BYTES = 1_000_000  # meta, checkpoint, keys, and one line of the other lists

BodyState: TypeAlias = Literal["held", "erased", "withheld"]


class BundleReader(Protocol):
    """Read access to the parts of one bundle. Nothing read from it is trusted."""

    def names(self) -> Collection[str]:
        """Names of all parts."""
        ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """The part in pieces of bounded size.

        Raises IntegrityError when the part is absent or damaged, possibly after some pieces.
        """
        ...


def small_part(bundle: BundleReader, name: str) -> bytes:
    """A whole part of at most `MAX_PART_BYTES`. Raises IntegrityError beyond that."""
    out = b""
    for chunk in bundle.chunks(name):
        out += chunk
        if len(out) > MAX_PART_BYTES:
            raise IntegrityError(f"`{name}` of the bundle is larger than {MAX_PART_BYTES} bytes")
    return out


def split_lines(chunks: Iterator[bytes], name: str, limit: int) -> Iterator[bytes]:
    """Lines without their newline. Raises IntegrityError for a longer line or an unfinished one."""
    rest = b""
    number = 0
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for line in lines:
            number += 1
            if len(line) > limit:
                raise _too_long(name, number, limit)
            yield line
        if len(rest) > limit:
            raise _too_long(name, number + 1, limit)
    if rest:
        raise IntegrityError(f"the last line of `{name}`, line {number + 1}, is cut off")


def split_hashes(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Pieces of 32 bytes. Raises IntegrityError when the last one is shorter."""
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        whole = len(data) - len(data) % HASH_SIZE
        for at in range(0, whole, HASH_SIZE):
            yield data[at : at + HASH_SIZE]
        rest = data[whole:]
    if rest:
        raise IntegrityError(f"`{name}` of the bundle ends inside a hash")


def json_object(data: bytes, what: str) -> Mapping[str, object]:
    """A JSON object. Raises IntegrityError for anything else."""
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise IntegrityError(f"{what} is not a JSON object")
    return value


def declared_keys(data: bytes) -> tuple[VerifierKey, ...]:
    """The keys of `keys.json`. They prove nothing: whoever made the bundle wrote them."""
    texts = json_object(data, f"`{KEYS}`").get("keys")
    if not isinstance(texts, list) or len(texts) > 1000:
        raise IntegrityError(f"`{KEYS}` has no list of keys")
    try:
        return tuple(parse_verifier_key(str(text)) for text in texts)
    except UsageError:
        raise IntegrityError(f"`{KEYS}` holds something that is not a verifier key") from None


def _too_long(name: str, number: int, limit: int) -> IntegrityError:
    return IntegrityError(f"line {number} of `{name}` is longer than {limit} bytes")
