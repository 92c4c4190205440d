"""An exported bundle as a zip file: written in one pass, read without trusting it.

Only the parts that `core.audit.bundle_format` names exist in it, and nothing is ever unpacked to
disk, so names cannot lead anywhere. Memory stays bounded on both sides, whatever the file says.
"""

import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from handfast.core.audit.bundle_format import (
    BODY_CONTENT,
    BODY_FOLDER,
    BODY_INDEX,
    CHECKPOINT,
    ENTRIES,
    FORMAT,
    HEADS,
    KEYS,
    LEAVES,
    MAX_ENTRY_BYTES,
    META,
    PARTS,
    BodyState,
)
from handfast.core.audit.note import VerifierKey, parse_checkpoint, parse_note
from handfast.core.domain.canonical import canonical_json
from handfast.core.domain.errors import IntegrityError, StorageError, UsageError

_CHUNK = 1 << 18
_SPOOL_BYTES = 1 << 22
_EPOCH = (1980, 1, 1, 0, 0, 0)  # equal content gives equal files
_BODY_NAME = re.compile(re.escape(BODY_FOLDER) + r"[A-Za-z0-9_]{1,64}")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class ExportedBody:
    """One body the entries refer to. `salt` and `content` are given exactly when it is held."""

    body_id: str
    state: BodyState
    salt: bytes = b""
    content: Iterable[bytes] = ()


@dataclass(frozen=True, slots=True)
class BundleContent:
    """What goes into a bundle. The iterables are read once, in this order, and never held.

    `entries` gives (stored leaf hash, canonical bytes) from position 1 to the checkpoint's size.
    """

    checkpoint: str
    heads: Iterable[str]
    keys: Sequence[VerifierKey]
    entries: Iterable[tuple[bytes, bytes]]
    bodies: Iterable[ExportedBody]
    exported_at: str
    version: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a reader accepts. `ratio` is unpacked size to file size, once past `ratio_from`."""

    parts: int = 1_000_000
    total_bytes: int = 1 << 38
    ratio: int = 250
    ratio_from: int = 1 << 26


def write_bundle(path: Path, content: BundleContent) -> int:
    """Write a bundle and give its number of entries. Atomic: `path` appears complete or not at all.

    The file is readable by its owner only, since bodies are in clear. Raises UsageError for a
    content that could not be verified (entries that do not fit the checkpoint's size, an entry
    with a line break), StorageError when the disk refuses.
    """
    head = parse_checkpoint(parse_note(content.checkpoint).text)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                count = _write_parts(archive, content, head.origin, head.size)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise StorageError(
            f"the bundle `{path}` cannot be written: {error.strerror}",
            hint="Check the folder's permissions and the free space of the disk.",
        ) from None
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
    return count


def _write_parts(archive: zipfile.ZipFile, content: BundleContent, origin: str, size: int) -> int:
    meta = {
        "format": FORMAT,
        "origin": origin,
        "size": size,
        "exported_at": content.exported_at,
        "handfast": content.version,
    }
    _put(archive, META, [_line(meta)])
    _put(archive, CHECKPOINT, [content.checkpoint.encode()])
    _put(archive, KEYS, [_line({"keys": [str(key) for key in content.keys]})])
    _put(archive, HEADS, (_line({"note": note}) for note in content.heads))
    count = 0
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as leaves:
        with _open_part(archive, ENTRIES) as part:
            for leaf, entry in content.entries:
                count += 1
                _check_entry(count, size, entry)
                part.write(entry + b"\n")
                leaves.write(leaf)
        if count != size:
            raise UsageError(f"the tree head covers {size} entries, {count} were given")
        leaves.seek(0)
        _put(archive, LEAVES, iter(lambda: leaves.read(_CHUNK), b""))
    _write_bodies(archive, content.bodies)
    return count


def _write_bodies(archive: zipfile.ZipFile, bodies: Iterable[ExportedBody]) -> None:
    """One part for all contents: an archive keeps a record of each part in memory."""
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as index:
        with _open_part(archive, BODY_CONTENT) as part:
            for body in bodies:
                record: dict[str, object] = {"body_id": body.body_id, "state": body.state}
                if body.state == "held":
                    if not body.salt:
                        raise UsageError(
                            f"body `{body.body_id}` is held but comes without its salt"
                        )
                    size = sum(part.write(chunk) for chunk in body.content)
                    record |= {"salt": body.salt.hex(), "size": size}
                index.write(_line(record))
        index.seek(0)
        _put(archive, BODY_INDEX, iter(lambda: index.read(_CHUNK), b""))


def _check_entry(position: int, size: int, entry: bytes) -> None:
    if position > size:
        raise UsageError(f"the tree head covers {size} entries, more were given")
    if len(entry) > MAX_ENTRY_BYTES or b"\n" in entry:
        raise UsageError(
            f"the entry at position {position} is longer than {MAX_ENTRY_BYTES} bytes "
            "or holds a line break",
            hint="Entries are canonical JSON; content belongs into bodies.",
        )


def _line(value: object) -> bytes:
    return canonical_json(value) + b"\n"


def _put(archive: zipfile.ZipFile, name: str, chunks: Iterable[bytes]) -> None:
    with _open_part(archive, name) as part:
        for chunk in chunks:
            part.write(chunk)


def _open_part(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_STORED if name == LEAVES else zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return archive.open(info, "w", force_zip64=True)


class ZipBundle:
    """A `BundleReader` over a file nobody vouches for. A context manager.

    Opening raises StorageError when the file cannot be read and IntegrityError when it is not a
    bundle, names unexpected parts, or would unpack to more than `limits` allow.
    """

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise StorageError(
                f"the bundle `{path}` cannot be read: {error.strerror}",
                hint="Give the path of a file made by `handfast audit export`.",
            ) from None
        try:
            self._archive = zipfile.ZipFile(self._file)
            self._parts = self._accept(self._archive.infolist(), path.stat().st_size)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            self._file.close()
            raise IntegrityError(
                f"`{path}` is not a bundle: {error}",
                hint="Take the file again from where it came; compare its checksum.",
            ) from None
        except IntegrityError:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._archive.close()
        self._file.close()

    def names(self) -> Collection[str]:
        return self._parts.keys()

    def chunks(self, name: str) -> Iterator[bytes]:
        """Pieces of at most 256 KiB, never more in all than the part's declared size."""
        info = self._parts.get(name)
        if info is None:
            raise IntegrityError(f"the bundle has no part `{name}`")
        try:
            with self._archive.open(info) as part:
                while chunk := part.read(_CHUNK):
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise IntegrityError(f"the part `{name}` of the bundle is damaged ({error})") from None

    def _accept(self, infos: list[zipfile.ZipInfo], file_bytes: int) -> dict[str, zipfile.ZipInfo]:
        limits = self._limits
        if len(infos) > limits.parts:
            raise _refused(f"it has more than {limits.parts} parts")
        parts: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            # `orig_filename` is the name before zipfile cleans it.
            name = info.orig_filename
            if name not in PARTS and not _BODY_NAME.fullmatch(name):
                raise _refused(f"it has an unexpected part {name!r:.80}")
            if name in parts:
                raise _refused(f"it has the part {name!r} twice")
            if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
                raise _refused(f"its part {name!r} is packed in an unexpected way")
            parts[name] = info
        _check_overlap(infos, file_bytes)
        total = sum(info.file_size for info in infos)
        too_dense = total > limits.ratio_from and total > limits.ratio * file_bytes
        if total > limits.total_bytes or too_dense:
            raise _refused(f"its {file_bytes} bytes would unpack to {total}")
        return parts


def _check_overlap(infos: list[zipfile.ZipInfo], file_bytes: int) -> None:
    """Parts that share bytes are how a small file claims to be a huge one."""
    end = 0
    for info in sorted(infos, key=lambda i: i.header_offset):
        if info.header_offset < end:
            raise _refused("its parts overlap")
        end = info.header_offset + info.compress_size
    if end > file_bytes:
        raise _refused("its parts reach beyond its end")


def _refused(why: str) -> IntegrityError:
    return IntegrityError(
        f"the bundle is refused: {why}",
        code="bundle_refused",
        hint="Only files made by `handfast audit export` can be verified.",
    )
